"""Counted alarms, on every engine."""

from drink_frontend.domain.entities import Alarm, AlarmKind
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction

FLOODED, REFUSED = AlarmKind.LINK_FLOODED, AlarmKind.LINK_REFUSED


async def add(storage: Database, *alarms: Alarm) -> None:
    def unit(tx: Transaction) -> None:
        for alarm in alarms:
            tx.alarms.add(alarm)

    await storage.write(unit)


async def test_fault_68_repeats_add_to_one_row_of_each_machine_and_kind(storage: Database) -> None:
    def machines(tx: Transaction) -> None:
        tx.machines.add("d", "Drink", "")
        tx.machines.add("ld", "Little Drink", "")

    await storage.write(machines)
    await add(
        storage,
        Alarm("d", FLOODED, 10, 20, 3, {"limit": "first"}),
        Alarm("d", REFUSED, 11, 11, 1, {}),
        Alarm("ld", FLOODED, 12, 12, 1, {}),
    )
    await add(storage, Alarm("d", FLOODED, 30, 40, 5, {"limit": "'); --"}))
    assert await storage.read(lambda tx: list(tx.alarms.list())) == [
        Alarm("d", FLOODED, 10, 40, 8, {"limit": "'); --"}),
        Alarm("ld", FLOODED, 12, 12, 1, {}),
        Alarm("d", REFUSED, 11, 11, 1, {}),
    ]
