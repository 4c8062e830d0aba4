"""Pages for buying an item and following the drop to its final state."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from drink.v1 import drop_service_pb2 as pb
from drink_web import views
from drink_web.errors import CallError, PageError
from drink_web.follow import Follower, first_of
from drink_web.streams import event, partial
from drink_web.visit import Visit

DELAYS_S = (10, 30, 60, 180, 300)
"""Seconds that a buyer may choose to wait; the API takes at most 300."""

LATE_S = 8.0
"""Seconds at the motor after which it takes longer than usual: motors turn about 4."""

RELOAD_S = 2
"""Seconds after which a drop's page without scripts is loaded again."""


async def show_slot(visit: Visit) -> Response:
    """GET /machines/{machine}/{slot}: one slot, and when it should fall."""
    view, tile = visit.slot_view(is_current=visit.site.house.is_current)
    if visit.site.house.is_current:
        await visit.look_up_account()
    undo_s = visit.site.settings.drops.undo_s
    delays = [undo_s, *(delay for delay in DELAYS_S if delay > undo_s)]
    return visit.page(
        "slot.html",
        view=view,
        tile=tile,
        picture=visit.site.house.pictures.known.get(tile.slot.sold_item),
        page=views.new_page(),
        delays=delays,
    )


async def buy(visit: Visit) -> Response:
    """POST /drops: asks for a drop; asking twice with one request_id is asking once."""
    form = await visit.form()
    request = order_of(form, visit.site.settings.drops.undo_s)
    try:
        answer = await visit.call(visit.site.api.drops.Drop, request)
    except CallError as error:
        if error.is_away:
            return _in_doubt(visit, form, looked=False)
        if error.is_logged_out or error.status in ("INTERNAL", "UNKNOWN"):
            raise
        reason = f"{visit.texts('nothing_bought')} {visit.refusal(error)}"
        return visit.problem(409, reason)
    # One that has just been reserved is not at its end.
    again = "?again=1" if answer.drop.state not in views.OPEN_STATES[:2] else ""
    return visit.redirect(f"/{answer.drop.name}{again}")


async def find(visit: Visit) -> Response:
    """GET /drops/find: whether an order arrived whose answer did not."""
    form = dict(visit.query)
    request = pb.GetDropRequest(request_id=order_of(form, 0).request_id)
    try:
        answer = await visit.call(visit.site.api.drops.GetDrop, request)
    except CallError as error:
        if error.is_away or error.reason == "DROP_NOT_FOUND":
            return _in_doubt(visit, form, looked=not error.is_away)
        raise
    return visit.redirect(f"/{answer.drop.name}")


def order_of(form: Mapping[str, str], undo_s: int) -> pb.DropRequest:
    """The request of a posted form.

    Raises:
        PageError: it is not one of this page's forms.
    """
    name, slot = form.get("request_id", ""), form.get("slot", "")
    price, delay = form.get("price", ""), form.get("delay", "") or str(undo_s)
    if not views.REQUEST_ID.fullmatch(name) or not slot.isascii() or not slot.isprintable():
        raise PageError(400, "bad_request")
    if not (views.is_number(price, views.PRICE_MAX) and views.is_number(delay, DELAYS_S[-1])):
        raise PageError(400, "bad_request")
    request = pb.DropRequest(request_id=name, slot=slot, price_ceiling=int(price), no_wait=True)
    if int(delay):
        request.delay.FromSeconds(int(delay))
    return request


def _in_doubt(visit: Visit, form: Mapping[str, str], *, looked: bool) -> Response:
    """The page of an order whose answer did not arrive; it asks again with the same request_id."""
    order = {key: form[key] for key in ("request_id", "slot", "price", "delay") if key in form}
    return visit.page(
        "doubt.html", 503, order=order, looked=looked, look=f"/drops/find?{urlencode(order)}"
    )


async def show(visit: Visit) -> Response:
    """GET /drops/{drop}: where it stands."""
    name = f"drops/{visit.request.path_params['drop']}"
    answer = await visit.call(visit.site.api.drops.GetDrop, pb.GetDropRequest(name=name))
    await visit.look_up_account()
    view = visit.drop_view(answer.drop)
    note = next((each for each in ("again", "late") if visit.query.get(each)), "")
    return visit.page(
        "drop.html", view=view, note=note, unscripted_s=0 if view.is_final else RELOAD_S
    )


async def cancel(visit: Visit) -> Response:
    """POST /drops/{drop}/cancel."""
    name = f"drops/{visit.request.path_params['drop']}"
    try:
        await visit.call(visit.site.api.drops.CancelDrop, pb.CancelDropRequest(name=name))
    except CallError as error:
        if error.reason != "DROP_NOT_CANCELLABLE":
            raise
        return visit.redirect(f"/{name}?late=1")
    return visit.redirect(f"/{name}")


async def follow(visit: Visit) -> Response:
    """GET /drops/{drop}/events: the drop's page as it changes."""
    if visit.login is None:
        raise PageError(401, "login_ended")
    name = f"drops/{visit.request.path_params['drop']}"
    # One that is not the caller's is refused here and not on the stream.
    try:
        await visit.call(visit.site.api.drops.GetDrop, pb.GetDropRequest(name=name))
    except CallError as error:
        if error.is_logged_out:
            # Not sent to the login: a script would take that page for a stream, again and again.
            raise PageError(401, "login_ended") from None
        # A frontend that is away is told on the stream, which goes on once it is back.
        if not error.is_away:
            raise
    return visit.stream(_changes(visit, name))


async def _changes(visit: Visit, name: str) -> AsyncGenerator[str, None]:
    """What the page shows, until the drop is at its end."""
    house = visit.site.house
    follower = Follower(visit.site.api, name, visit.caller)
    running = asyncio.create_task(follower.run())
    began = asyncio.get_running_loop().time()
    shown: object = None
    try:
        while not follower.is_refused:
            drop, version = follower.drop, house.version
            machine = house.machines.get(views.machine_of(drop.slot)) if drop else None
            is_late = at_motor(drop) and asyncio.get_running_loop().time() - began >= LATE_S
            facts = (drop, machine, is_late, follower.is_lost)
            if facts != shown:
                shown = facts
                yield await _drawn(visit, follower, machine, is_late=is_late)
            if follower.is_final:
                yield event("", "done")
                return
            await first_of(follower.changed(), house.changed(version), limit_s=LATE_S / 4)
            if not at_motor(drop):
                began = asyncio.get_running_loop().time()
    finally:
        running.cancel()


def at_motor(drop: pb.Drop | None) -> bool:
    """Whether the machine has been told to dispense it."""
    return drop is not None and drop.state == pb.Drop.STATE_DISPATCHED


async def _drawn(visit: Visit, follower: Follower, machine: Any, *, is_late: bool) -> str:
    """The HTML elements that depend on the drop's state, as messages of an event stream."""
    html = partial("state", visit.render("_state.html", current=not follower.is_lost))
    if follower.drop is None or follower.is_lost:
        return html
    with contextlib.suppress(CallError):
        await visit.look_up_account()
    view = views.drop_view(follower.drop, machine, visit.now(), is_late=is_late)
    html += partial("drop", visit.render("_drop.html", view=view, note=""))
    return html + partial("credits", visit.render("_credits.html"))
