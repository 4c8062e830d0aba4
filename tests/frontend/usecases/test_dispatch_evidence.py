"""What agents' evidence settles, what it adds to a drop, and what is an alarm only."""

import pytest

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import AuditKind
from tests.support.bench import Bench

DECLARED = {"sensor_independent": True}
"""Evidence of an agent whose configuration declares its board's sensors independent."""


@pytest.mark.parametrize("evidence", [{}, {"sensor_independent": False}])
async def test_fault_57_a_sensor_of_an_agent_that_declares_nothing_settles_nothing(
    bench: Bench, evidence: dict[str, bool]
) -> None:
    """Invariant 8: agents of 0.1.0 report so what a refused command can cause as well."""
    drop = await bench.dispatched()
    await bench.report(drop, State.DISPENSED, Cause.SENSOR, evidence=evidence)

    assert await bench.state(drop) == (State.UNKNOWN, Cause.BOARD_SILENT)
    moved = (await bench.audit(AuditKind.DROP_MOVED))[-1]
    assert (moved.facts["outcome"], moved.facts["reported_cause"]) == ("DISPENSED", "SENSOR")
    await bench.report(drop, State.NOT_DISPENSED, Cause.BOARD_REFUSED_LATE, revision=2)
    assert await bench.state(drop) == (State.NOT_DISPENSED, Cause.BOARD_REFUSED_LATE)


async def test_a_sensor_that_is_declared_independent_settles(bench: Bench) -> None:
    drop = await bench.dispatched()
    await bench.report(drop, State.DISPENSED, Cause.SENSOR, evidence=DECLARED)

    assert await bench.state(drop) == (State.DISPENSED, Cause.SENSOR)


async def test_fault_57_a_sensor_does_not_speak_for_a_journal_that_was_replaced(
    bench: Bench,
) -> None:
    drop = await bench.dispatched()
    await bench.link(journal="another")
    await bench.report(drop, State.DISPENSED, Cause.SENSOR)

    assert await bench.state(drop) == (State.UNKNOWN, Cause.JOURNAL_REPLACED)


async def test_fault_59_more_evidence_of_an_unknown_drop_is_kept_with_it(bench: Bench) -> None:
    drop = await bench.unknown()
    read = {"sensor_after": "EMPTY", "sensor_after_offset_ms": 31_000}
    await bench.report(drop, State.UNKNOWN, Cause.BOARD_SILENT, revision=2, evidence=read)

    assert (await bench.state(drop))[0] is State.UNKNOWN
    assert (await bench.audit(AuditKind.DROP_MOVED))[-1].facts["evidence"] == read
    await bench.report(drop, State.DISPENSED, Cause.BOARD_ACK_LATE, revision=3)
    assert await bench.state(drop) == (State.DISPENSED, Cause.BOARD_ACK_LATE)


async def test_fault_57_what_denies_a_settled_drop_is_an_alarm(bench: Bench) -> None:
    """Invariant 8: what is settled is never revised."""
    drop = await bench.dispatched()
    await bench.report(drop, State.DISPENSED, Cause.SENSOR, evidence=DECLARED)
    words = "NOT_DISPENSED/BOARD_REFUSED_LATE after DISPENSED/SENSOR"
    denied = {"contradiction": words, "sensor_independent": True}
    await bench.report(drop, State.DISPENSED, Cause.SENSOR, revision=2, evidence=denied)

    assert await bench.state(drop) == (State.DISPENSED, Cause.SENSOR)
    [alarm] = await bench.audit(AuditKind.SENSOR_CONTRADICTED)
    assert alarm.facts["contradiction"] == words
    await bench.report(drop, State.NOT_DISPENSED, Cause.BOARD_REFUSED_LATE, revision=3)
    assert await bench.state(drop) == (State.DISPENSED, Cause.SENSOR)
    assert len(await bench.audit(AuditKind.DROP_CONTRADICTED)) == 1
