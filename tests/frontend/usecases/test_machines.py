"""Machines and slots: what buyers see, and what administrators change."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import AuditKind, Machine, Reach
from drink_frontend.domain.errors import (
    AdminRequiredError,
    AlreadyExistsError,
    DrinkError,
    FieldInvalidError,
    LinkSupersededError,
    MachineNotFoundError,
    SlotEmptyError,
    SlotInUseError,
    SlotNotFoundError,
    StockInvalidError,
    TokenInvalidError,
)
from drink_frontend.domain.ledger import CREDITS_MAX
from drink_frontend.domain.stock import STOCK_MAX, Sensor
from drink_frontend.usecases.refunds import RefundOrder
from drink_frontend.usecases.tokens import digest
from tests.support.bench import Bench
from tests.support.ids import BOB, ROOT

LIMIT_S = 20
"""Longest wait for a change in seconds; a test that waits longer has failed."""


async def test_machines_are_shown_with_slots_and_reach(bench: Bench) -> None:
    await bench.reach(Reach.BOARD_DOWN, "ld")
    d, ld = await bench.machines.list()

    assert (d.name, d.display_name, d.reach) == ("d", "D", Reach.READY)
    assert [(slot.number, slot.item, slot.price, slot.available) for slot in d.slots] == [
        (1, "Coke", 50, 3),
        (2, "Tea", 30, 1),
    ]
    assert (ld.name, ld.reach) == ("ld", Reach.BOARD_DOWN)
    assert await bench.machines.get("d") == d
    with pytest.raises(MachineNotFoundError):
        await bench.machines.get("s")


async def test_a_watch_shows_all_and_then_each_that_changed(bench: Bench) -> None:
    shown: list[tuple[str, int]] = []

    async def watch() -> None:
        async for machine in bench.machines.watch([]):
            shown.append((machine.name, machine.slots[0].available))
            match len(shown):
                case 2:
                    await bench.place("r1", machine="ld")
                case 3:
                    await bench.place("r2")
                case 4:
                    return

    async with asyncio.timeout(LIMIT_S):
        await watch()
    assert shown == [("d", 3), ("ld", 2), ("ld", 1), ("d", 2)]


@pytest.mark.parametrize("names", [["d"], ["d", "missing-is-made-below"]])
async def test_a_watch_shows_only_the_machines_it_names(bench: Bench, names: list[str]) -> None:
    for name in names[1:]:
        await bench.machines.create(ROOT, name, name)
    seen: list[Machine] = []

    async def watch() -> None:
        async for machine in bench.machines.watch(names):
            seen.append(machine)
            if len(seen) == len(names):
                await bench.place("r1", machine="ld")
                await bench.place("r2", machine="d")
            if len(seen) > len(names):
                return

    async with asyncio.timeout(LIMIT_S):
        await watch()
    assert [machine.name for machine in seen] == [*names, "d"]


async def test_a_watch_shows_a_reach_that_changed(bench: Bench) -> None:
    reaches: list[Reach] = []

    async def watch() -> None:
        async for machine in bench.machines.watch(["d"]):
            reaches.append(machine.reach)
            if machine.reach is Reach.OFFLINE:
                return
            await bench.reach(Reach.OFFLINE)

    async with asyncio.timeout(LIMIT_S):
        await watch()
    assert reaches == [Reach.READY, Reach.OFFLINE]


async def test_a_watch_of_no_machine(bench: Bench) -> None:
    with pytest.raises(MachineNotFoundError):
        await anext(bench.machines.watch(["d", "s"]))


async def test_a_slot_changes_in_what_is_given(bench: Bench) -> None:
    """Invariant 21: what a person changed, from what to what."""
    root = await bench.account("root")
    slot = await bench.machines.update_slot(root, "d", 1, item="Mate", price=70)
    assert (slot.item, slot.price, slot.enabled, slot.on_hand) == ("Mate", 70, True, 3)

    slot = await bench.machines.update_slot(root, "d", 1, enabled=False, available=8)
    assert (slot.item, slot.price, slot.enabled, slot.on_hand) == ("Mate", 70, False, 8)
    record = (await bench.audit(AuditKind.STOCK_CHANGED))[-1]
    assert (record.actor, record.machine) == ("root", "d")
    levels = {"capacity": 0, "low_stock_mark": 0}
    assert record.facts == {
        "slot": 1,
        "from": {**levels, "item": "Mate", "price": 70, "enabled": True, "on_hand": 3},
        "to": {**levels, "item": "Mate", "price": 70, "enabled": False, "on_hand": 8},
    }


async def test_counting_leaves_reserved_items_alone(bench: Bench) -> None:
    """Invariant 10: what a drop has is not counted by the person who fills the slot."""
    drop = await bench.dispatched()
    await bench.change_slot("d", 1, available=0)
    assert await bench.stock() == (0, 1, 0, 0)

    await bench.report(drop)
    assert await bench.stock() == (0, 0, 1, 0)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"machine": "s"}, MachineNotFoundError),
        ({"number": 9}, SlotNotFoundError),
        ({"item": ""}, FieldInvalidError),
        ({"price": -1}, FieldInvalidError),
        ({"price": CREDITS_MAX + 1}, FieldInvalidError),
        ({"available": -1}, FieldInvalidError),
        ({"available": STOCK_MAX + 1}, FieldInvalidError),
        ({"capacity": -1}, FieldInvalidError),
        ({"capacity": STOCK_MAX + 1}, FieldInvalidError),
        ({"low_stock_mark": -1}, FieldInvalidError),
        ({"low_stock_mark": STOCK_MAX + 1}, FieldInvalidError),
        ({"capacity": 4, "available": 5}, StockInvalidError),
    ],
)
async def test_a_slot_that_cannot_be_changed_so(
    bench: Bench, change: dict[str, Any], error: type[DrinkError]
) -> None:
    root, before = await bench.account("root"), await bench.slot()
    order: dict[str, Any] = {"machine": "d", "number": 1, "price": 5} | change
    with pytest.raises(error):
        await bench.machines.update_slot(root, **order)

    assert await bench.slot() == before


async def test_a_slot_has_room_for_what_fits_in(bench: Bench) -> None:
    slot = await bench.change_slot("d", 1, capacity=5, available=5)
    assert (slot.capacity, slot.on_hand) == (5, 5)
    drop = await bench.dispatched()
    await bench.change_slot("d", 1, available=5)
    await bench.report(drop, State.NOT_DISPENSED, Cause.BOARD_REFUSED)
    assert await bench.stock() == (6, 0, 0, 0)
    # Fewer than before is never too many.
    assert (await bench.change_slot("d", 1, capacity=2, available=4)).on_hand == 4
    with pytest.raises(StockInvalidError):
        await bench.change_slot("d", 1, available=5)
    assert (await bench.change_slot("d", 1, capacity=0, available=9)).on_hand == 9
    assert await bench.storage.verify() == []


async def test_low_stock_is_what_can_be_bought_at_the_mark_or_below(bench: Bench) -> None:
    assert not (await bench.slot()).low_stock
    assert not (await bench.change_slot("d", 1, low_stock_mark=2)).low_stock
    await bench.place()
    assert (await bench.slot()).low_stock
    assert not (await bench.change_slot("d", 1, available=3)).low_stock
    assert not (await bench.change_slot("d", 1, low_stock_mark=0, available=0)).low_stock


async def test_a_slot_is_deleted_and_made_again(bench: Bench) -> None:
    """Invariants 10 and 27: what was sold stays in the books."""
    root = await bench.account("root")
    drop = await bench.dispatched()
    await bench.report(drop)
    await bench.change_slot("d", 1, available=0)
    await bench.machines.delete_slot(root, "d", 1)

    assert [slot.number for slot in (await bench.machines.get("d")).slots] == [2]
    listed = {slot.number for each in await bench.machines.list() for slot in each.slots}
    assert listed == {1, 2}
    for gone in (
        bench.machines.delete_slot(root, "d", 1),
        bench.machines.update_slot(root, "d", 1, price=1),
        bench.machines.slot("d", 1),
        bench.place("r2"),
    ):
        with pytest.raises(SlotNotFoundError):
            await gone
    assert (await bench.drop(drop.id)).state is State.DISPENSED
    record = (await bench.audit(AuditKind.STOCK_CHANGED))[-1]
    assert (record.actor, record.facts["deleted"]) == ("root", True)
    assert await bench.storage.verify() == []

    again = await bench.machines.create_slot(
        ROOT, "d", 1, item="Mate", price=20, available=2, capacity=9, low_stock_mark=1
    )
    assert (again.item, again.price, again.enabled) == ("Mate", 20, True)
    assert (again.capacity, again.low_stock_mark, again.sensor) == (9, 1, Sensor.UNSPECIFIED)
    assert await bench.stock() == (2, 0, 1, 0)
    await bench.report(await bench.dispatched("r3"))
    assert await bench.stock() == (1, 0, 2, 0)
    assert await bench.storage.verify() == []
    with pytest.raises(AlreadyExistsError):
        await bench.machines.create_slot(ROOT, "d", 1, item="Tea", price=1)


async def test_fault_54_a_slot_is_not_deleted_under_its_drops(bench: Bench) -> None:
    """Invariant 10: with a drop before, at and after the motor, and with one that is unknown."""
    root = await bench.account("root")

    async def refused() -> dict[str, Any]:
        with pytest.raises(SlotInUseError) as refusal:
            await bench.machines.delete_slot(root, "d", 2)
        return dict(refusal.value.facts)

    assert await refused() == {"on_hand": 1, "reserved": 0, "unknown": 0}
    drop = await bench.place(slot=2)
    assert await refused() == {"on_hand": 0, "reserved": 1, "unknown": 0}
    await bench.take()
    assert await refused() == {"on_hand": 0, "reserved": 1, "unknown": 0}
    await bench.report(drop, State.UNKNOWN, Cause.BOARD_SILENT)
    assert await refused() == {"on_hand": 0, "reserved": 0, "unknown": 1}
    await bench.drops.decide(ROOT, drop.id, dispensed=True, why="seen")
    await bench.machines.delete_slot(root, "d", 2)
    # What contradicts a settled drop changes nothing, also of a slot that is gone.
    await bench.report(drop, State.NOT_DISPENSED, Cause.BOARD_REFUSED, revision=2)
    assert (await bench.drop(drop.id)).state is State.DISPENSED
    assert await bench.storage.verify() == []


async def test_a_slot_is_deleted_while_its_last_item_is_bought(bench: Bench) -> None:
    """Invariant 10: either the drop comes first or the slot is gone."""
    root = await bench.account("root")
    await bench.change_slot("d", 2, available=0)
    answers = await asyncio.gather(
        bench.machines.delete_slot(root, "d", 2),
        bench.place(slot=2),
        bench.change_slot("d", 2, available=1),
        bench.machines.delete_slot(root, "d", 2),
        return_exceptions=True,
    )
    expected = (SlotInUseError, SlotNotFoundError, SlotEmptyError)
    assert all(isinstance(each, expected) for each in answers if isinstance(each, Exception))
    assert await bench.storage.verify() == []


async def test_a_refund_puts_nothing_into_a_slot_that_is_gone(bench: Bench) -> None:
    root = await bench.account("root")
    drop = await bench.dispatched(slot=2)
    await bench.report(drop)
    await bench.machines.delete_slot(root, "d", 2)
    order = RefundOrder(request_id="back", drop_id=drop.id, reason="warm", restock=True)
    with pytest.raises(StockInvalidError):
        await bench.drops.refund(root, order)
    await bench.drops.refund(root, replace(order, restock=False))
    assert await bench.storage.verify() == []


async def test_only_administrators_delete_slots(bench: Bench) -> None:
    root, ann = await bench.account("root"), await bench.account("ann")
    with pytest.raises(AdminRequiredError):
        await bench.machines.delete_slot(ann, "none", 1)
    with pytest.raises(MachineNotFoundError):
        await bench.machines.delete_slot(root, "none", 1)


async def test_only_administrators_change_slots(bench: Bench) -> None:
    with pytest.raises(AdminRequiredError):
        await bench.machines.update_slot(await bench.account("ann"), "d", 1, price=0)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"name": "d"}, AlreadyExistsError),
        ({"name": "D"}, FieldInvalidError),
        ({"name": ""}, FieldInvalidError),
        ({"display_name": "a\nb"}, FieldInvalidError),
        ({"location": "x" * 201}, FieldInvalidError),
    ],
)
async def test_a_machine_that_cannot_be_made(
    bench: Bench, change: dict[str, Any], error: type[DrinkError]
) -> None:
    before = await bench.machines.list()
    order: dict[str, Any] = {"name": "s", "display_name": "Snack", "location": "hall"} | change
    with pytest.raises(error):
        await bench.machines.create(ROOT, **order)

    assert await bench.machines.list() == before


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"machine": "s"}, MachineNotFoundError),
        ({"number": 1}, AlreadyExistsError),
        ({"number": 0}, FieldInvalidError),
        ({"number": 100}, FieldInvalidError),
        ({"item": 'a"b'}, FieldInvalidError),
        ({"price": CREDITS_MAX + 1}, FieldInvalidError),
        ({"available": STOCK_MAX + 1}, FieldInvalidError),
    ],
)
async def test_a_slot_that_cannot_be_made(
    bench: Bench, change: dict[str, Any], error: type[DrinkError]
) -> None:
    order: dict[str, Any] = {"machine": "d", "number": 5, "item": "Ice", "price": 5} | change
    with pytest.raises(error):
        await bench.machines.create_slot(ROOT, **order)

    assert len((await bench.machines.get("d")).slots) == 2


async def test_a_machine_changes_in_what_is_given(bench: Bench) -> None:
    """Invariant 21."""
    await bench.machines.change(ROOT, "d", location="cellar")
    machine = await bench.machines.change(BOB, "d", display_name="Big Drink", enabled=False)

    expected = ("Big Drink", "cellar", False)
    assert (machine.display_name, machine.location, machine.enabled) == expected
    with pytest.raises(MachineNotFoundError):
        await bench.machines.change(ROOT, "s", enabled=False)
    with pytest.raises(FieldInvalidError):
        await bench.machines.change(ROOT, "d", location="x" * 201)
    records = [
        record for record in await bench.audit(AuditKind.MACHINE_CHANGED) if record.machine == "d"
    ]
    assert [(record.actor, record.facts) for record in records] == [
        ("test", {"created": True, "display_name": "D", "location": ""}),
        ("root", {"location": "cellar"}),
        ("bob", {"display_name": "Big Drink", "enabled": False}),
    ]


async def test_a_token_stands_for_its_machine(bench: Bench) -> None:
    d, ld = (
        await bench.machines.new_token(ROOT, "d"),
        await bench.machines.new_token(ROOT, "ld"),
    )

    assert await bench.machines.authenticate(d) == "d"
    assert await bench.machines.authenticate(ld) == "ld"
    for token in ("", "guess", d[:-1], d + "x"):
        with pytest.raises(TokenInvalidError):
            await bench.machines.authenticate(token)
    with pytest.raises(MachineNotFoundError):
        await bench.machines.new_token(ROOT, "s")


async def test_a_revoked_token_is_nobodys(bench: Bench) -> None:
    token = await bench.machines.new_token(ROOT, "d")
    assert (await bench.machines.revoke_token(ROOT, "d")).reach is Reach.OFFLINE
    with pytest.raises(TokenInvalidError):
        await bench.machines.authenticate(token)
    with pytest.raises(MachineNotFoundError):
        await bench.machines.revoke_token(ROOT, "s")


async def test_fault_56_a_new_token_ends_the_link_of_the_old_one(bench: Bench) -> None:
    """Invariant 14: whoever holds the old token gets no further command."""
    old = await bench.machines.new_token(ROOT, "d")
    epoch = (await bench.link()).epoch
    drop = await bench.place()
    new = await bench.machines.new_token(ROOT, "d")

    with pytest.raises(TokenInvalidError):
        await bench.machines.authenticate(old)
    with pytest.raises(LinkSupersededError):
        await bench.dispatch.take("d", epoch)
    assert await bench.machines.authenticate(new) == "d"
    await bench.link()
    assert (await bench.taken()).id == drop.id


async def test_tokens_are_kept_as_digests(bench: Bench) -> None:
    token = await bench.machines.new_token(ROOT, "d")
    database = b"".join(file.read_bytes() for file in bench.path.parent.glob("drink.db*"))

    assert digest(token).encode() in database
    assert token.encode() not in database
