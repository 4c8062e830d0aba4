"""One slot for administrators: what it sells, making it, and removing it."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from drink.v1 import machine_service_pb2 as pb
from drink_web import views
from drink_web.errors import CallError, PageError
from drink_web.forms import touched
from drink_web.pages.items import list_items
from drink_web.pages.machines import find_machine, machine_page
from drink_web.pages.stock_history import stock_history
from drink_web.visit import Visit

SLOT_MAX = 99
"""Highest number of a slot."""


async def show(visit: Visit) -> Response:
    """GET /admin/machines/{machine}/{slot}: what a slot sells."""
    return await slot_page(visit, done=bool(visit.query.get("done")))


async def slot_page(
    visit: Visit, status: int = 200, *, done: bool = False, problem: str = "", request_id: str = ""
) -> Response:
    """The page of the slot in the path.

    Args:
        visit: The request.
        status: HTTP status.
        done: Whether a change is confirmed.
        problem: What is wrong with a change.
        request_id: Names the count that is repeated; empty for a new one.
    """
    await visit.require_admin()
    view = await find_machine(visit)
    number = visit.request.path_params["slot"]
    tile = next((tile for tile in view.tiles if tile.number == number), None)
    if tile is None:
        raise PageError(404, "not_found")
    return visit.page(
        "admin_slot.html",
        status,
        here="admin",
        view=view,
        tile=tile,
        items=await list_items(visit),
        stock=await stock_history(visit, tile.slot.name),
        done=done,
        problem=problem,
        name=request_id or f"web-{views.new_page()}",
    )


async def make(visit: Visit) -> Response:
    """POST /admin/machines/{machine}/slots: makes a slot."""
    form = await visit.form()
    machine, number = visit.request.path_params["machine"], form.get("number", "").strip()
    if not views.is_number(number, SLOT_MAX) or int(number) == 0:
        problem = visit.texts("problem_slot")
        return await machine_page(visit, 422, where="slot", problem=problem, fields=form)
    fields, wrong = _fields(form)
    available = form.get("available", "").strip() or "0"
    if not wrong and not views.is_number(available, views.STOCK_MAX):
        wrong = "problem_stock"
    if wrong:
        problem = visit.texts(wrong)
        return await machine_page(visit, 422, where="slot", problem=problem, fields=form)
    name = f"machines/{machine}/slots/{int(number)}"
    request = pb.CreateSlotRequest(name=name, available=int(available), **fields)
    try:
        await visit.call(visit.site.api.machines.CreateSlot, request)
    except CallError as error:
        status, problem = _told(visit, error, request)
        return await machine_page(visit, status, where="slot", problem=problem, fields=form)
    return visit.redirect(f"/admin/machines/{machine}?done=1")


async def change(visit: Visit) -> Response:
    """POST /admin/machines/{machine}/{slot}: another item, price or size, in or out of service."""
    form = await visit.form()
    fields, wrong = _fields(form)
    if wrong:
        return await slot_page(visit, 422, problem=visit.texts(wrong))
    fields["enabled"] = form.get("enabled") == "yes"
    changed = touched(form, fields)
    request = pb.UpdateSlotRequest(name=_name(visit), **changed)
    try:
        if changed:
            await visit.call(visit.site.api.machines.UpdateSlot, request)
    except CallError as error:
        status, problem = _told(visit, error, request)
        return await slot_page(visit, status, problem=problem)
    return visit.redirect(_path(visit) + "?done=1")


async def remove(visit: Visit) -> Response:
    """POST /admin/machines/{machine}/{slot}/remove: removes a slot that is empty and settled."""
    await visit.form()
    try:
        request = pb.DeleteSlotRequest(name=_name(visit))
        await visit.call(visit.site.api.machines.DeleteSlot, request)
    except CallError as error:
        if error.reason != "SLOT_IN_USE":
            raise
        facts = dict.fromkeys(("on_hand", "reserved", "unknown"), "?") | error.facts
        problem = visit.texts("SLOT_IN_USE", **facts)
        return await slot_page(visit, 409, problem=problem)
    return visit.redirect(f"/admin/machines/{visit.request.path_params['machine']}?done=1")


def _name(visit: Visit) -> str:
    path = visit.request.path_params
    return f"machines/{path['machine']}/slots/{path['slot']}"


def _path(visit: Visit) -> str:
    path = visit.request.path_params
    return f"/admin/machines/{path['machine']}/{path['slot']}"


def _fields(form: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """The fields of a slot in a form, and the key of what is wrong with them."""
    fields: dict[str, Any] = {}
    if "sold_item" in form:
        fields["sold_item"] = form["sold_item"]
    if not fields.get("sold_item"):
        item, price = form.get("item", "").strip(), form.get("price", "").strip()
        if not views.is_item(item):
            return {}, "problem_item"
        if not views.is_number(price, views.PRICE_MAX):
            return {}, "problem_price"
        fields |= {"item": item, "price": int(price)}
    for field in ("capacity", "low_stock_mark"):
        if field in form:
            text = form[field].strip() or "0"
            if not views.is_number(text, views.STOCK_MAX):
                return {}, "problem_stock"
            fields[field] = int(text)
    return fields, ""


def _told(visit: Visit, error: CallError, request: Any) -> tuple[int, str]:
    """HTTP status and text of a refusal that concerns what was typed.

    Raises:
        CallError: it does not.
    """
    if request.sold_item and error.reason in ("ITEM_NOT_FOUND", "FIELD_INVALID"):
        return 422, visit.texts("ITEM_NOT_FOUND")
    if error.reason == "FIELD_INVALID":
        return 422, visit.texts("problem_item")
    if error.reason == "ALREADY_EXISTS":
        return 409, visit.texts("slot_ALREADY_EXISTS")
    if error.reason == "STOCK_INVALID":
        return 409, visit.texts("problem_room")
    if error.reason == "SLOT_SELLS_ITEM":
        return 409, visit.texts("SLOT_SELLS_ITEM")
    raise error
