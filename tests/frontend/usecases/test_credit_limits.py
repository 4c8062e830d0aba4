"""Credit limits: how far an account may owe."""

import asyncio
from typing import Any

import pytest

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import AuditKind
from drink_frontend.domain.errors import (
    AccountNotFoundError,
    DrinkError,
    FieldInvalidError,
    InsufficientCreditsError,
)
from drink_frontend.domain.ledger import CREDITS_MAX
from tests.support.bench import Bench
from tests.support.ids import ROOT


async def limit(bench: Bench, credit_limit: int, name: str = "ann") -> None:
    await bench.accounts.change(ROOT, name, credit_limit=credit_limit)


async def send(bench: Bench, amount: int, request_id: str = "t") -> None:
    await bench.transfers.send(await bench.account("ann"), request_id, "bob", amount)


async def test_nobody_owes_anything_unless_it_is_set(bench: Bench) -> None:
    """Invariant 2."""
    ann = await bench.account("ann")
    assert (ann.credit_limit, ann.available) == (0, 200)
    with pytest.raises(InsufficientCreditsError):
        await send(bench, 201)


async def test_credits_are_owed_up_to_the_limit_and_no_further(bench: Bench) -> None:
    """Invariant 2."""
    await limit(bench, 100)
    assert (await bench.account("ann")).available == 300
    with pytest.raises(InsufficientCreditsError) as refused:
        await send(bench, 301)
    assert refused.value.facts == {"available": 300, "price": 301}
    await send(bench, 250)
    ann = await bench.account("ann")
    assert (ann.posted, ann.available) == (-50, 50)

    drop = await bench.dispatched()
    assert (await bench.account("ann")).available == 0
    with pytest.raises(InsufficientCreditsError):
        await bench.place("r2", slot=2)
    await bench.report(drop)
    assert (await bench.account("ann")).posted == -100
    root = await bench.account("root")
    with pytest.raises(InsufficientCreditsError):
        await bench.transfers.add_credits(root, "a1", "ann", -1)
    assert (await bench.transfers.add_credits(root, "a2", "ann", 120)).available == 120


async def test_two_drops_at_once_never_owe_more_than_the_limit(bench: Bench) -> None:
    """Invariant 2."""
    await send(bench, 200)
    await limit(bench, 60)
    answers = await asyncio.gather(
        bench.place("r1"), bench.place("r2"), bench.place("r3"), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, InsufficientCreditsError)]
    assert len(refused) == 2


@pytest.mark.parametrize(
    ("outcome", "cause", "posted"),
    [
        (State.DISPENSED, Cause.BOARD_ACK, -130),
        (State.NOT_DISPENSED, Cause.BOARD_REFUSED, -80),
    ],
)
async def test_a_limit_below_what_is_owed_ends_buying_and_nothing_else(
    bench: Bench, outcome: State, cause: Cause, posted: int
) -> None:
    """Invariants 2 and 22: what is reserved is settled, and what comes back is taken."""
    await limit(bench, 200)
    await send(bench, 280)
    drop = await bench.dispatched()
    await limit(bench, 10)

    ann = await bench.account("ann")
    assert (ann.posted, ann.held, ann.available) == (-80, 50, 0)
    with pytest.raises(InsufficientCreditsError) as refused:
        await bench.place("r2", slot=2)
    assert refused.value.facts == {"available": 0, "price": 30}
    with pytest.raises(InsufficientCreditsError):
        await send(bench, 1, "t2")
    await bench.report(drop, outcome, cause)
    assert await bench.credits() == (posted, 0)
    bob = await bench.account("bob")
    await bench.transfers.send(bob, "back", "ann", 20)
    assert (await bench.account("ann")).posted == posted + 20
    with pytest.raises(InsufficientCreditsError):
        await send(bench, 1, "t3")


async def test_an_item_without_a_price_needs_no_credits(bench: Bench) -> None:
    await limit(bench, 200)
    await send(bench, 280)
    await limit(bench, 0)
    await bench.machines.update_slot(await bench.account("root"), "d", 1, price=0)
    drop = await bench.dispatched()
    await bench.report(drop)
    assert await bench.credits() == (-80, 0)


async def test_a_limit_is_recorded_with_the_transfer_before_it(bench: Bench) -> None:
    await limit(bench, 100)
    await send(bench, 250)
    await limit(bench, 60)
    first, second = (await bench.audit(AuditKind.ACCOUNT_CHANGED))[-2:]
    assert (first.actor, first.account, first.facts["credit_limit"]) == ("root", "ann", 100)
    assert second.facts["credit_limit"] == 60
    assert second.facts["after_transfer"] == first.facts["after_transfer"] + 1


async def test_who_is_admitted_again_owes_what_was_owed_and_no_more(bench: Bench) -> None:
    await limit(bench, 100)
    await send(bench, 250)
    await bench.accounts.change(ROOT, "ann", closed=True)
    again = await bench.accounts.create(ROOT, "ann", readmit=True)
    assert (again.posted, again.credit_limit, again.available) == (-50, 0, 0)


@pytest.mark.parametrize(
    ("name", "credit_limit", "error"),
    [
        ("ann", -1, FieldInvalidError),
        ("ann", -(2**63), FieldInvalidError),
        ("ann", CREDITS_MAX + 1, FieldInvalidError),
        ("ann", 2**63 - 1, FieldInvalidError),
        ("nobody", 5, AccountNotFoundError),
        ("funding", 5, AccountNotFoundError),
        ("sales/d", 5, AccountNotFoundError),
    ],
)
async def test_a_limit_that_cannot_be_set(
    bench: Bench, name: str, credit_limit: int, error: type[DrinkError]
) -> None:
    with pytest.raises(error):
        await limit(bench, credit_limit, name)


async def test_a_change_of_something_else_keeps_the_limit(bench: Bench) -> None:
    await limit(bench, 100)
    changes: dict[str, Any] = {"admin": True}
    assert (await bench.accounts.change(ROOT, "ann", **changes)).credit_limit == 100
