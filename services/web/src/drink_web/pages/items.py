"""The list of items for administrators: names, prices, barcodes and pictures."""

import re
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from drink.v1 import item_service_pb2 as pb
from drink_web import views
from drink_web.errors import CallError, PageError
from drink_web.forms import touched
from drink_web.images import shrink
from drink_web.visit import Visit

ROWS_MAX = 1_000
"""Items on the page: as many as the API gives at once."""

BARCODE = re.compile(r"([A-Za-z0-9_.-]{6,64})?")
"""What the API takes as a barcode, or nothing."""

DONE = ("made", "changed")
"""What may be said after a change."""

REFUSALS = ("ALREADY_EXISTS", "ITEM_SOLD", "TOO_MANY_ITEMS", "FIELD_INVALID")
"""Reasons that the page of an item tells in words of its own."""


async def list_items(visit: Visit) -> list[pb.Item]:
    """The items of the list, in order of their names."""
    request = pb.ListItemsRequest(page_size=ROWS_MAX)
    answer = await visit.call(visit.site.api.items.ListItems, request)
    return sorted(answer.items, key=lambda item: item.display_name.casefold())


async def show_list(visit: Visit) -> Response:
    """GET /admin/items."""
    return await _list_page(visit)


async def _list_page(
    visit: Visit, status: int = 200, *, problem: str = "", fields: Mapping[str, str] | None = None
) -> Response:
    await visit.require_admin()
    return visit.page(
        "admin_items.html",
        status,
        here="admin",
        items=await list_items(visit),
        pictures=visit.site.house.pictures.known,
        problem=problem,
        fields=fields or {},
        removed=visit.query.get("done") == "removed",
    )


async def make(visit: Visit) -> Response:
    """POST /admin/items: makes an item of the list."""
    form = await visit.form()
    fields, problem = _fields(form)
    if problem:
        return await _list_page(visit, 422, problem=visit.texts(problem), fields=form)
    request = pb.CreateItemRequest(**fields)
    try:
        item = (await visit.call(visit.site.api.items.CreateItem, request)).item
    except CallError as error:
        if error.reason not in REFUSALS:
            raise
        problem = visit.texts(f"item_{error.reason}")
        return await _list_page(visit, 409, problem=problem, fields=form)
    return visit.redirect(f"/admin/{item.name}?done=made")


async def show(visit: Visit) -> Response:
    """GET /admin/items/{item}."""
    return await _item_page(visit)


async def _item_page(
    visit: Visit, status: int = 200, *, where: str = "", problem: str = ""
) -> Response:
    """The page of the item in the path.

    Args:
        visit: The request.
        status: HTTP status.
        where: The form that has a problem: `item` or `picture`.
        problem: What is wrong.
    """
    await visit.require_admin()
    request = pb.GetItemRequest(name=_name(visit))
    item = (await visit.call(visit.site.api.items.GetItem, request)).item
    machines = visit.site.house.machines.values()
    found = [views.machine_view(machine, is_current=True) for machine in machines]
    done = visit.query.get("done", "")
    return visit.page(
        "admin_item.html",
        status,
        here="admin",
        item=item,
        sold=[
            (view, tile)
            for view in found
            for tile in view.tiles
            if tile.slot.sold_item == item.name
        ],
        done=done if done in DONE and not problem else "",
        where=where,
        problem=problem,
        upload_bytes_max=visit.site.settings.pictures.upload_bytes_max,
    )


async def change(visit: Visit) -> Response:
    """POST /admin/items/{item}: another name, price or barcode, or its end."""
    form = await visit.form()
    api = visit.site.api.items
    request: Any
    if form.get("do") == "remove":
        method, request, goal = api.DeleteItem, pb.DeleteItemRequest(name=_name(visit)), "removed"
    else:
        fields, problem = _fields(form)
        if problem:
            return await _item_page(visit, 422, where="item", problem=visit.texts(problem))
        changed = touched(form, fields, {"display_name": "name"})
        if not changed:
            return visit.redirect(f"/admin/{_name(visit)}?done=changed")
        method, request = api.UpdateItem, pb.UpdateItemRequest(name=_name(visit), **changed)
        goal = ""
    try:
        await visit.call(method, request)
    except CallError as error:
        if error.reason not in REFUSALS:
            raise
        problem = visit.texts(f"item_{error.reason}")
        return await _item_page(visit, 409, where="item", problem=problem)
    if goal:
        return visit.redirect(f"/admin/items?done={goal}")
    return visit.redirect(f"/admin/{_name(visit)}?done=changed")


async def change_picture(visit: Visit) -> Response:
    """POST /admin/items/{item}/picture: takes a picture, made small and plain, or removes it."""
    # Nobody else's picture is even read.
    await visit.require_admin()
    try:
        content = await _sent_picture(visit)
    except PageError as error:
        return await _item_page(
            visit, error.status, where="picture", problem=visit.texts(error.text)
        )
    try:
        await visit.site.house.set_picture(_name(visit), content, visit.caller)
    except CallError as error:
        if error.reason != "FIELD_INVALID":
            raise
        problem = visit.texts("picture_kind")
        return await _item_page(visit, 422, where="picture", problem=problem)
    return visit.redirect(f"/admin/{_name(visit)}?done=changed")


async def _sent_picture(visit: Visit) -> bytes:
    """The picture in the posted form as it is kept; empty if the picture is to be removed.

    Raises:
        PageError: it is no picture, or too large.
    """
    fields, content = await visit.upload("picture")
    if fields.get("do") == "remove":
        return b""
    if not content:
        raise PageError(422, "picture_none")
    return await shrink(content, visit.site.settings.pictures.side_max)


def _name(visit: Visit) -> str:
    return f"items/{visit.request.path_params['item']}"


def _fields(form: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """The fields of an item in a form, and the key of what is wrong with them."""
    name, price = form.get("name", "").strip(), form.get("price", "").strip()
    barcode = form.get("barcode", "").strip()
    if not views.is_item(name):
        return {}, "problem_item"
    if not views.is_number(price, views.PRICE_MAX):
        return {}, "problem_price"
    if not BARCODE.fullmatch(barcode):
        return {}, "problem_barcode"
    return {"display_name": name, "price": int(price), "barcode": barcode}, ""
