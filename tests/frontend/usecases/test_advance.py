"""A drop's row, credits, item and audit record change together or not at all."""

import pytest

from drink_frontend.domain.drop import Cause, DropEvent, State, Verdict
from drink_frontend.domain.entities import AuditKind, Drop
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.advance import advance
from tests.support.bench import Bench


async def test_a_move_shows_in_row_credits_stock_and_audit(bench: Bench) -> None:
    """Invariant 21: a change of state is in the audit log with its cause and evidence."""
    drop = await bench.dispatched()
    facts = {"why": "seen"}

    def move(tx: Transaction) -> Verdict:
        return advance(
            tx,
            drop,
            DropEvent.PROVE_DISPENSED,
            Cause.SENSOR,
            actor="agent:d",
            now_ms=77,
            revision=3,
            facts=facts,
        ).verdict

    assert await bench.storage.write(move) is Verdict.MOVED
    moved = await bench.drop(drop.id)
    assert (moved.state, moved.cause) == (State.DISPENSED, Cause.SENSOR)
    assert (moved.revision, moved.settled_ms, moved.decided_by) == (3, 77, None)
    assert await bench.books() == ((150, 0), (2, 0, 1, 0))
    record = (await bench.audit(AuditKind.DROP_MOVED, drop_id=drop.id))[-1]
    expected = ("agent:d", 77, "d", "ann")
    assert (record.actor, record.at_ms, record.machine, record.account) == expected
    assert record.facts == {
        "event": "PROVE_DISPENSED",
        "from": "DISPATCHED",
        "to": "DISPENSED",
        "cause": "SENSOR",
        "why": "seen",
    }


async def test_a_unit_that_fails_after_a_move_moves_nothing(bench: Bench) -> None:
    drop = await bench.dispatched()
    before = len(await bench.audit())

    def fail(tx: Transaction) -> None:
        advance(tx, drop, DropEvent.LOSE, Cause.AGENT_LOST, actor="frontend", now_ms=1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await bench.storage.write(fail)
    assert await bench.drop(drop.id) == drop
    assert await bench.stock() == (2, 1, 0, 0)
    assert len(await bench.audit()) == before


async def test_a_drop_that_was_read_too_early_does_not_move(bench: Bench) -> None:
    """Invariant 3: who acts on an old state is stopped, so that no hold is resolved twice."""
    drop = await bench.dispatched()
    await bench.report(drop)

    def act_on_old(tx: Transaction, old: Drop = drop) -> None:
        advance(tx, old, DropEvent.LOSE, Cause.AGENT_LOST, actor="frontend", now_ms=1)

    with pytest.raises(AssertionError):
        await bench.storage.write(act_on_old)
    assert await bench.holds_and_ends(drop) == ["HOLD", "POST"]


async def test_evidence_against_a_settled_drop_is_kept_and_changes_nothing(bench: Bench) -> None:
    drop = await bench.dispatched()
    await bench.report(drop)

    def contradict(tx: Transaction) -> Verdict:
        settled = tx.drops.get(drop.id)
        assert settled is not None
        return advance(
            tx,
            settled,
            DropEvent.PROVE_NOT_DISPENSED,
            Cause.BOARD_REFUSED_LATE,
            actor="agent:d",
            now_ms=5,
            revision=2,
            facts={"line": "5"},
        ).verdict

    assert await bench.storage.write(contradict) is Verdict.CONTRADICTED
    assert await bench.state(drop) == (State.DISPENSED, Cause.BOARD_ACK)
    assert (await bench.drop(drop.id)).revision == 2
    (record,) = await bench.audit(AuditKind.DROP_CONTRADICTED)
    assert record.drop_id == drop.id
    assert record.facts["line"] == "5"
    assert await bench.credits() == (150, 0)
