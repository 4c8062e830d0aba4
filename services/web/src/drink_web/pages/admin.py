"""What administrators do: see what needs a hand, decide unknown drops, give credits back."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from drink.v1 import drop_service_pb2 as drops
from drink_web import views
from drink_web.errors import CallError, PageError
from drink_web.pages import alarms
from drink_web.pages.facts import told
from drink_web.visit import Visit

UNKNOWN_MAX = 50
"""Unknown drops on one page; those that are decided make room for more."""

OUTCOMES = {"fell": drops.Drop.STATE_DISPENSED, "not": drops.Drop.STATE_NOT_DISPENSED}
"""What an administrator may decide, by the value in the form."""


@dataclass(frozen=True, slots=True)
class Today:
    """What needs a hand.

    Attributes:
        unknown: Drops that somebody has to decide, newest first.
        away: Machines that cannot sell.
        warm: Machines that are too warm.
        low: Slots that sell and are empty or nearly so, with their machines.
        alarms: Alarms that are not closed, but for those of unknown drops.
    """

    unknown: Sequence[views.DropView]
    away: Sequence[views.MachineView]
    warm: Sequence[views.MachineView]
    low: Sequence[tuple[views.MachineView, views.Tile]]
    alarms: Sequence[alarms.AlarmView]


async def show_today(visit: Visit) -> Response:
    """GET /admin."""
    await visit.look_up_account()
    request = drops.ListDropsRequest(
        parent="accounts/-", page_size=UNKNOWN_MAX, states=[drops.Drop.STATE_UNKNOWN]
    )
    listed = await visit.call(visit.site.api.drops.ListDrops, request)
    known = visit.site.house.machines
    found = [views.machine_view(machine, is_current=True) for machine in known.values()]
    warm_celsius = visit.site.settings.admin.warm_celsius
    today = Today(
        unknown=[visit.drop_view(drop) for drop in listed.drops],
        away=[view for view in found if view.state != "ready"],
        warm=[
            view
            for view in found
            if view.machine.HasField("temperature_celsius")
            and view.machine.temperature_celsius >= warm_celsius
        ],
        low=[
            (view, tile)
            for view in found
            for tile in view.tiles
            if tile.state == "sold_out" or tile.few
        ],
        alarms=[view for view in await alarms.list_open(visit) if not view.needs_decision],
    )
    return visit.page("admin_today.html", here="admin", today=today, machines=known.values())


async def show_drop(visit: Visit) -> Response:
    """GET /admin/drops/{drop}: a drop with all that is kept of it."""
    return await _drop_page(visit)


async def _drop_page(
    visit: Visit,
    status: int = 200,
    *,
    problem: str = "",
    outcome: str = "",
    reason: str = "",
    request_id: str = "",
) -> Response:
    """The page of a drop.

    Args:
        visit: For whom.
        status: HTTP status.
        problem: What is wrong with the decision or the refund.
        outcome: Chosen so far; with a reason and no problem it is asked for confirmation.
        reason: Written so far.
        request_id: Names the refund that is repeated; empty for a new one.
    """
    name = f"drops/{visit.request.path_params['drop']}"
    drop = (await visit.call(visit.site.api.drops.GetDrop, drops.GetDropRequest(name=name))).drop
    request = drops.ListDropRecordsRequest(parent=name)
    answer = await visit.call(visit.site.api.drops.ListDropRecords, request)
    await visit.look_up_account()
    return visit.page(
        "admin_drop.html",
        status,
        here="admin",
        view=visit.drop_view(drop),
        records=[(record, told(record)) for record in answer.records],
        problem=problem,
        outcome=outcome,
        reason=reason,
        name=request_id or f"web-{views.new_page()}",
    )


async def decide(visit: Visit) -> Response:
    """POST /admin/drops/{drop}/decide: first asks for confirmation, then decides."""
    form = await visit.form()
    outcome, reason = form.get("outcome", ""), form.get("reason", "").strip()
    if outcome not in OUTCOMES:
        problem = visit.texts("problem_outcome")
        return await _drop_page(visit, 422, problem=problem, reason=reason[: views.REASON_MAX])
    if not 1 <= len(reason) <= views.REASON_MAX or not reason.isprintable():
        return await _drop_page(visit, 422, problem=visit.texts("problem_reason"), outcome=outcome)
    if form.get("confirmed") != "yes":
        return await _drop_page(visit, outcome=outcome, reason=reason)
    name = f"drops/{visit.request.path_params['drop']}"
    request = drops.ResolveDropRequest(name=name, state=OUTCOMES[outcome], reason=reason)
    try:
        await visit.call(visit.site.api.drops.ResolveDrop, request)
    except CallError as error:
        if error.reason != "DROP_NOT_UNKNOWN":
            raise
        # Somebody else, or the machine's late answer, was there first: the page shows who.
        return await _drop_page(visit, 409, problem=visit.texts("DROP_NOT_UNKNOWN"))
    return visit.redirect(f"/admin/{name}")


async def refund(visit: Visit) -> Response:
    """POST /admin/drops/{drop}/refund: gives back what was paid, in whole or part."""
    form = await visit.form()
    request_id, reason = form.get("request_id", ""), form.get("reason", "").strip()
    amount = form.get("credits", "").strip()
    if not views.REQUEST_ID.fullmatch(request_id):
        raise PageError(400, "bad_request")
    kept = {"reason": reason[: views.REASON_MAX], "request_id": request_id}
    if not views.is_number(amount, views.PRICE_MAX) or int(amount) == 0:
        return await _drop_page(visit, 422, problem=visit.texts("problem_refund"), **kept)
    if not 1 <= len(reason) <= views.REASON_MAX or not reason.isprintable():
        return await _drop_page(visit, 422, problem=visit.texts("problem_refund_why"), **kept)
    request = drops.RefundDropRequest(
        request_id=request_id,
        name=f"drops/{visit.request.path_params['drop']}",
        credits=int(amount),
        reason=reason,
        restock=form.get("restock") == "yes",
    )
    try:
        await visit.call(visit.site.api.drops.RefundDrop, request)
    except CallError as error:
        if error.is_away:
            # The same name again: if it was carried out, asking again changes nothing.
            return await _drop_page(visit, 503, problem=visit.texts("doubt_refund"), **kept)
        if error.reason == "FIELD_INVALID":
            return await _drop_page(visit, 422, problem=visit.texts("problem_refund"), **kept)
        if error.reason not in ("DROP_REFUNDED", "DROP_NOT_PAID", "REQUEST_ID_REUSED"):
            raise
        # Somebody else was first: the page shows what was given back.
        return await _drop_page(visit, 409, problem=visit.texts(error.reason))
    return visit.redirect(f"/admin/{request.name}")
