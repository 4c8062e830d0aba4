"""The contract of `AlarmTable`, and the alarms that audit records raise."""

from functools import partial
from typing import Any

import pytest

from drink_frontend.domain.alarms import Alarm, AlarmKind, AlarmState
from drink_frontend.domain.entities import AuditKind, AuditRecord
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from tests.support.books import NOW

FLOODED, REFUSED = AlarmKind.LINK_FLOODED, AlarmKind.LINK_REFUSED


def alarm(machine: str, kind: AlarmKind, first_ms: int, last_ms: int, count: int = 1) -> Alarm:
    facts = {"at": last_ms, "text": "'); --"}
    return Alarm(kind, f"machines/{machine}", machine, first_ms, last_ms, count, facts)


@pytest.fixture
async def storage(storage: Database) -> Database:
    """With two machines."""

    def machines(tx: Transaction) -> None:
        tx.machines.add("d", "Drink", "")
        tx.machines.add("ld", "Little Drink", "")

    await storage.write(machines)
    return storage


async def add(storage: Database, *alarms: Alarm) -> None:
    def unit(tx: Transaction) -> None:
        for each in alarms:
            tx.alarms.add(each)

    await storage.write(unit)


async def listed(storage: Database, *states: AlarmState, **terms: Any) -> list[Alarm]:
    terms = {"limit": 100} | terms
    return list(await storage.read(lambda tx: tx.alarms.list(states, **terms)))


async def counts(storage: Database, *states: AlarmState, **terms: Any) -> list[int]:
    return [each.count for each in await listed(storage, *states, **terms)]


async def test_fault_68_repeats_add_to_one_row_of_each_kind_and_subject(storage: Database) -> None:
    await add(
        storage,
        alarm("d", FLOODED, 10, 20, 3),
        alarm("d", REFUSED, 11, 11),
        alarm("ld", FLOODED, 12, 12),
    )
    await add(storage, alarm("d", FLOODED, 30, 40, 5))
    newest, second, first = await listed(storage)
    assert (newest.machine, second.kind) == ("ld", REFUSED)
    assert (first.opened_ms, first.last_ms, first.count) == (10, 40, 8)
    assert first.facts == {"at": 40, "text": "'); --"}
    assert [each.sequence for each in (first, second, newest)] == [1, 2, 3]


async def test_what_happens_after_the_closing_opens_another_alarm(storage: Database) -> None:
    await add(storage, alarm("d", FLOODED, 1, 1, 7))
    (first,) = await listed(storage)
    await storage.write(lambda tx: tx.alarms.close(first.sequence, "root", 5))
    await add(storage, alarm("d", FLOODED, 9, 9))

    assert await counts(storage) == [1]
    (closed,) = await listed(storage, AlarmState.CLOSED)
    assert (closed.count, closed.closed_by, closed.closed_ms) == (7, "root", 5)
    assert await storage.read(lambda tx: tx.alarms.get(closed.sequence)) == closed
    assert await storage.read(lambda tx: tx.alarms.get(404)) is None


async def test_alarms_are_selected_by_state_kind_and_machine_and_in_pages(
    storage: Database,
) -> None:
    await add(
        storage,
        alarm("d", FLOODED, 1, 1, 1),
        alarm("d", REFUSED, 2, 2, 2),
        alarm("ld", FLOODED, 3, 3, 3),
        alarm("ld", REFUSED, 4, 4, 4),
    )
    await storage.write(lambda tx: tx.alarms.acknowledge(2, "root", 5))
    await storage.write(lambda tx: tx.alarms.close(3, "root", 5))

    assert await counts(storage) == [4, 2, 1]
    assert await counts(storage, AlarmState.OPEN, AlarmState.ACKNOWLEDGED) == [4, 2, 1]
    assert await counts(storage, *AlarmState) == [4, 3, 2, 1]
    assert await counts(storage, AlarmState.OPEN) == [4, 1]
    assert await counts(storage, AlarmState.ACKNOWLEDGED) == [2]
    assert await counts(storage, AlarmState.CLOSED, AlarmState.OPEN) == [4, 3, 1]
    assert await counts(storage, AlarmState.CLOSED, AlarmState.OPEN, limit=2) == [4, 3]
    assert await counts(storage, machine="d") == [2, 1]
    assert await counts(storage, machine="d", kinds=[FLOODED]) == [1]
    assert await counts(storage, kinds=[AlarmKind.TWO_AGENTS]) == []
    assert await counts(storage, *AlarmState, limit=2) == [4, 3]
    assert await counts(storage, *AlarmState, limit=2, before=3) == [2, 1]


async def test_a_closing_by_kind_and_subject_leaves_others_open(storage: Database) -> None:
    await add(storage, alarm("d", FLOODED, 1, 1, 1), alarm("ld", FLOODED, 2, 2, 2))
    await storage.write(lambda tx: tx.alarms.close_open(FLOODED, "machines/d", "frontend", 9))
    await storage.write(lambda tx: tx.alarms.close_open(REFUSED, "machines/d", "frontend", 9))
    assert await counts(storage) == [2]


@pytest.mark.parametrize(
    ("kind", "drop_id", "facts", "subject"),
    [
        (AuditKind.TWO_AGENTS, None, {}, "machines/d"),
        (AuditKind.ORPHAN_RESULT, None, {"drop": "D1"}, "machines/d"),
        (AuditKind.JOURNAL_REPLACED, None, {}, "machines/d"),
        (AuditKind.SLOT_UNLISTED, None, {"slots": [1]}, "machines/d"),
        (AuditKind.SENSOR_CONTRADICTED, None, {"slot": 2}, "machines/d/slots/2"),
        (AuditKind.SENSOR_CONTRADICTED, "D1", {"slot": 3}, "machines/d/slots/3"),
        (AuditKind.DROP_CONTRADICTED, "D1", {"event": "x"}, "drops/D1"),
    ],
)
async def test_a_record_raises_its_alarm(
    storage: Database, kind: AuditKind, drop_id: str | None, facts: dict[str, Any], subject: str
) -> None:
    record = AuditRecord(kind, NOW, "agent:d", drop_id=drop_id, machine="d", facts=facts)
    for _ in range(2):
        await storage.write(lambda tx: tx.audit.add(record))
    (raised,) = await listed(storage)
    assert (raised.kind, raised.subject, raised.machine, raised.count, raised.facts) == (
        kind.value,
        subject,
        "d",
        2,
        facts,
    )


def _add_record(kind: AuditKind, tx: Transaction) -> None:
    tx.audit.add(AuditRecord(kind, NOW, "root", machine="d", facts={"item_number": 7}))


async def test_other_records_raise_none(storage: Database) -> None:
    quiet = set(AuditKind) - {
        AuditKind.DROP_CONTRADICTED,
        AuditKind.ORPHAN_RESULT,
        AuditKind.JOURNAL_REPLACED,
        AuditKind.TWO_AGENTS,
        AuditKind.SENSOR_CONTRADICTED,
        AuditKind.SLOT_UNLISTED,
    }
    for kind in quiet:
        await storage.write(partial(_add_record, kind))
    assert await listed(storage, *AlarmState) == []
