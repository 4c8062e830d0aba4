"""The contract of `HouseTable`."""

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.house import OpenDrops
from drink_frontend.storage.database import Database
from drink_frontend.storage.tables import SCHEMA_REVISION
from drink_frontend.storage.transaction import Transaction
from tests.support.books import NOW, PRICE, add_machine, advance, drop, reserve


async def test_an_empty_house(storage: Database) -> None:
    house = await storage.read(lambda tx: tx.house.read(10))
    assert (list(house.machines), house.machines_total, house.drops) == ([], 0, {})
    assert house.schema_revision == SCHEMA_REVISION


async def test_the_first_machines_have_their_slots(house: Database) -> None:
    def more(tx: Transaction) -> None:
        for name in ("b", "a", "z"):
            add_machine(tx, name, slots=1)
        tx.machines.add_slot("d", 3, "Tea", PRICE, NOW)
        tx.machines.delete_slot("d", 3, NOW)

    await house.write(more)
    first = await house.read(lambda tx: tx.house.read(3))
    assert [(each.name, len(each.slots)) for each in first.machines] == [
        ("a", 1),
        ("b", 1),
        ("d", 2),
    ]
    assert first.machines_total == 4
    assert first.machines[2] == await house.read(lambda tx: tx.machines.get("d"))


async def test_open_drops_are_counted_by_state(house: Database) -> None:
    def happen(tx: Transaction) -> None:
        for number in range(1, 5):
            reserve(tx, drop(number, slot=1 + number % 2, created_ms=NOW + number))
        advance(tx, drop(1).id, State.DISPATCHED, Cause.NONE, epoch=1, journal_id="J")
        advance(tx, drop(1).id, State.UNKNOWN, Cause.BOARD_SILENT)
        advance(tx, drop(2).id, State.DISPATCHED, Cause.NONE, epoch=1, journal_id="J")
        advance(tx, drop(2).id, State.DISPENSED, Cause.BOARD_ACK)

    await house.write(happen)
    assert (await house.read(lambda tx: tx.house.read(1))).drops == {
        State.UNKNOWN: OpenDrops(1, PRICE, NOW + 1),
        State.RESERVED: OpenDrops(2, 2 * PRICE, NOW + 3),
    }
