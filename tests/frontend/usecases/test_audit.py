"""What agents cause is recorded up to a limit, and counted above it."""

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from drink_frontend.config import LogSettings
from drink_frontend.domain.alarms import Alarm, AlarmKind
from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import AuditKind
from drink_frontend.domain.errors import (
    FieldInvalidError,
    RateLimitedError,
    StorageUnavailableError,
)
from drink_frontend.domain.stock import Sensor
from drink_frontend.loglines.filter import ALWAYS
from drink_frontend.usecases.audit import EVIDENCE_MAX, LIMITED_KINDS, Alarms, Notes, shortened
from drink_frontend.usecases.settings import AlarmSettings
from tests.support.bench import Bench
from tests.support.tasks import beside

LIMIT_S = 30
BURST = AlarmSettings().records_burst
INTERVAL_S = AlarmSettings().records_interval_s

LINES = [{"direction": "FROM_BOARD", "offset_ms": 1, "text": "x" * 200}] * 32


async def kept(bench: Bench, kind: AuditKind) -> int:
    records = await bench.storage.read(lambda tx: tx.audit.list(kinds=[kind], limit=10_000))
    return len(records)


async def alarms(bench: Bench) -> list[Alarm]:
    """What is counted and not recorded."""
    await bench.alarms.keep()
    kinds = (AlarmKind.LINK_FLOODED, AlarmKind.LINK_REFUSED, AlarmKind.RECORDS_COUNTED)
    return list(await bench.storage.read(lambda tx: tx.alarms.list(kinds=kinds, limit=10)))


async def test_fault_68_orphan_results_are_kept_up_to_the_limit_and_then_counted(
    bench: Bench,
) -> None:
    for number in range(BURST + 7):
        await bench.report(f"{number:026}")
    assert await kept(bench, AuditKind.ORPHAN_RESULT) == BURST
    (alarm,) = await alarms(bench)
    assert (alarm.machine, alarm.kind, alarm.count) == ("d", AlarmKind.RECORDS_COUNTED, 7)
    assert alarm.facts == {"last_kind": "ORPHAN_RESULT"}

    bench.clock.pass_s(INTERVAL_S)
    await bench.report("1" * 26)
    assert await kept(bench, AuditKind.ORPHAN_RESULT) == BURST + 1


async def test_fault_68_the_evidence_of_what_settles_nothing_is_shortened(bench: Bench) -> None:
    await bench.report("0" * 26, evidence={"lines": LINES})
    (record,) = await bench.storage.read(
        lambda tx: tx.audit.list(kinds=[AuditKind.ORPHAN_RESULT], limit=10)
    )
    evidence = record.facts["evidence"]
    assert len(str(evidence["lines"])) <= EVIDENCE_MAX + 100
    assert len(evidence["lines"]) + evidence["lines_left_out"] == len(LINES)


async def test_fault_68_a_week_of_one_stolen_token_takes_less_than_200_mb(bench: Bench) -> None:
    """All records and log lines that are allowed in a week, each of the largest size."""
    week_s, claim = 7 * 86_400, {"contradiction": "\x01" * 200}
    hostile = [{"direction": "FROM_BOARD", "offset_ms": 1, "text": "\x01" * 200}] * 32
    result = await record_bytes(bench, {"lines": hostile, **claim})
    contradiction = await record_bytes(bench, claim)
    other = await record_bytes(bench, {"text": "x" * 200})
    sizes = {
        AuditKind.ORPHAN_RESULT: result,
        AuditKind.DROP_CONTRADICTED: result,
        AuditKind.SENSOR_CONTRADICTED: contradiction,
    }
    records = BURST + week_s / INTERVAL_S
    stored = records * sum(sizes.get(kind, other) for kind in LIMITED_KINDS)
    # The widest line is about a result. Two events of the link come with it.
    lines = week_s / 60 * (LogSettings().repeats_per_minute_max + 2 * ALWAYS)

    assert result > EVIDENCE_MAX
    assert stored < 75e6
    assert stored + lines * 400 < 200e6


async def record_bytes(bench: Bench, evidence: dict[str, Any]) -> float:
    """Bytes that the database grows by for each orphan result with this evidence."""
    count, before = BURST // 4, await asyncio.to_thread(stored_bytes, bench)
    for number in range(count):
        await bench.report(f"{number:026}", evidence=evidence)
    return (await asyncio.to_thread(stored_bytes, bench) - before) / count


def stored_bytes(bench: Bench) -> int:
    """The size of the database, its journal included."""
    with closing(sqlite3.connect(bench.path)) as database:
        pages, size = (
            database.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "page_size")
        )
    return int(pages) * int(size)


def test_fault_68_small_evidence_is_kept_whole() -> None:
    evidence = {"lines": LINES[:3], "sensor_before": "EMPTY"}
    assert shortened(evidence) is evidence
    assert shortened({}) == {}


async def test_fault_68_contradictions_of_settled_drops_are_limited_and_outcomes_are_not(
    bench: Bench,
) -> None:
    drop = await bench.dispatched()
    await bench.report(drop)
    for revision in range(2, BURST + 5):
        await bench.report(drop, State.NOT_DISPENSED, Cause.BOARD_REFUSED, revision=revision)
    assert await kept(bench, AuditKind.DROP_CONTRADICTED) == BURST
    (alarm,) = await alarms(bench)
    assert alarm.count == 3

    another = await bench.dispatched("r2")
    await bench.report(another)
    assert await bench.state(another) == (State.DISPENSED, Cause.BOARD_ACK)


async def test_fault_68_links_of_a_flapping_machine_are_counted(bench: Bench) -> None:
    before = await kept(bench, AuditKind.LINK_OPENED)
    for _ in range(BURST + 2):
        await bench.link()
    assert await kept(bench, AuditKind.LINK_OPENED) <= before + BURST
    (alarm,) = await alarms(bench)
    assert alarm.facts == {"last_kind": "LINK_OPENED"}


async def test_fault_68_a_sensor_that_flickers_is_counted(bench: Bench) -> None:
    opening = await bench.link()
    for number in range(2 * BURST + 10):
        sensor = Sensor.STOCKED if number % 2 else Sensor.EMPTY
        await bench.agents.keep_status("d", opening.epoch, {1: sensor}, None)
    assert await kept(bench, AuditKind.SENSOR_CONTRADICTED) == BURST
    assert [alarm.count for alarm in await alarms(bench)] == [5]


async def test_fault_68_one_drop_cannot_be_returned_without_end(bench: Bench) -> None:
    drop = await bench.place()
    for _ in range(BURST):
        opening = await bench.link()
        await bench.dispatch.take("d", opening.epoch)
        await bench.dispatch.not_received("d", opening.epoch, drop.id)
    await bench.dispatch.take("d", opening.epoch)
    with pytest.raises(RateLimitedError):
        await bench.dispatch.not_received("d", opening.epoch, drop.id)
    assert await bench.state(drop) == (State.DISPATCHED, Cause.NONE)

    # Its outcome is taken all the same, and nothing is lost.
    await bench.report(drop)
    assert await bench.state(drop) == (State.DISPENSED, Cause.BOARD_ACK)


async def test_fault_68_counts_outlive_a_database_that_is_away(bench: Bench) -> None:
    bench.alarms.count("d", AlarmKind.LINK_FLOODED, {"number": 1})
    with closing(sqlite3.connect(bench.path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        keeping = asyncio.create_task(bench.alarms.keep())
        with pytest.raises(StorageUnavailableError):
            await asyncio.wait_for(keeping, LIMIT_S)
        bench.alarms.count("d", AlarmKind.LINK_FLOODED, {"number": 2})
        other.rollback()
    (alarm,) = await alarms(bench)
    assert (alarm.count, alarm.facts) == (2, {"number": 2})


async def test_fault_68_counts_are_kept_by_themselves(bench: Bench) -> None:
    counting = Alarms(bench.storage, bench.clock, AlarmSettings(keep_s=0.01))
    async with beside(counting.run()):
        counting.count("d", AlarmKind.LINK_FLOODED, {})
        counting.count("gone", AlarmKind.LINK_FLOODED, {})
        async with asyncio.timeout(LIMIT_S):
            while not await bench.storage.read(lambda tx: tx.alarms.list(limit=10)):
                pass


async def test_words_are_kept_with_who_said_them_and_when(bench: Bench) -> None:
    await Notes(bench.storage, bench.clock).add("alice", "slot 3 rattles")

    [record] = await bench.audit(AuditKind.NOTE)
    assert (record.actor, record.at_ms) == ("alice", bench.clock.now_ms())
    assert record.facts == {"words": "slot 3 rattles"}


@pytest.mark.parametrize("words", ["x" * 201, "two\nlines", "\x00"])
async def test_what_is_no_line_is_refused_and_not_kept(bench: Bench, words: str) -> None:
    with pytest.raises(FieldInvalidError):
        await Notes(bench.storage, bench.clock).add("alice", words)
    assert await bench.audit(AuditKind.NOTE) == []
