"""What buyers say of their drops."""

import asyncio
from typing import Any

import pytest

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import AuditKind, Drop
from drink_frontend.domain.errors import (
    DropNotFoundError,
    DropReportedError,
    DropUnderWayError,
    FieldInvalidError,
    NotOwnerError,
)
from drink_frontend.usecases.reports import Report
from drink_frontend.usecases.settings import DropSettings
from tests.support.bench import Bench, each_outcome

REPORTS_MAX = DropSettings().reports_max


async def report(bench: Bench, drop: Drop, name: str = "ann", **terms: Any) -> Drop:
    terms = {"drop_id": drop.id, "fell": False, **terms}
    return await bench.drops.report(await bench.account(name), Report(**terms))


@each_outcome
@pytest.mark.parametrize("fell", [True, False, None])
async def test_a_report_is_kept_and_decides_nothing(
    bench: Bench, outcome: State, cause: Cause, fell: bool | None
) -> None:
    """Invariant 8: the buyer's word is no evidence that settles a drop."""
    drop = await bench.dispatched()
    await bench.report(drop, outcome, cause)
    before, books = await bench.drop(drop.id), await bench.credits()
    stock = await bench.stock()

    assert await report(bench, drop, fell=fell, text="it hangs") == before
    assert (await bench.drop(drop.id), await bench.credits(), await bench.stock()) == (
        before,
        books,
        stock,
    )
    (record,) = await bench.audit(AuditKind.DROP_REPORTED, drop_id=drop.id)
    assert (record.actor, record.account, record.machine) == ("ann", "ann", "d")
    assert record.facts == {"fell": fell, "text": "it hangs"}


async def test_a_few_reports_are_kept_and_a_repeat_is_none(bench: Bench) -> None:
    """Invariant 25."""
    drop = await bench.unknown()
    for number in range(REPORTS_MAX):
        for _ in range(3):
            await report(bench, drop, text=f"look {number}")
    with pytest.raises(DropReportedError) as refused:
        await report(bench, drop, text="one more")
    assert refused.value.facts == {"reports": REPORTS_MAX}
    await report(bench, drop, text=f"look {REPORTS_MAX - 1}")
    assert len(await bench.audit(AuditKind.DROP_REPORTED)) == REPORTS_MAX


async def test_many_reports_at_once_are_bounded(bench: Bench) -> None:
    """Invariant 25."""
    drop = await bench.unknown()
    answers = await asyncio.gather(
        *(report(bench, drop, text=f"look {number}") for number in range(10)),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, Drop) for answer in answers) == REPORTS_MAX


async def test_a_report_comes_beside_a_decision_and_evidence(bench: Bench) -> None:
    drop = await bench.unknown()
    await asyncio.gather(
        report(bench, drop),
        bench.drops.decide("operator:rita", drop.id, dispensed=True, why="counted"),
    )
    assert await bench.state(drop) == (State.DISPENSED, Cause.OPERATOR)


async def test_nothing_is_reported_of_a_drop_under_way(bench: Bench) -> None:
    drop = await bench.place()
    with pytest.raises(DropUnderWayError):
        await report(bench, drop)


async def test_only_its_buyer_reports_about_a_drop(bench: Bench) -> None:
    drop = await bench.unknown()
    with pytest.raises(DropNotFoundError):
        await report(bench, drop, "bob")
    with pytest.raises(DropNotFoundError):
        await report(bench, drop, drop_id="D404")
    with pytest.raises(NotOwnerError):
        await report(bench, drop, "root")


@pytest.mark.parametrize(
    "terms",
    [{"fell": None}, {"fell": None, "text": " "}, {"text": "x" * 201}, {"text": "\x1b[2J"}],
)
async def test_a_report_that_says_nothing_or_too_much(bench: Bench, terms: dict[str, Any]) -> None:
    drop = await bench.unknown()
    with pytest.raises(FieldInvalidError):
        await report(bench, drop, **terms)
