"""A named operator decides what became of an unknown drop."""

import asyncio

import pytest

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import AuditKind, Drop
from drink_frontend.domain.errors import (
    DropNotFoundError,
    DropNotPaidError,
    DropNotUnknownError,
    DropRefundedError,
    FieldInvalidError,
)
from drink_frontend.usecases.refunds import RefundOrder
from drink_frontend.usecases.reports import Report
from tests.support.bench import Bench
from tests.support.ids import ROOT


async def decide(bench: Bench, drop: Drop, *, dispensed: bool, why: str = "seen") -> Drop:
    return await bench.drops.decide(ROOT, drop.id, dispensed=dispensed, why=why)


@pytest.mark.parametrize(
    ("dispensed", "state", "credits_after", "stock", "end"),
    [
        (True, State.DISPENSED, (150, 0), (2, 0, 1, 0), "POST"),
        (False, State.NOT_DISPENSED, (200, 0), (3, 0, 0, 0), "VOID"),
    ],
)
async def test_a_decision_settles_and_names_who_made_it(
    bench: Bench,
    dispensed: bool,
    state: State,
    credits_after: tuple[int, int],
    stock: tuple[int, int, int, int],
    end: str,
) -> None:
    """Invariants 8 and 21: what no evidence settles, a named person does, with a reason."""
    drop = await bench.unknown()
    decided = await decide(bench, drop, dispensed=dispensed, why="found it in the tray")

    assert (decided.state, decided.cause) == (state, Cause.OPERATOR)
    assert (decided.decided_by, decided.decider) == (ROOT, "root")
    assert await bench.credits() == credits_after
    assert await bench.stock() == stock
    assert await bench.holds_and_ends(drop) == ["HOLD", end]
    record = (await bench.audit(AuditKind.DROP_MOVED, drop_id=drop.id))[-1]
    assert (record.actor, record.facts["why"]) == ("root", "found it in the tray")


@pytest.mark.parametrize("dispensed", [True, False])
async def test_fault_53_evidence_after_the_decision_is_raised_if_it_disagrees(
    bench: Bench, dispensed: bool
) -> None:
    """Invariant 3: the decision stands, and its drop is settled once."""
    drop = await bench.unknown()
    decided = await decide(bench, drop, dispensed=dispensed)
    await bench.report(drop, State.DISPENSED, Cause.BOARD_ACK_LATE, revision=2)

    after = await bench.drop(drop.id)
    assert (after.state, after.cause, after.revision) == (decided.state, Cause.OPERATOR, 2)
    assert len(await bench.holds_and_ends(drop)) == 2
    assert len(await bench.audit(AuditKind.DROP_CONTRADICTED)) == (0 if dispensed else 1)


@pytest.mark.parametrize("dispensed", [True, False])
async def test_fault_53_a_decision_after_the_evidence_is_refused(
    bench: Bench, dispensed: bool
) -> None:
    """Invariant 3: evidence that came first stands."""
    drop = await bench.unknown()
    await bench.report(drop, State.DISPENSED, Cause.BOARD_ACK_LATE, revision=2)

    with pytest.raises(DropNotUnknownError):
        await decide(bench, drop, dispensed=dispensed)
    assert await bench.state(drop) == (State.DISPENSED, Cause.BOARD_ACK_LATE)
    assert await bench.credits() == (150, 0)


@pytest.mark.parametrize("state", [State.SCHEDULED, State.RESERVED, State.DISPATCHED])
async def test_a_drop_whose_outcome_may_still_come_is_not_decided(
    bench: Bench, state: State
) -> None:
    drop = await bench.place(delay_s=60 if state is State.SCHEDULED else 0)
    if state is State.DISPATCHED:
        await bench.take()

    with pytest.raises(DropNotUnknownError):
        await decide(bench, drop, dispensed=False)
    assert (await bench.drop(drop.id)).state is state
    assert await bench.credits() == (200, 50)


async def test_a_decision_is_made_once(bench: Bench) -> None:
    drop = await bench.unknown()
    await decide(bench, drop, dispensed=True)

    with pytest.raises(DropNotUnknownError):
        await decide(bench, drop, dispensed=True)
    assert await bench.holds_and_ends(drop) == ["HOLD", "POST"]


async def test_decisions_evidence_refunds_and_reports_at_once_settle_a_drop_once(
    bench: Bench,
) -> None:
    """Invariants 3 and 26, whichever comes first."""
    drop, root, ann = await bench.unknown(), await bench.account("root"), await bench.account("ann")
    orders = [RefundOrder(request_id=f"back-{each}", drop_id=drop.id, reason="?") for each in "ab"]
    answers = await asyncio.gather(
        decide(bench, drop, dispensed=True),
        decide(bench, drop, dispensed=False),
        bench.drops.refund(root, orders[0]),
        bench.report(drop, State.DISPENSED, Cause.BOARD_ACK_LATE, revision=2),
        bench.drops.report(ann, Report(drop_id=drop.id, fell=False)),
        bench.drops.refund(root, orders[1]),
        decide(bench, drop, dispensed=False),
        return_exceptions=True,
    )
    expected = (DropNotUnknownError, DropRefundedError, DropNotPaidError)
    assert all(isinstance(each, expected) for each in answers if isinstance(each, Exception))
    after = await bench.drop(drop.id)
    assert after.state.final
    kinds = await bench.holds_and_ends(drop)
    assert kinds[:2] == ["HOLD", "POST" if after.state is State.DISPENSED else "VOID"]
    assert kinds[2:] == ["MOVE"] * bool(after.refunded)
    is_paid = after.state is State.DISPENSED and not after.refunded
    assert await bench.credits() == ((150, 0) if is_paid else (200, 0))
    assert await bench.storage.verify() == []


async def test_a_decided_drop_is_no_longer_asked_about(bench: Bench) -> None:
    drop = await bench.dispatched()
    await bench.deadlines.look()
    bench.clock.pass_s(91)
    await bench.deadlines.look()
    await decide(bench, drop, dispensed=False)

    assert (await bench.link()).wanted == ()


@pytest.mark.parametrize("why", ["", "  ", "line\nbreak", "x" * 201])
async def test_a_decision_has_a_reason(bench: Bench, why: str) -> None:
    drop = await bench.unknown()
    with pytest.raises(FieldInvalidError) as refused:
        await decide(bench, drop, dispensed=True, why=why)

    assert refused.value.facts == {"field": "why"}
    assert (await bench.drop(drop.id)).state is State.UNKNOWN


async def test_no_such_drop(bench: Bench) -> None:
    with pytest.raises(DropNotFoundError):
        await bench.drops.decide(ROOT, "nothing", dispensed=True, why="seen")
