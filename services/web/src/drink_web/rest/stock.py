"""`/items` and `/slots`: what is sold, where and for how much.

An item of the kindred server is an item of the list, which slots sell. A slot may also have a name
and price of its own: then the item is every slot that has the same.
"""

from collections.abc import Mapping
from typing import Any

from drink.v1 import item_service_pb2 as items
from drink.v1 import machine_service_pb2 as pb
from drink_web import views
from drink_web.errors import CallError
from drink_web.rest.exchange import (
    Exchange,
    RestError,
    known_machines,
    refusal,
    slot_name,
    text_of,
    whole,
)
from drink_web.rest.shapes import item_shape, own_items, slot_shape, sold_shape

LISTED_MAX = 999_999
"""The highest number of an item of the list."""

PAGE_ROWS = 1_000
"""Items of one call: as many as the API gives at once."""


async def show_items(exchange: Exchange) -> dict[str, Any]:
    """GET /items: the list, then what slots sell that is not in it."""
    found: list[dict[str, Any]] = []
    request = items.ListItemsRequest(page_size=PAGE_ROWS)
    api = exchange.site.api
    while True:
        answer = await api.call(api.items.ListItems, request, exchange.anybody)
        found += [item_shape(item) for item in answer.items]
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    found += own_items(known_machines(exchange).values())
    return {"message": f"Retrieved {len(found)} items", "items": found}


async def make_item(exchange: Exchange) -> dict[str, Any]:
    """POST /items: makes an item of the list."""
    _ = exchange.caller
    body = await exchange.body("name", "price")
    fields = _changes(body, "name", "price")
    request = items.CreateItemRequest(display_name=fields["item"], price=fields["price"])
    item = (await exchange.call(exchange.site.api.items.CreateItem, request)).item
    return {"message": "Item created", "item": item_shape(item)}


async def change_item(exchange: Exchange) -> dict[str, Any]:
    """PUT /items: another name or price of an item, in every slot that sells it."""
    _ = exchange.caller
    body = await exchange.body("id")
    changes = _changes(body, "name", "price")
    if not _is_listed(body["id"]):
        return await _change_own(exchange, _slots_with(exchange, body["id"]), changes)
    request = items.UpdateItemRequest(name=f"items/{body['id']}")
    if "item" in changes:
        request.display_name = changes["item"]
    if "price" in changes:
        request.price = changes["price"]
    item = (await exchange.call(exchange.site.api.items.UpdateItem, request)).item
    return {"message": "Item updated", "item": item_shape(item)}


async def _change_own(
    exchange: Exchange, slots: list[pb.Slot], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """Changes name or price of slots that have their own, one slot after another."""
    done, changed = 0, slots[0]
    for slot in slots:
        request = pb.UpdateSlotRequest(name=slot.name, **changes)
        try:
            answer = await exchange.call(exchange.site.api.machines.UpdateSlot, request)
        except CallError as error:
            wrong = refusal(error)
            if done:
                wrong.body["error"] += f" {done} of {len(slots)} slots were changed before."
            raise wrong from None
        changed, done = answer.slot, done + 1
    return {"message": f"Item updated in {done} slots", "item": sold_shape(changed)}


async def remove_item(exchange: Exchange) -> dict[str, Any]:
    """DELETE /items: removes an item of the list that no slot sells."""
    _ = exchange.caller
    body = await exchange.body("id")
    if not _is_listed(body["id"]):
        _slots_with(exchange, body["id"])
        raise refusal(CallError("FAILED_PRECONDITION", "ITEM_SOLD"))
    request = items.DeleteItemRequest(name=f"items/{body['id']}")
    await exchange.call(exchange.site.api.items.DeleteItem, request)
    return {"message": "Item deleted"}


async def change_slot(exchange: Exchange) -> dict[str, Any]:
    """PUT /slots: whether a slot sells, what, and how much is in it."""
    _ = exchange.caller
    body = await exchange.body("machine", "slot")
    request = pb.UpdateSlotRequest(name=slot_name(body), **_changes(body, "active", "count"))
    if "item_id" in body:
        if _is_listed(body["item_id"]):
            request.sold_item = f"items/{body['item_id']}"
        else:
            sold = _slots_with(exchange, body["item_id"])[0]
            request.item, request.price, request.sold_item = sold.item, sold.price, ""
    slot = (await exchange.call(exchange.site.api.machines.UpdateSlot, request)).slot
    return {
        "message": f"Slot {body['slot']} of {body['machine']} updated",
        "slot": slot_shape(slot),
    }


def _is_listed(number: object) -> bool:
    """Whether it can be the number of an item of the list."""
    return whole(number, 1, LISTED_MAX)


def _slots_with(exchange: Exchange, number: object) -> list[pb.Slot]:
    """The slots whose own name and price are the item with that `id`.

    Raises:
        RestError: there is none.
    """
    found = [
        slot
        for machine in known_machines(exchange).values()
        for slot in machine.slots
        if slot.item and not slot.sold_item and sold_shape(slot)["id"] == number
    ]
    if not found:
        raise RestError(400, "The provided item id is not that of an item")
    return found


def _changes(body: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """What a body changes of a slot, as fields of the API.

    Raises:
        RestError: a member is wrong.
    """
    found: dict[str, Any] = {}
    for name in names:
        if name not in body:
            continue
        value = body[name]
        field, is_good, allowed = {
            "active": ("enabled", isinstance(value, bool), "true or false"),
            "count": ("available", whole(value, 0, views.STOCK_MAX), f"0 to {views.STOCK_MAX}"),
            "name": ("item", text_of(value, views.ITEM_MAX), f"1 to {views.ITEM_MAX} characters"),
            "price": ("price", whole(value, 0, views.PRICE_MAX), f"0 to {views.PRICE_MAX}"),
        }[name]
        if not is_good:
            raise RestError(400, f"The {name} must be {allowed}")
        found[field] = value
    return found
