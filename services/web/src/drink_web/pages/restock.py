"""Stock for administrators: what to bring, items put into slots, and counted slots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.responses import Response

from drink.v1 import machine_service_pb2 as pb
from drink_web import views
from drink_web.errors import CallError, PageError
from drink_web.pages.slots import slot_page
from drink_web.visit import Visit

PUT = "put-"
"""Prefix of the form's fields; the number of the slot follows."""


@dataclass(frozen=True, slots=True)
class Pick:
    """One item to bring.

    Attributes:
        item: Its name.
        places: The slots that are empty or nearly so, each with its machine.
    """

    item: str
    places: Sequence[tuple[views.MachineView, views.Tile]]


async def show(visit: Visit) -> Response:
    """GET /admin/restock: what to bring, and a form for each machine."""
    return await _page(visit, done=visit.query.get("done", ""))


async def _page(
    visit: Visit,
    status: int = 200,
    *,
    done: str = "",
    machine: str = "",
    problem: str = "",
    page: str = "",
    amounts: Mapping[str, str] | None = None,
) -> Response:
    """The page.

    Args:
        visit: The request.
        status: HTTP status.
        done: Name of the machine that was filled.
        machine: Name of the machine whose form has a problem or open amounts.
        problem: What is wrong with it.
        page: Name of the drawn page whose request_ids the form repeats; empty for new ones.
        amounts: Amounts in that form, by the number of the slot.
    """
    await visit.require_admin()
    known = visit.site.house.machines.values()
    found = [views.machine_view(each, is_current=True) for each in known]
    return visit.page(
        "admin_restock.html",
        status,
        here="admin",
        machines=found,
        picks=_picks(found),
        done=next((view for view in found if view.id == done), None),
        machine=machine,
        problem=problem,
        page=page or views.new_page(),
        amounts=amounts or {},
    )


def _picks(found: Sequence[views.MachineView]) -> Sequence[Pick]:
    """The items of slots that sell and are empty or nearly so, in order of their names."""
    places: dict[str, list[tuple[views.MachineView, views.Tile]]] = {}
    for view in found:
        for tile in view.tiles:
            if tile.state == "sold_out" or tile.few:
                places.setdefault(tile.slot.item, []).append((view, tile))
    return [Pick(item, places[item]) for item in sorted(places)]


async def put_in(visit: Visit) -> Response:
    """POST /admin/restock/{machine}: adds items to the slots that have an amount.

    Each slot is one request with a request_id of the drawn page, so that a form that is sent again
    adds nothing twice.
    """
    form = await visit.form()
    machine, page = visit.request.path_params["machine"], form.get("page", "")
    if not views.PAGE.fullmatch(page):
        raise PageError(400, "bad_request")
    amounts = {
        key.removeprefix(PUT): text.strip()
        for key, text in form.items()
        if key.startswith(PUT) and text.strip()
    }
    wrong = [text for text in amounts.values() if not _is_amount(text)]
    problem = "problem_amounts" if wrong else "" if amounts else "problem_nothing"
    if problem:
        text = visit.texts(problem)
        return await _page(visit, 422, machine=machine, problem=text, page=page, amounts=amounts)
    left = dict(amounts)
    for number, text in amounts.items():
        slot = f"machines/{machine}/slots/{number}"
        request = pb.AdjustStockRequest(
            request_id=views.request_id(page, slot), name=slot, change=int(text)
        )
        try:
            await visit.call(visit.site.api.machines.AdjustStock, request)
        except CallError as error:
            return await _stopped(visit, error, page, number, left)
        del left[number]
    return visit.redirect(f"/admin/restock?done={machine}")


async def _stopped(
    visit: Visit, error: CallError, page: str, number: str, left: Mapping[str, str]
) -> Response:
    """The page after one of several requests failed, with what has not been added.

    Raises:
        CallError: the login has ended, or the caller has no rights.
    """
    machine = visit.request.path_params["machine"]
    if error.is_away:
        # The same names again: what was carried out is not added a second time.
        text = visit.texts("doubt_stock")
        return await _page(visit, 503, machine=machine, problem=text, page=page, amounts=left)
    if error.is_logged_out or error.status in ("PERMISSION_DENIED", "NOT_FOUND"):
        raise error
    text = f"{visit.texts('slot', n=number)}: {visit.refusal(error)}"
    return await _page(visit, 409, machine=machine, problem=text, amounts=left)


def _is_amount(text: str) -> bool:
    return views.is_number(text, views.STOCK_MAX) and int(text) > 0


async def count(visit: Visit) -> Response:
    """POST /admin/machines/{machine}/{slot}/count: sets a slot to what was counted.

    It is refused if the slot has changed since the page was drawn.
    """
    form, path = await visit.form(), visit.request.path_params
    counted, request_id = form.get("count", "").strip(), form.get("request_id", "")
    etag = form.get("etag", "")
    if not views.REQUEST_ID.fullmatch(request_id) or not etag:
        raise PageError(400, "bad_request")
    if not views.is_number(counted, views.STOCK_MAX):
        return await slot_page(visit, 422, problem=visit.texts("problem_count"))
    request = pb.AdjustStockRequest(
        request_id=request_id,
        name=f"machines/{path['machine']}/slots/{path['slot']}",
        count=int(counted),
        etag=etag,
    )
    try:
        await visit.call(visit.site.api.machines.AdjustStock, request)
    except CallError as error:
        if error.is_away:
            text = visit.texts("doubt_stock")
            return await slot_page(visit, 503, problem=text, request_id=request_id)
        if error.reason not in ("SLOT_CHANGED", "STOCK_INVALID"):
            raise
        return await slot_page(visit, 409, problem=visit.refusal(error))
    return visit.redirect(f"/admin/machines/{path['machine']}/{path['slot']}?done=1")
