"""The JSON shapes that clients of the kindred server read, made from the API's messages."""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import item_service_pb2 as items
from drink.v1 import machine_service_pb2 as machines
from drink_web.views import machine_of

OWN_ITEMS = 1 << 47
"""A bit of the `id` of what is no item of the list, whose numbers are below it."""


def number_of(*names: str) -> int:
    """The numeric id of what has only a name in the API: 48 bits of a hash of it.

    It is the same in every process and after every restart. 48 bits, because clients in JavaScript
    count exactly up to 2^53.
    """
    return int.from_bytes(sha256("\0".join(names).encode()).digest()[:6])


def item_shape(item: items.Item) -> dict[str, Any]:
    """An item of the list; its `id` is its number."""
    number = int(item.name.removeprefix("items/"))
    return {"id": number, "name": item.display_name, "price": item.price}


def sold_shape(slot: machines.Slot) -> dict[str, Any]:
    """What a slot sells: an item of the list, or a name and price of its own.

    Slots of the same name and price sell the same. Their numbers are above those of the list.
    """
    if slot.sold_item:
        number = int(slot.sold_item.removeprefix("items/"))
    else:
        number = OWN_ITEMS | number_of("item", slot.item, str(slot.price))
    return {"id": number, "name": slot.item, "price": slot.price}


def slot_shape(slot: machines.Slot) -> dict[str, Any]:
    """A slot; `machine` is the `id` of its machine."""
    return {
        "machine": number_of(machine_of(slot.name)),
        "number": int(slot.name.rpartition("/")[2]),
        "active": slot.enabled,
        "empty": slot.available <= 0,
        "count": slot.available,
        "item": sold_shape(slot),
    }


def machine_shape(machine: machines.Machine) -> dict[str, Any]:
    """A machine with its slots; online is one that could drop now."""
    name = machine.name.removeprefix("machines/")
    return {
        "id": number_of(machine.name),
        "name": name,
        "display_name": machine.display_name or name,
        "is_online": machine.enabled and machine.reach == machines.Machine.REACH_READY,
        "slots": [slot_shape(slot) for slot in machine.slots],
    }


def own_items(known: Iterable[machines.Machine]) -> list[dict[str, Any]]:
    """What slots sell that is no item of the list, each name and price once."""
    found = {
        (slot.item, slot.price): sold_shape(slot)
        for machine in known
        for slot in machine.slots
        if slot.item and not slot.sold_item
    }
    return [found[key] for key in sorted(found)]


def balance(account: accounts.Account) -> int:
    """`drinkBalance`: credits that are owned and not held; a credit limit is no part of it."""
    return account.posted_credits - account.held_credits


def user_shape(account: accounts.Account) -> dict[str, Any]:
    """A user with `drinkBalance` as a number; accounts have no other name than their own."""
    uid = account.name.removeprefix("accounts/")
    return {"uid": uid, "cn": uid, "drinkBalance": balance(account)}
