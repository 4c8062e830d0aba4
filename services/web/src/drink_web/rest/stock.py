"""`/items` and `/slots`: what is sold, where and for how much.

An item of the kindred server is what its slots name. Here a slot has its own name and price, and an
item is every slot that has the same.
"""

from collections.abc import Mapping
from typing import Any

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
from drink_web.rest.shapes import item_shape, items_shape, slot_shape

COUNT_MAX = 10_000
"""Items in a slot that the API takes."""


async def show_items(exchange: Exchange) -> dict[str, Any]:
    """GET /items: what is sold in the machines."""
    items = items_shape(known_machines(exchange).values())
    return {"message": f"Retrieved {len(items)} items", "items": items}


async def change_item(exchange: Exchange) -> dict[str, Any]:
    """PUT /items: another name or price in every slot that sells the item, one after another."""
    _ = exchange.caller
    body = await exchange.body("id")
    changes = _changes(body, "name", "price")
    slots = _slots_with(exchange, body["id"])
    done = 0
    changed = slots[0]
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
    return {"message": f"Item updated in {done} slots", "item": item_shape(changed)}


async def refuse_item(exchange: Exchange) -> dict[str, Any]:
    """POST and DELETE /items: an item is there as long as slots sell it."""
    _ = exchange.caller
    raise RestError(501, "An item is what slots sell. Change the slots that sell it.")


async def change_slot(exchange: Exchange) -> dict[str, Any]:
    """PUT /slots: whether a slot sells, what, and how much is in it."""
    _ = exchange.caller
    body = await exchange.body("machine", "slot")
    request = pb.UpdateSlotRequest(name=slot_name(body), **_changes(body, "active", "count"))
    if "item_id" in body:
        sold = _slots_with(exchange, body["item_id"])[0]
        request.item, request.price = sold.item, sold.price
    slot = (await exchange.call(exchange.site.api.machines.UpdateSlot, request)).slot
    return {
        "message": f"Slot {body['slot']} of {body['machine']} updated",
        "slot": slot_shape(slot),
    }


def _slots_with(exchange: Exchange, number: object) -> list[pb.Slot]:
    """The slots that sell the item with that `id`.

    Raises:
        RestError: there is none.
    """
    found = [
        slot
        for machine in known_machines(exchange).values()
        for slot in machine.slots
        if slot.item and item_shape(slot)["id"] == number
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
            "count": ("available", whole(value, 0, COUNT_MAX), f"0 to {COUNT_MAX}"),
            "name": ("item", text_of(value, views.ITEM_MAX), f"1 to {views.ITEM_MAX} characters"),
            "price": ("price", whole(value, 0, views.PRICE_MAX), f"0 to {views.PRICE_MAX}"),
        }[name]
        if not is_good:
            raise RestError(400, f"The {name} must be {allowed}")
        found[field] = value
    return found
