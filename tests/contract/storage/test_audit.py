"""The contract of `AuditTable`."""

from dataclasses import replace

import pytest

from drink_frontend.domain.entities import AuditKind, AuditRecord
from drink_frontend.storage.database import Database
from drink_frontend.storage.tables import FACTS_MAX
from drink_frontend.storage.transaction import Transaction
from tests.support.books import NOW
from tests.support.ids import ALICE

RECORDS = (
    AuditRecord(AuditKind.NOTE, NOW, "root", facts={"text": "née “Drink” 🥤", "nested": [1, None]}),
    AuditRecord(AuditKind.DROP_MOVED, NOW, ALICE, drop_id="1", machine="d", account=ALICE),
    AuditRecord(AuditKind.DROP_MOVED, NOW + 1, "frontend", drop_id="2"),
    AuditRecord(AuditKind.DROP_REFUNDED, NOW + 2, "root", drop_id="1"),
    AuditRecord(AuditKind.LINK_OPENED, NOW - 9, "agent:d", machine="d"),
)
KEPT = [replace(record, sequence=number) for number, record in enumerate(RECORDS, start=1)]


def _write(tx: Transaction) -> None:
    for record in RECORDS:
        tx.audit.add(record)


async def test_records_come_back_as_written_newest_first(storage: Database) -> None:
    await storage.write(_write)
    assert await storage.read(lambda tx: tx.audit.list(limit=9)) == KEPT[::-1]
    assert await storage.read(lambda tx: tx.audit.list(limit=2)) == KEPT[:2:-1]
    assert await storage.read(lambda tx: tx.audit.list(before=3, limit=9)) == KEPT[1::-1]


async def test_records_are_selected_by_drop_and_kinds(storage: Database) -> None:
    await storage.write(_write)

    async def numbers(
        drop_id: str | None, *kinds: AuditKind, before: int | None = None, limit: int = 9
    ) -> list[int]:
        records = await storage.read(
            lambda tx: tx.audit.list(drop_id=drop_id, kinds=kinds, before=before, limit=limit)
        )
        return [record.sequence for record in records]

    refunded, opened = AuditKind.DROP_REFUNDED, AuditKind.LINK_OPENED
    assert await numbers("1") == [4, 2]
    assert await numbers("1", refunded) == [4]
    assert await numbers("1", refunded, AuditKind.DROP_MOVED, limit=1) == [4]
    assert await numbers(None, opened, refunded) == [5, 4]
    assert await numbers(None, opened, refunded, before=5) == [4]
    assert await numbers(None, *AuditKind, limit=3) == [5, 4, 3]
    assert await numbers("3") == []


async def test_facts_are_bounded(storage: Database) -> None:
    text = "x" * (FACTS_MAX - len('{"text":""}'))
    await storage.write(
        lambda tx: tx.audit.add(AuditRecord(AuditKind.NOTE, NOW, "root", facts={"text": text}))
    )
    with pytest.raises(Exception, match="audit_facts"):
        await storage.write(
            lambda tx: tx.audit.add(
                AuditRecord(AuditKind.NOTE, NOW, "root", facts={"text": text + "x"})
            )
        )
