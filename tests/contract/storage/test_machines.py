"""The contract of `MachineTable`."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from drink_frontend.domain.entities import LinkOwnership, Machine, Reach, Slot
from drink_frontend.domain.errors import AlreadyExistsError
from drink_frontend.domain.stock import STOCK_MAX, Place, Sensor
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from tests.support.books import NOW, add_machine, adjust
from tests.support.entities import make_machine, make_slot
from tests.support.ids import ALICE


async def _machine(storage: Database, name: str = "d") -> Machine:
    machine = await storage.read(lambda tx: tx.machines.get(name))
    assert machine is not None
    return machine


async def _slot(storage: Database, number: int = 1) -> Slot:
    slot = await storage.read(lambda tx: tx.machines.slot("d", number))
    assert slot is not None
    return slot


async def test_a_new_machine_is_enabled_and_has_no_link(storage: Database) -> None:
    await storage.write(lambda tx: tx.machines.add("d", "Big Drink", "lounge"))
    expected = make_machine("d", "Big Drink", (), location="lounge", epoch=0)
    assert await _machine(storage) == expected
    assert await storage.read(lambda tx: tx.machines.get("D")) is None
    with pytest.raises(AlreadyExistsError):
        await storage.write(lambda tx: tx.machines.add("d", "Another", ""))


async def test_machines_and_slots_come_in_order(storage: Database) -> None:
    def make(tx: Transaction) -> None:
        for name in ("s", "d", "ld"):
            tx.machines.add(name, name, "")
        for machine, number in (("s", 10), ("s", 9), ("d", 1)):
            tx.machines.add_slot(machine, number, "Coke", 50, NOW)

    await storage.write(make)
    machines = await storage.read(lambda tx: tx.machines.list())
    assert [(machine.name, [slot.number for slot in machine.slots]) for machine in machines] == [
        ("d", [1]),
        ("ld", []),
        ("s", [9, 10]),
    ]
    assert [slot.number for slot in (await _machine(storage, "s")).slots] == [9, 10]


async def test_update_changes_only_what_is_given(storage: Database) -> None:
    await storage.write(lambda tx: tx.machines.add("d", "Big Drink", "lounge"))
    await storage.write(lambda tx: tx.machines.update("d", enabled=False, token_digest="digest"))
    await storage.write(lambda tx: tx.machines.update("d", location="cellar"))
    machine = await _machine(storage)
    expected = ("Big Drink", "cellar", False)
    assert (machine.display_name, machine.location, machine.enabled) == expected
    assert await storage.read(lambda tx: tx.machines.by_token("digest")) == "d"
    await storage.write(lambda tx: tx.machines.update("d", token_digest="new"))
    assert await storage.read(lambda tx: tx.machines.by_token("digest")) is None
    assert await storage.read(lambda tx: tx.machines.by_token("new")) == "d"


async def test_a_new_slot_is_enabled_and_empty(storage: Database) -> None:
    await storage.write(lambda tx: tx.machines.add("d", "Big Drink", ""))
    await storage.write(lambda tx: tx.machines.add_slot("d", 1, "Coke", 50, NOW))
    assert await _slot(storage) == make_slot("d", 1, "Coke", 50, 0, updated_ms=NOW)
    assert await storage.read(lambda tx: tx.machines.slot("d", 2)) is None
    with pytest.raises(AlreadyExistsError):
        await storage.write(lambda tx: tx.machines.add_slot("d", 1, "Pepsi", 1, NOW))


async def test_update_slot_changes_only_what_is_given(house: Database) -> None:
    await house.write(
        lambda tx: tx.machines.update_slot("d", 1, NOW + 1, price=0, sensor=Sensor.EMPTY)
    )
    slot = await _slot(house)
    assert (slot.price, slot.sensor, slot.updated_ms) == (0, Sensor.EMPTY, NOW + 1)
    assert (slot.item, slot.enabled, slot.on_hand, slot.available) == ("item 1", True, 5, 0)
    await house.write(
        lambda tx: tx.machines.update_slot("d", 1, NOW + 2, item="Tea", enabled=False)
    )
    slot = await _slot(house)
    assert (slot.item, slot.enabled, slot.on_hand, slot.price) == ("Tea", False, 5, 0)


async def test_a_deleted_slot_is_hidden_until_it_is_added_again(house: Database) -> None:
    await house.write(lambda tx: adjust(tx, "d", 1, -5))
    await house.write(lambda tx: tx.machines.delete_slot("d", 1, NOW + 1))
    assert await house.read(lambda tx: tx.machines.slot("d", 1)) is None
    assert [slot.number for slot in (await _machine(house)).slots] == [2]
    (listed,) = await house.read(lambda tx: tx.machines.list())
    assert [slot.number for slot in listed.slots] == [2]
    found = await house.read(lambda tx: tx.machines.with_slot("d", 1, ALICE))
    assert found is not None
    assert found[0].slots == ()

    await house.write(
        lambda tx: tx.machines.add_slot("d", 1, "Tea", 9, NOW + 2, capacity=7, low_stock_mark=2)
    )
    expected = make_slot("d", 1, "Tea", 9, 0, updated_ms=NOW + 2, capacity=7, low_stock_mark=2)
    assert await _slot(house) == expected
    with pytest.raises(AlreadyExistsError):
        await house.write(lambda tx: tx.machines.add_slot("d", 1, "Pepsi", 1, NOW))


def _change_what_is_deleted(tx: Transaction) -> None:
    adjust(tx, "d", 1, -5)
    tx.machines.delete_slot("d", 1, NOW)
    adjust(tx, "d", 1, 1)


def _reserve_what_is_deleted(tx: Transaction) -> None:
    adjust(tx, "d", 1, -4)
    tx.machines.move_item("d", 1, Place.ON_HAND, Place.RESERVED, NOW)
    tx.machines.delete_slot("d", 1, NOW)


async def test_items_move_from_place_to_place(house: Database) -> None:
    for source, target in (
        (Place.ON_HAND, Place.RESERVED),
        (Place.ON_HAND, Place.RESERVED),
        (Place.ON_HAND, Place.RESERVED),
        (Place.RESERVED, Place.DISPENSED),
        (Place.RESERVED, Place.UNKNOWN),
        (Place.UNKNOWN, Place.ON_HAND),
    ):
        await house.write(
            lambda tx, source=source, target=target: tx.machines.move_item(  # type: ignore[misc]
                "d", 1, source, target, NOW + 7
            )
        )
    slot = await _slot(house)
    assert (slot.on_hand, slot.reserved, slot.dispensed, slot.unknown) == (3, 1, 1, 0)
    assert slot.updated_ms == NOW + 7
    assert (await _slot(house, 2)).on_hand == 5


async def test_a_count_by_hand_leaves_what_is_under_way(house: Database) -> None:
    await house.write(lambda tx: tx.machines.move_item("d", 1, Place.ON_HAND, Place.RESERVED, NOW))
    await house.write(lambda tx: adjust(tx, "d", 1, -4))
    slot = await _slot(house)
    assert (slot.on_hand, slot.reserved) == (0, 1)
    await house.write(lambda tx: tx.machines.move_item("d", 1, Place.RESERVED, Place.ON_HAND, NOW))
    assert (await _slot(house)).on_hand == 1


async def test_an_item_that_comes_back_may_exceed_what_can_be_loaded(house: Database) -> None:
    await house.write(lambda tx: tx.machines.move_item("d", 1, Place.ON_HAND, Place.RESERVED, NOW))
    await house.write(lambda tx: adjust(tx, "d", 1, STOCK_MAX - 4))
    await house.write(lambda tx: tx.machines.move_item("d", 1, Place.RESERVED, Place.ON_HAND, NOW))
    assert (await _slot(house)).on_hand == STOCK_MAX + 1


def _reserve_one_too_many(tx: Transaction) -> None:
    for _ in range(6):
        tx.machines.move_item("d", 1, Place.ON_HAND, Place.RESERVED, NOW)


def _share_a_token(tx: Transaction) -> None:
    add_machine(tx, "s")
    tx.machines.update("d", token_digest="same")
    tx.machines.update("s", token_digest="same")


@pytest.mark.parametrize(
    ("mistake", "refused_by"),
    [
        (
            lambda tx: tx.machines.move_item("d", 1, Place.RESERVED, Place.DISPENSED, NOW),
            "slots_places",
        ),
        (_reserve_one_too_many, "slots_places"),
        (lambda tx: adjust(tx, "d", 1, STOCK_MAX - 4), "slots_loaded_within_limit"),
        (lambda tx: adjust(tx, "d", 1, -6), "slots_places"),
        (lambda tx: tx.machines.update_slot("d", 1, NOW, price=-1), "slots_price"),
        (lambda tx: tx.machines.add_slot("x", 1, "Coke", 50, NOW), "(?i)foreign key"),
        (_share_a_token, "token_digest"),
        (lambda tx: tx.machines.delete_slot("d", 1, NOW), "slots_deleted"),
        (lambda tx: tx.machines.delete_slot("d", 9, NOW), "no such slot"),
        (_change_what_is_deleted, "no such slot"),
        (_reserve_what_is_deleted, "slots_deleted"),
        (lambda tx: tx.machines.update_slot("d", 1, NOW, capacity=-1), "slots_levels"),
        (lambda tx: tx.machines.update("x", enabled=False), "no such machine"),
        (lambda tx: tx.machines.update_slot("d", 9, NOW, price=1), "no such slot"),
        (
            lambda tx: tx.machines.open_link("x", "journal", 0, "F", Reach.READY, now_ms=NOW),
            "no such machine",
        ),
    ],
)
async def test_a_mistake_of_the_program_cannot_break_the_stock(
    house: Database, mistake: Callable[[Transaction], None], refused_by: str
) -> None:
    before = await house.read(lambda tx: tx.machines.list())
    with pytest.raises(Exception, match=refused_by):
        await house.write(mistake)
    assert await house.read(lambda tx: tx.machines.list()) == before


async def test_each_link_has_a_higher_epoch_and_its_agents_journal(storage: Database) -> None:
    await storage.write(lambda tx: tx.machines.add("d", "Big Drink", ""))
    for epoch, journal, sequence in ((1, "journal", 7), (2, "new journal", 0)):

        def open_link(tx: Transaction, journal: str = journal, sequence: int = sequence) -> int:
            return tx.machines.open_link("d", journal, sequence, "F", Reach.READY, now_ms=NOW)

        assert await storage.write(open_link) == epoch
        machine = await _machine(storage)
        expected = (epoch, journal, sequence)
        assert (machine.epoch, machine.journal_id, machine.journal_sequence) == expected


async def test_retiring_a_link_counts_the_epoch_and_keeps_the_journal(house: Database) -> None:
    await house.write(lambda tx: tx.machines.retire_link("d", NOW))
    machine = await _machine(house)
    assert (machine.epoch, machine.journal_id, machine.reach) == (2, "journal-d", Reach.OFFLINE)
    assert await house.read(lambda tx: tx.machines.ownerships()) == [
        LinkOwnership("d", 2, None, Reach.OFFLINE)
    ]


async def test_a_claim_counts_for_the_newest_link_only(house: Database) -> None:
    """Invariant 14: a frontend whose link was superseded says nothing about the machine."""
    await house.write(lambda tx: add_machine(tx, "a"))
    await house.write(
        lambda tx: tx.machines.open_link(
            "d", "journal", 0, "F2", Reach.BOARD_DOWN, now_ms=NOW + 1, agent_version="0.2.0"
        )
    )
    newest = LinkOwnership("d", 2, "F2", Reach.BOARD_DOWN)
    other = LinkOwnership("a", 1, "frontend-1", Reach.READY)
    assert await house.read(lambda tx: tx.machines.ownerships()) == [other, newest]

    stale = LinkOwnership("d", 1, "frontend-1", Reach.READY)
    await house.write(lambda tx: tx.machines.keep_ownership(stale, NOW + 2))
    assert await house.read(lambda tx: tx.machines.ownerships()) == [other, newest]

    ready = replace(newest, reach=Reach.READY)
    await house.write(lambda tx: tx.machines.keep_ownership(ready, NOW + 3))
    assert await house.read(lambda tx: tx.machines.ownerships()) == [other, ready]
    machine = await _machine(house)
    assert (machine.reach, machine.reach_ms) == (Reach.READY, NOW + 3)
    assert machine.agent_version == "0.2.0"


async def test_the_time_of_a_reach_is_that_of_its_last_change(storage: Database) -> None:
    await storage.write(lambda tx: tx.machines.add("d", "Big Drink", ""))
    assert (await _machine(storage)).reach_ms is None

    def opened(reach: Reach, now_ms: int) -> Callable[[Transaction], int]:
        return lambda tx: tx.machines.open_link("d", "journal", 0, "F", reach, now_ms=now_ms)

    steps: list[tuple[Callable[[Transaction], object], int]] = [
        (opened(Reach.READY, 1), 1),
        (opened(Reach.READY, 2), 1),
        (lambda tx: tx.machines.keep_ownership(LinkOwnership("d", 2, "F", Reach.READY), 3), 1),
        (lambda tx: tx.machines.keep_ownership(LinkOwnership("d", 2, "F", Reach.BOARD_DOWN), 4), 4),
        (lambda tx: tx.machines.retire_link("d", 5), 5),
        (lambda tx: tx.machines.retire_link("d", 6), 5),
        (opened(Reach.BOARD_DOWN, 7), 7),
    ]
    for step, since_ms in steps:
        await storage.write(step)
        assert (await _machine(storage)).reach_ms == since_ms


async def test_the_version_of_the_board_is_kept_and_forgotten(house: Database) -> None:
    for version in ("tini 1.2", None):
        await house.write(lambda tx, version=version: tx.machines.set_firmware("d", version))  # type: ignore[misc]
        assert (await _machine(house)).firmware_version == version


async def test_a_journal_is_only_ever_seen_to_grow(house: Database) -> None:
    for journal, sequence, seen in (
        ("journal-d", 5, 5),
        ("journal-d", 3, 5),
        ("another", 9, 5),
        ("journal-d", 6, 6),
    ):
        await house.write(
            lambda tx, journal=journal, sequence=sequence: tx.machines.saw_journal(  # type: ignore[misc]
                "d", journal, sequence
            )
        )
        assert (await _machine(house)).journal_sequence == seen


async def test_the_temperature_is_kept_and_forgotten(house: Database) -> None:
    for celsius, since_ms in ((3.5, NOW), (None, None)):
        await house.write(partial(_set_temperature, celsius))
        machine = await _machine(house)
        assert (machine.temperature_celsius, machine.temperature_ms) == (celsius, since_ms)


def _set_temperature(celsius: float | None, tx: Transaction) -> None:
    tx.machines.set_temperature("d", celsius, NOW)
