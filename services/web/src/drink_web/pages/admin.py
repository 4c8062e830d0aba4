"""What administrators do: see what needs a hand, decide unknown drops, change slots."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict
from starlette.responses import Response

from drink.v1 import drop_service_pb2 as drops
from drink.v1 import machine_service_pb2 as machines
from drink_web import views
from drink_web.errors import CallError, PageError
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
    """

    unknown: Sequence[views.DropView]
    away: Sequence[views.MachineView]
    warm: Sequence[views.MachineView]
    low: Sequence[tuple[views.MachineView, views.Tile]]


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
    )
    return visit.page("admin_today.html", here="admin", today=today, machines=known.values())


async def show_drop(visit: Visit) -> Response:
    """GET /admin/drops/{drop}: a drop with all that is kept of it."""
    return await _drop_page(visit)


async def _drop_page(
    visit: Visit, status: int = 200, *, problem: str = "", outcome: str = "", reason: str = ""
) -> Response:
    """The page of a drop.

    Args:
        visit: For whom.
        status: HTTP status.
        problem: What is wrong with the decision.
        outcome: Chosen so far; with a reason and no problem it is asked for confirmation.
        reason: Written so far.
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
    )


def told(record: drops.DropRecord) -> Sequence[str]:
    """What a record tells, a line each: the step, its facts, then the evidence in its order.

    A line that the board was sent begins with the seconds since the command and an arrow to the
    right, one that it answered with an arrow to the left.
    """
    facts = MessageToDict(record.facts)
    evidence = facts.pop("evidence", None)
    before, after = facts.pop("from", ""), facts.pop("to", "")
    lines = [f"{before} → {after}" if before else str(after)] if after else []
    lines += _plain(facts)
    if isinstance(evidence, dict):
        spoken = evidence.pop("lines", None)
        for each in spoken if isinstance(spoken, list) else ():
            arrow = "→" if each.get("direction") == "SENT" else "←"
            offset_s = float(each.get("offset_ms") or 0) / 1000
            lines.append(f"{offset_s:+.1f} s {arrow} {each.get('text', '')}")
        lines += _plain(evidence)
    return lines


def _plain(facts: Mapping[str, Any]) -> Iterator[str]:
    for key, value in sorted(facts.items()):
        if value in ("", None, "NONE"):
            continue
        # The API's Struct has no whole numbers.
        shown = int(value) if isinstance(value, float) and value.is_integer() else value
        text = shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)
        yield f"{key}: {text}"


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


async def show_slot(visit: Visit) -> Response:
    """GET /admin/machines/{machine}/{slot}: what a slot sells."""
    return await _slot_page(visit, done=bool(visit.query.get("done")))


async def _slot_page(
    visit: Visit, status: int = 200, *, done: bool = False, problem: str = ""
) -> Response:
    await visit.look_up_account()
    if visit.account is None or not visit.account.admin:
        raise PageError(403, "admin_only")
    view, tile = visit.slot_view(is_current=True)
    return visit.page(
        "admin_slot.html", status, here="admin", view=view, tile=tile, done=done, problem=problem
    )


async def change_slot(visit: Visit) -> Response:
    """POST /admin/machines/{machine}/{slot}: another item or price, in or out of service."""
    form = await visit.form()
    path = visit.request.path_params
    item, price = form.get("item", "").strip(), form.get("price", "").strip()
    problem = ""
    if not 1 <= len(item) <= views.ITEM_MAX or not item.isprintable() or '"' in item:
        problem = "problem_item"
    elif not views.is_number(price, views.PRICE_MAX):
        problem = "problem_price"
    if problem:
        return await _slot_page(visit, 422, problem=visit.texts(problem))
    request: Any = machines.UpdateSlotRequest(
        name=f"machines/{path['machine']}/slots/{path['slot']}",
        item=item,
        price=int(price),
        enabled=form.get("enabled") == "yes",
    )
    try:
        await visit.call(visit.site.api.machines.UpdateSlot, request)
    except CallError as error:
        if error.reason != "SLOT_SELLS_ITEM":
            raise
        return await _slot_page(visit, 409, problem=visit.texts("SLOT_SELLS_ITEM"))
    return visit.redirect(f"/admin/machines/{path['machine']}/{path['slot']}?done=1")
