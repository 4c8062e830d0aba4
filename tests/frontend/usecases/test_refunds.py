"""Giving back what was paid for a drop."""

import asyncio
from typing import Any

import pytest

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import Account, AuditKind, Drop
from drink_frontend.domain.errors import (
    AccountClosedError,
    AdminRequiredError,
    DrinkError,
    DropNotFoundError,
    DropNotPaidError,
    DropRefundedError,
    FieldInvalidError,
    RefundTooLateError,
    RequestIdReusedError,
    StockInvalidError,
)
from drink_frontend.domain.ledger import CREDITS_MAX
from drink_frontend.domain.stock import STOCK_MAX
from drink_frontend.usecases.refunds import RefundOrder
from tests.support.bench import Bench
from tests.support.ids import ROOT

MINUTES = 5


@pytest.fixture
async def root(bench: Bench) -> Account:
    return await bench.account("root")


@pytest.fixture
async def paid(bench: Bench) -> Drop:
    """A drop for which ann has paid 50 credits."""
    drop = await bench.dispatched()
    await bench.report(drop)
    assert await bench.credits() == (150, 0)
    return await bench.drop(drop.id)


async def refund(bench: Bench, caller: Account, drop: Drop, **terms: Any) -> Drop:
    terms = {"request_id": "back", "drop_id": drop.id, "reason": "it was warm", **terms}
    return await bench.drops.refund(caller, RefundOrder(**terms))


def allow_buyers(bench: Bench) -> None:
    allowed = bench.drops._settings.model_copy(update={"refund_minutes": MINUTES})
    bench.drops._settings = allowed


async def test_what_was_paid_comes_back_from_the_machines_sales(
    bench: Bench, root: Account, paid: Drop
) -> None:
    """Invariant 26, and 4: the payment stays as it is."""
    refunded = await refund(bench, root, paid)

    assert (refunded.state, refunded.refunded) == (State.DISPENSED, 50)
    assert await bench.drop(paid.id) == refunded
    assert await bench.credits() == (200, 0)
    assert await bench.holds_and_ends(paid) == ["HOLD", "POST", "MOVE"]
    newest, *_ = await bench.transfers.entries(root, "ann", None, 1)
    assert (newest.credits, newest.counterpart, newest.drop_id) == (50, "sales/d", paid.id)
    assert await bench.stock() == (2, 0, 1, 0)
    (record,) = await bench.audit(AuditKind.DROP_REFUNDED)
    assert (record.actor, record.drop_id, record.account) == ("root", paid.id, "ann")
    assert record.facts == {"credits": 50, "why": "it was warm", "restocked": False}


async def test_a_part_comes_back_once(bench: Bench, root: Account, paid: Drop) -> None:
    """Invariant 26: the rest of the price does not follow."""
    assert (await refund(bench, root, paid, credits_given=20)).refunded == 20
    with pytest.raises(DropRefundedError) as refused:
        await refund(bench, root, paid, request_id="more", credits_given=30)

    assert refused.value.facts == {"refunded": 20}
    assert await bench.credits() == (170, 0)


async def test_the_item_is_back_in_its_slot(bench: Bench, root: Account, paid: Drop) -> None:
    """Invariant 10: it fell, and was put in once more."""
    await refund(bench, root, paid, restock=True)

    assert await bench.stock() == (3, 0, 1, 0)
    record = (await bench.audit(AuditKind.STOCK_CHANGED))[-1]
    assert (record.actor, record.drop_id, record.facts["to"]) == ("root", paid.id, {"on_hand": 3})


@pytest.mark.parametrize("changes", [{"item": "Tea"}, {"available": STOCK_MAX}])
async def test_an_item_that_does_not_fit_into_its_slot(
    bench: Bench, root: Account, paid: Drop, changes: dict[str, Any]
) -> None:
    await bench.machines.update_slot(root, "d", 1, **changes)
    with pytest.raises(StockInvalidError):
        await refund(bench, root, paid, restock=True)
    assert await bench.credits() == (150, 0)
    await refund(bench, root, paid)
    assert await bench.credits() == (200, 0)


async def test_fault_71_many_refunds_at_once_give_back_once(
    bench: Bench, root: Account, paid: Drop
) -> None:
    """Invariant 26, with one request and with many."""
    same = [refund(bench, root, paid) for _ in range(5)]
    others = [refund(bench, root, paid, request_id=f"other-{number}") for number in range(5)]
    answers = await asyncio.gather(*same, *others, return_exceptions=True)

    given = [answer for answer in answers if isinstance(answer, Drop)]
    assert {drop.refunded for drop in given} == {50}
    assert len(given) in {1, 5}
    refused = [answer for answer in answers if not isinstance(answer, Drop)]
    assert {type(answer) for answer in refused} == {DropRefundedError}
    assert await bench.credits() == (200, 0)
    assert len(await bench.audit(AuditKind.DROP_REFUNDED)) == 1


async def test_fault_3_a_repeated_refund_has_the_same_answer(
    bench: Bench, root: Account, paid: Drop
) -> None:
    """Invariants 12 and 13: also where the whole price is named the second time."""
    first = await refund(bench, root, paid)
    assert await refund(bench, root, paid, credits_given=50) == first
    assert await bench.credits() == (200, 0)


@pytest.mark.parametrize(
    "changes", [{"credits_given": 49}, {"restock": True}, {"reason": "it was cold"}]
)
async def test_fault_4_a_refund_with_another_body_is_refused(
    bench: Bench, root: Account, paid: Drop, changes: dict[str, Any]
) -> None:
    await refund(bench, root, paid)
    with pytest.raises(RequestIdReusedError):
        await refund(bench, root, paid, **changes)
    assert await bench.credits() == (200, 0)


async def test_fault_4_the_id_of_another_transfer_or_drop_is_refused(
    bench: Bench, root: Account, paid: Drop
) -> None:
    other = await bench.dispatched("r2", slot=2)
    await bench.report(other)
    with pytest.raises(RequestIdReusedError):
        await refund(bench, root, paid, request_id="first-ann")
    await refund(bench, root, other)
    with pytest.raises(RequestIdReusedError):
        await refund(bench, root, paid)


@pytest.mark.parametrize(
    ("outcome", "cause"),
    [(State.UNKNOWN, Cause.BOARD_SILENT), (State.NOT_DISPENSED, Cause.BOARD_REFUSED)],
)
async def test_a_drop_that_was_not_paid(
    bench: Bench, root: Account, outcome: State, cause: Cause
) -> None:
    drop = await bench.dispatched()
    with pytest.raises(DropNotPaidError):
        await refund(bench, root, drop)
    await bench.report(drop, outcome, cause)
    with pytest.raises(DropNotPaidError):
        await refund(bench, root, drop)


async def test_a_drop_that_was_free_of_charge(bench: Bench, root: Account) -> None:
    await bench.machines.update_slot(root, "d", 1, price=0)
    drop = await bench.dispatched()
    await bench.report(drop)
    with pytest.raises(DropNotPaidError):
        await refund(bench, root, drop)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"drop_id": "D404"}, DropNotFoundError),
        ({"request_id": "a b"}, FieldInvalidError),
        ({"request_id": ""}, FieldInvalidError),
        ({"reason": ""}, FieldInvalidError),
        ({"reason": " "}, FieldInvalidError),
        ({"reason": "x" * 201}, FieldInvalidError),
        ({"reason": "a\x1b[2J"}, FieldInvalidError),
        ({"credits_given": 0}, FieldInvalidError),
        ({"credits_given": -1}, FieldInvalidError),
        ({"credits_given": 51}, FieldInvalidError),
        ({"credits_given": CREDITS_MAX + 1}, FieldInvalidError),
        ({"credits_given": 2**63 - 1}, FieldInvalidError),
    ],
)
async def test_what_cannot_be_refunded(
    bench: Bench, root: Account, paid: Drop, changes: dict[str, Any], error: type[DrinkError]
) -> None:
    with pytest.raises(error):
        await refund(bench, root, paid, **changes)
    assert await bench.credits() == (150, 0)


async def test_a_closed_account_is_given_nothing(bench: Bench, root: Account, paid: Drop) -> None:
    await bench.accounts.change(ROOT, "ann", closed=True)
    with pytest.raises(AccountClosedError):
        await refund(bench, root, paid)


@pytest.mark.parametrize("drop_id", [None, "D404"])
async def test_buyers_refund_nothing_unless_it_is_allowed(
    bench: Bench, paid: Drop, drop_id: str | None
) -> None:
    with pytest.raises(AdminRequiredError):
        await refund(bench, await bench.account("ann"), paid, drop_id=drop_id or paid.id)


class TestAllowed:
    """Buyers may give back their own drops for some minutes."""

    @pytest.fixture(autouse=True)
    def allowed(self, bench: Bench) -> None:
        allow_buyers(bench)

    async def test_the_buyer_in_time(self, bench: Bench, paid: Drop) -> None:
        bench.clock.pass_s(MINUTES * 60)
        assert (await refund(bench, await bench.account("ann"), paid)).refunded == 50
        (record,) = await bench.audit(AuditKind.DROP_REFUNDED)
        assert record.actor == "ann"

    async def test_the_buyer_too_late(self, bench: Bench, root: Account, paid: Drop) -> None:
        ann = await bench.account("ann")
        bench.clock.pass_s(MINUTES * 60 + 1)
        with pytest.raises(RefundTooLateError):
            await refund(bench, ann, paid)
        await refund(bench, root, paid)

    async def test_a_repeat_has_its_answer_also_later(self, bench: Bench, paid: Drop) -> None:
        """Invariant 12."""
        ann = await bench.account("ann")
        first = await refund(bench, ann, paid)
        bench.clock.pass_s(MINUTES * 60 + 1)
        assert await refund(bench, ann, paid) == first

    async def test_somebody_elses_drop_is_not_there(self, bench: Bench, paid: Drop) -> None:
        with pytest.raises(DropNotFoundError):
            await refund(bench, await bench.account("bob"), paid)

    async def test_nobody_but_administrators_counts_stock(self, bench: Bench, paid: Drop) -> None:
        with pytest.raises(AdminRequiredError):
            await refund(bench, await bench.account("ann"), paid, restock=True)

    async def test_buyer_and_administrator_give_back_once(
        self, bench: Bench, root: Account, paid: Drop
    ) -> None:
        """Invariant 26: one request_id of two people is two requests."""
        await refund(bench, await bench.account("ann"), paid)
        with pytest.raises(DropRefundedError):
            await refund(bench, root, paid)
        assert await bench.credits() == (200, 0)
