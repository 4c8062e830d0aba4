"""The screen beside a machine: a card logs in, a touch buys, and the next person finds nobody.

Everything has one address, `/kiosk`, and two cookies say what is shown there: one is the kiosk's,
one is of who has logged in. So a page that is loaded anew in mid-drop shows the drop.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import drop_service_pb2 as drops
from drink.v1 import kiosk_service_pb2 as pb
from drink_web import views
from drink_web.card_watch import CardWatch
from drink_web.cookies import Guest, Offer, Paired
from drink_web.errors import CallError, PageError
from drink_web.follow import Follower, first_of
from drink_web.pages.drops import LATE_S, at_motor, order_of
from drink_web.streams import event
from drink_web.visit import Visit

PAIRED_SUFFIX, GUEST_SUFFIX = "-kiosk", "-guest"
"""What the names of the two cookies end with."""

PAIRED_AGE_S = 400 * 86_400
"""Seconds until a browser forgets that it is a kiosk, the most that Chromium keeps a cookie. Each
page that is drawn begins them anew."""

GUEST_AGE_S = 900
"""Seconds until a browser forgets who has logged in, more than such a login lasts."""

BEAT_S = 5.0
"""Seconds between two signs of life on a stream: without one the kiosk says that it is cut off."""

CHECK_S = 30.0
"""Seconds between two looks whether the kiosk is still paired."""

NUMBER_MAX = 64
"""Characters of the longest number of a card."""

TICKET_AGE_S = 30
"""Seconds in which the browser fetches what came of a card that the machine's reader has read."""


class Screen:
    """What one request of a kiosk shows.

    Args:
        visit: The request.
    """

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        cookies = visit.site.cookies
        self.paired = cookies.read_as(Paired, visit.request, PAIRED_SUFFIX, PAIRED_AGE_S)
        self.guest = cookies.read_as(Guest, visit.request, GUEST_SUFFIX, GUEST_AGE_S)
        self.page = views.new_page()
        """Names what is drawn; the request_ids of its buttons begin with it."""

    async def call_as(self, token: str, method: Any, request: Any) -> Any:
        """Calls the frontend with the token of the kiosk or of who has logged in."""
        site = self.visit.site
        return await site.api.call(method, request, site.api.caller(token, self.visit.address))

    @property
    def left_ms(self) -> int:
        """Milliseconds in which who has logged in can still buy; 0 for nobody."""
        if self.guest is None:
            return 0
        return max(0, self.guest.buys_until_ms - int(self.visit.now().timestamp() * 1000))

    def main(self, kind: str, *, problem: str = "", current: bool = True, **facts: Any) -> str:
        """The HTML of what changes on the screen.

        Args:
            kind: `pair`, `start`, `code`, `tiles`, `doubt` or `drop`.
            problem: What is wrong, for people; empty for nothing.
            current: Whether the frontend answers.
            facts: Others that the template shows.
        """
        visit = self.visit
        machine = visit.site.house.machines.get(self.paired.machine) if self.paired else None
        view = views.machine_view(machine, is_current=current) if machine else None
        settings = visit.site.settings.kiosk
        quiet_s = settings.quiet_s if kind in ("tiles", "doubt") or problem else 0
        if kind == "code":
            quiet_s = settings.code_s
        shared = {
            "kind": kind,
            "problem": problem,
            "current": current,
            "machine": view,
            "pictures": visit.site.house.pictures.known,
            "guest": self.guest,
            "page": self.page,
            "left_ms": self.left_ms if kind == "tiles" else 0,
            "quiet_s": quiet_s,
            # What is told of an error or a card is not drawn over at once.
            "still": "all" if kind == "code" else "first" if problem else "",
            "drop": None,
            "code": "",
            "host": visit.request.url.netloc,
            "credits_left": self.guest.credits if self.guest else 0,
        }
        return visit.render("_kiosk.html", **shared | facts)

    def drop_main(self, drop: drops.Drop | None, *, current: bool, is_late: bool = False) -> str:
        """The same for a drop; None while it is not known."""
        guest = self.guest
        assert guest is not None
        if drop is None:
            return self.main("drop", current=current)
        view = self.visit.drop_view(drop, is_late=is_late)
        settings = self.visit.site.settings.kiosk
        quiet_s = {"unknown": settings.unknown_s}.get(
            view.kind, settings.result_s if view.is_final else 0
        )
        given_back = view.kind in ("not_dispensed", "cancelled")
        left = guest.credits + (drop.price if given_back else 0)
        return self.main("drop", current=current, drop=view, quiet_s=quiet_s, credits_left=left)

    def respond(self, main: str, status: int = 200) -> Response:
        """A response with the whole page."""
        visit = self.visit
        response = visit.page("kiosk.html", status, main=main, page=self.page)
        cookies, request = visit.site.cookies, visit.request
        if self.paired is not None:
            cookies.write_as(self.paired, request, response, PAIRED_SUFFIX, PAIRED_AGE_S)
        else:
            cookies.clear(request, response, PAIRED_SUFFIX)
        self._keep_guest(response)
        return response

    def again(self) -> Response:
        """A redirect to the page."""
        response = self.visit.redirect("/kiosk")
        self._keep_guest(response)
        return response

    def _keep_guest(self, response: Response) -> None:
        cookies, request = self.visit.site.cookies, self.visit.request
        if self.guest is not None:
            cookies.write_as(self.guest, request, response, GUEST_SUFFIX, GUEST_AGE_S)
        else:
            cookies.clear(request, response, GUEST_SUFFIX)


async def show(visit: Visit) -> Response:
    """GET /kiosk."""
    screen = Screen(visit)
    current = True
    if screen.paired is not None:
        try:
            api = visit.site.api.kiosks
            await screen.call_as(screen.paired.token, api.GetKiosk, pb.GetKioskRequest())
        except CallError as error:
            if error.is_logged_out:
                screen.paired = screen.guest = None
                problem = visit.texts("kiosk_ended")
                return screen.respond(screen.main("pair", problem=problem))
            if not error.is_away:
                raise
            current = False
    if screen.paired is None:
        return screen.respond(screen.main("pair"))
    return screen.respond(await _present(screen, current=current))


async def _present(screen: Screen, *, current: bool) -> str:
    """What a paired kiosk shows now."""
    guest = screen.guest
    if guest is None or not (guest.drop or guest.order or screen.left_ms):
        screen.guest = None
        return screen.main("start", current=current)
    if not (guest.drop or guest.order):
        return screen.main("tiles", current=current)
    request = drops.GetDropRequest(name=guest.drop)
    if guest.order:
        request = drops.GetDropRequest(request_id=guest.order[2])
    try:
        api = screen.visit.site.api.drops
        drop = (await screen.call_as(guest.token, api.GetDrop, request)).drop
    except CallError as error:
        if error.is_away:
            return _doubt(screen) if guest.order else screen.drop_main(None, current=False)
        if error.reason == "DROP_NOT_FOUND" and guest.order:
            return _doubt(screen)
        screen.guest = None
        return screen.main(
            "start", current=current, problem=screen.visit.texts("kiosk_login_ended")
        )
    screen.guest = replace(guest, drop=drop.name, order=())
    return screen.drop_main(drop, current=current)


def _doubt(screen: Screen) -> str:
    """What is shown of an order without an answer, which is sent again by itself."""
    assert screen.guest is not None
    names = ("slot", "price", "request_id")
    order = dict(zip(names, screen.guest.order, strict=True))
    return screen.main("doubt", current=False, order=order)


async def pair(visit: Visit) -> Response:
    """POST /kiosk/pair: makes this browser a kiosk."""
    screen = Screen(visit)
    code = "".join((await visit.form()).get("code", "")[:NUMBER_MAX].split())
    request = pb.RedeemPairingCodeRequest(pairing_code=code)
    try:
        answer = await screen.call_as("", visit.site.api.kiosks.RedeemPairingCode, request)
    except CallError as error:
        problem = visit.texts("kiosk_code_wrong")
        if error.is_away:
            problem = visit.texts("away")
        elif error.status == "RESOURCE_EXHAUSTED":
            problem = visit.texts.counted("login_wait", max(error.retry_s, 1))
        elif error.status not in ("UNAUTHENTICATED", "INVALID_ARGUMENT"):
            raise
        return screen.respond(screen.main("pair", problem=problem), 422)
    screen.paired, screen.guest = Paired(answer.token, answer.kiosk.machine), None
    response = screen.again()
    visit.site.cookies.write_as(screen.paired, visit.request, response, PAIRED_SUFFIX, PAIRED_AGE_S)
    return response


async def log_in(visit: Visit) -> Response:
    """POST /kiosk/login: a card was read."""
    screen = Screen(visit)
    paired = screen.paired
    if paired is None:
        return screen.again()
    form = await visit.form()
    if ticket := form.get("ticket", ""):
        return _show_read(screen, ticket)
    number = form.get("number", "").strip()[: NUMBER_MAX + 1]
    request = pb.LogInCardRequest(number=number, offer_code=True)
    try:
        answer = await screen.call_as(paired.token, visit.site.api.kiosks.LogInCard, request)
    except CallError as error:
        screen.guest = None
        if error.is_logged_out:
            return screen.again()
        return screen.respond(_not_logged_in(screen, error), 422)
    return _show_read(screen, _sealed(screen, answer))


def _sealed(screen: Screen, answer: pb.LogInCardResponse) -> str:
    """What came of a card, as a text that only this site can read."""
    visit = screen.visit
    if answer.HasField("refused_card"):
        return visit.site.cookies.seal(Offer(answer.refused_card.code))
    guest = Guest(
        answer.token,
        answer.account.name.removeprefix("accounts/"),
        answer.account.available_credits,
        int(visit.now().timestamp() * 1000) + answer.buy_duration.ToMilliseconds(),
    )
    return visit.site.cookies.seal(guest)


def _show_read(screen: Screen, ticket: str) -> Response:
    """What is shown once a card was read."""
    visit = screen.visit
    screen.guest = visit.site.cookies.unseal(Guest, ticket, TICKET_AGE_S)
    if screen.guest is not None:
        return screen.again()
    offer = visit.site.cookies.unseal(Offer, ticket, TICKET_AGE_S)
    if offer is None:
        return screen.again()
    if not offer.code:
        return screen.respond(screen.main("start", problem=visit.texts("kiosk_card_unknown")), 422)
    return screen.respond(screen.main("code", code=offer.code), 422)


def _not_logged_in(screen: Screen, error: CallError) -> str:
    texts = screen.visit.texts
    if error.is_away:
        return screen.main("start", current=False)
    if error.status == "RESOURCE_EXHAUSTED":
        problem = texts.counted("kiosk_wait", max(error.retry_s, 1))
    elif error.status in ("UNAUTHENTICATED", "INVALID_ARGUMENT"):
        problem = texts("kiosk_card_unknown")
    else:
        raise error
    return screen.main("start", problem=problem)


async def log_out(visit: Visit) -> Response:
    """POST /kiosk/logout: the next person finds nobody."""
    screen = Screen(visit)
    if screen.guest is not None:
        # The browser forgets it in any case; a token that nobody has runs out by itself.
        with contextlib.suppress(CallError):
            logout = visit.site.api.accounts.Logout
            await screen.call_as(screen.guest.token, logout, accounts.LogoutRequest())
    screen.guest = None
    return screen.again()


async def buy(visit: Visit) -> Response:
    """POST /kiosk/drops: asks for a drop; asking twice with one request_id is asking once."""
    screen = Screen(visit)
    guest = screen.guest
    if guest is None:
        return screen.again()
    form = await visit.form()
    request = order_of(form, visit.site.settings.drops.undo_s)
    try:
        answer = await screen.call_as(guest.token, visit.site.api.drops.Drop, request)
    except CallError as error:
        if error.is_away:
            order = (request.slot, str(request.price_ceiling), request.request_id)
            screen.guest = replace(guest, order=order)
            return screen.respond(_doubt(screen), 503)
        return screen.respond(_not_bought(screen, error), 409)
    screen.guest = replace(guest, drop=answer.drop.name, credits=answer.available_credits, order=())
    return screen.again()


def _not_bought(screen: Screen, error: CallError) -> str:
    visit = screen.visit
    if error.status in ("INTERNAL", "UNKNOWN"):
        raise error
    if error.is_logged_out:
        screen.guest = None
        return screen.main("start", problem=visit.texts("kiosk_login_ended"))
    assert screen.guest is not None
    screen.guest = replace(screen.guest, order=())
    reason = f"{visit.texts('nothing_bought')} {visit.refusal(error)}"
    return screen.main("tiles", problem=reason)


async def cancel(visit: Visit) -> Response:
    """POST /kiosk/cancel: takes back what was bought, if the machine has not been told yet."""
    screen = Screen(visit)
    if screen.guest is not None and screen.guest.drop:
        request = drops.CancelDropRequest(name=screen.guest.drop)
        # What cannot be cancelled any more is shown as it is; so is one that does not answer.
        with contextlib.suppress(CallError):
            await screen.call_as(screen.guest.token, visit.site.api.drops.CancelDrop, request)
    return screen.again()


async def follow(visit: Visit) -> Response:
    """GET /kiosk/events?page=...: what the screen shows, as it changes."""
    screen = Screen(visit)
    page = visit.query.get("page", "")
    if screen.paired is None or not views.PAGE.fullmatch(page):
        raise PageError(400, "bad_request")
    screen.page = page
    return visit.stream(_changes(screen))


async def _changes(screen: Screen) -> AsyncGenerator[str, None]:
    guest, visit, still = screen.guest, screen.visit, screen.visit.query.get("still")
    if guest is not None and guest.drop:
        follower = Follower(
            visit.site.api, guest.drop, visit.site.api.caller(guest.token, visit.address)
        )
        async for message in _drop_changes(screen, follower):
            yield message
        if not follower.is_final:
            return
        still = "all"
    assert screen.paired is not None
    cards = CardWatch(visit.site.api, visit.site.api.caller(screen.paired.token, visit.address))
    # No card is read for the next person while an order waits for its answer.
    running = None if guest and guest.order else asyncio.create_task(cards.run())
    try:
        async for message in _screen_changes(screen, cards, still):
            yield message
    finally:
        if running is not None:
            running.cancel()


async def _screen_changes(
    screen: Screen, cards: CardWatch, still: str | None
) -> AsyncGenerator[str, None]:
    """What changes on a screen without a drop on its way.

    Args:
        screen: The screen.
        cards: The cards that the machine's reader reads.
        still: `first` if it is not drawn until something changes, `all` if it is not drawn at all.
    """
    house, guest = screen.visit.site.house, screen.guest
    loop = asyncio.get_running_loop()
    checked, shown = loop.time(), None
    paired = screen.paired
    assert paired is not None
    while True:
        version = house.version
        facts = (house.machines.get(paired.machine), house.is_current, house.pictures.known)
        if still == "all" or (still == "first" and shown is None) or (guest and guest.order):
            shown = facts
        if (answer := cards.take()) is not None:
            yield event(_sealed(screen, answer), "card")
        elif facts != shown:
            shown = facts
            kind = "start" if guest is None else "tiles"
            yield event(screen.main(kind, current=house.is_current))
        else:
            yield event("", "beat")
        is_due = loop.time() - checked >= CHECK_S
        if is_due:
            checked = loop.time()
        if cards.is_ended or (is_due and await _is_ended(screen)):
            yield event("", "reload")
            return
        await first_of(house.changed(version), cards.changed(), limit_s=BEAT_S)


async def _is_ended(screen: Screen) -> bool:
    assert screen.paired is not None
    api = screen.visit.site.api.kiosks
    try:
        await screen.call_as(screen.paired.token, api.GetKiosk, pb.GetKioskRequest())
    except CallError as error:
        return error.is_logged_out
    return False


async def _drop_changes(screen: Screen, follower: Follower) -> AsyncGenerator[str, None]:
    house, loop = screen.visit.site.house, asyncio.get_running_loop()
    running = asyncio.create_task(follower.run())
    began, shown = loop.time(), None
    try:
        while not follower.is_refused:
            drop, version = follower.drop, house.version
            if not at_motor(drop):
                began = loop.time()
            is_late = loop.time() - began >= LATE_S
            machine = house.machines.get(views.machine_of(drop.slot)) if drop else None
            facts: Mapping[str, Any] = {
                "drop": drop,
                "lost": follower.is_lost,
                "late": is_late,
                "machine": machine,
            }
            if facts != shown and drop is not None:
                yield event(screen.drop_main(drop, current=not follower.is_lost, is_late=is_late))
            else:
                yield event("", "lost" if follower.is_lost else "beat")
            shown = facts
            if follower.is_final:
                return
            await first_of(follower.changed(), house.changed(version), limit_s=BEAT_S / 2)
        # The login has run out; what became of the drop is in the buyer's history.
        yield event("", "reload")
    finally:
        running.cancel()
