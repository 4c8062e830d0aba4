"""Alarms: raised and closed with what they are about, acknowledged and closed by people."""

import asyncio

import pytest

from drink_frontend.domain.alarms import Alarm, AlarmKind, AlarmState
from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import AuditKind
from drink_frontend.domain.errors import (
    AlarmClosedError,
    AlarmNotFoundError,
    AlarmStandsError,
    FieldInvalidError,
)
from drink_frontend.storage.transaction import Transaction
from tests.support.bench import Bench
from tests.support.ids import ANN, ROOT


async def listed(bench: Bench, *states: AlarmState) -> list[Alarm]:
    return list(await bench.review.list(states, limit=100))


async def flooded(bench: Bench, count: int = 1) -> Alarm:
    """The open alarm about a flood."""
    for number in range(count):
        bench.alarms.count("d", AlarmKind.LINK_FLOODED, {"number": number})
    await bench.alarms.keep()
    (alarm,) = await bench.review.list(kinds=[AlarmKind.LINK_FLOODED], limit=2)
    return alarm


@pytest.mark.parametrize("outcome", [State.DISPENSED, State.NOT_DISPENSED])
async def test_an_unknown_drop_has_an_alarm_until_somebody_decides(
    bench: Bench, outcome: State
) -> None:
    drop = await bench.unknown()
    (alarm,) = await listed(bench)
    assert (alarm.kind, alarm.subject, alarm.machine, alarm.count) == (
        AlarmKind.DROP_UNKNOWN,
        f"drops/{drop.id}",
        "d",
        1,
    )
    assert alarm.facts == {"cause": "BOARD_SILENT", "price": 50, "slot": 1, "item": "Coke"}
    with pytest.raises(AlarmStandsError):
        await bench.review.close(ROOT, alarm.sequence)

    await bench.drops.decide(ROOT, drop.id, dispensed=outcome is State.DISPENSED, why="seen")
    assert await listed(bench) == []
    (closed,) = await listed(bench, AlarmState.CLOSED)
    assert (closed.closed_by, closed.sequence) == ("root", alarm.sequence)


async def test_a_second_report_that_knows_nothing_does_not_count_twice(bench: Bench) -> None:
    drop = await bench.unknown()
    bench.clock.pass_s(5)
    await bench.report(drop, State.UNKNOWN, Cause.BOARD_LOST, revision=2)
    (alarm,) = await listed(bench)
    assert (alarm.count, alarm.last_ms) == (1, bench.clock.now_ms())
    assert alarm.facts["cause"] == "BOARD_LOST"


async def test_evidence_closes_the_alarm_of_an_unknown_drop(bench: Bench) -> None:
    drop = await bench.unknown()
    await bench.report(drop, cause=Cause.BOARD_ACK_LATE, revision=2)
    assert [alarm.closed_by for alarm in await listed(bench, *AlarmState)] == ["agent:d"]


async def test_a_drop_with_an_outcome_raises_none(bench: Bench) -> None:
    await bench.report(await bench.dispatched("r1"))
    await bench.report(await bench.dispatched("r2"), State.NOT_DISPENSED, Cause.BOARD_REFUSED)
    assert await listed(bench, *AlarmState) == []


async def test_who_acknowledges_first_stays_and_repeats_are_counted(bench: Bench) -> None:
    alarm = await flooded(bench)
    bench.clock.pass_s(5)
    first = await bench.review.acknowledge(ROOT, alarm.sequence)
    assert (first.state, first.acknowledged_by) == (AlarmState.ACKNOWLEDGED, "root")
    assert first.acknowledged_ms == bench.clock.now_ms()
    assert await bench.review.acknowledge(ANN, alarm.sequence) == first

    again = await flooded(bench, 3)
    assert (again.sequence, again.count, again.state) == (first.sequence, 4, first.state)
    (record,) = await bench.audit(AuditKind.ALARM_CHANGED)
    assert (record.actor, record.machine) == ("root", "d")
    assert record.facts == {
        "alarm": alarm.sequence,
        "kind": "LINK_FLOODED",
        "subject": "machines/d",
        "from": "OPEN",
        "to": "ACKNOWLEDGED",
    }


async def test_a_closed_alarm_stays_and_the_next_time_opens_another(bench: Bench) -> None:
    alarm = await flooded(bench)
    closed = await bench.review.close(ROOT, alarm.sequence, "a loose cable")
    assert (closed.state, closed.closed_by) == (AlarmState.CLOSED, "root")
    assert await bench.review.close(ANN, alarm.sequence, "again") == closed
    with pytest.raises(AlarmClosedError):
        await bench.review.acknowledge(ROOT, alarm.sequence)
    (record,) = await bench.audit(AuditKind.ALARM_CHANGED)
    assert (record.facts["to"], record.facts["why"]) == ("CLOSED", "a loose cable")

    another = await flooded(bench)
    assert (another.count, another.state) == (1, AlarmState.OPEN)
    assert another.sequence != alarm.sequence


async def test_of_many_who_close_at_once_one_is_recorded(bench: Bench) -> None:
    alarm = await flooded(bench)
    names = ("root", "ann", "bob")
    closed = await asyncio.gather(*(bench.review.close(name, alarm.sequence) for name in names))
    assert len({each.closed_by for each in closed}) == 1
    assert len(await bench.audit(AuditKind.ALARM_CHANGED)) == 1


async def test_what_is_not_there_or_wrong_is_refused(bench: Bench) -> None:
    alarm = await flooded(bench)
    for number in (0, alarm.sequence + 1, 2**63 - 1):
        with pytest.raises(AlarmNotFoundError):
            await bench.review.acknowledge(ROOT, number)
        with pytest.raises(AlarmNotFoundError):
            await bench.review.close(ROOT, number)
    for words in ("x" * 201, "a\nb", "a\x00b"):
        with pytest.raises(FieldInvalidError):
            await bench.review.close(ROOT, alarm.sequence, words)
    assert (await flooded(bench, 0)).state is AlarmState.OPEN


async def test_alarms_that_an_older_program_left_out_are_raised_and_closed(bench: Bench) -> None:
    first, second = await bench.unknown("r1"), await bench.unknown("r2")
    await bench.drops.decide(ROOT, second.id, dispensed=True, why="seen")
    (opened,) = await listed(bench)

    def forget(tx: Transaction) -> None:
        # As release 0.1.0 leaves it: an alarm of a settled drop, none of an unknown one.
        tx.alarms.close(opened.sequence, "x", 1)
        tx.alarms.add(Alarm(AlarmKind.DROP_UNKNOWN, f"drops/{second.id}", "d", 1, 1, 1, {}))

    await bench.storage.write(forget)
    for _ in range(2):
        await bench.review.catch_up()
        (alarm,) = await listed(bench)
        assert (alarm.subject, alarm.count) == (f"drops/{first.id}", 1)
