"""Moving credits, and the entries that it leaves."""

import asyncio
from typing import Any

import pytest

from drink_frontend.domain.entities import LedgerEntry
from drink_frontend.domain.errors import (
    AccountClosedError,
    AccountNotFoundError,
    AdminRequiredError,
    DrinkError,
    FieldInvalidError,
    InsufficientCreditsError,
    RateLimitedError,
    RequestIdReusedError,
)
from drink_frontend.domain.ledger import CREDITS_MAX
from drink_frontend.usecases.settings import AccountSettings
from tests.support.bench import Bench


async def test_credits_come_from_funding_and_go_back_there(bench: Bench) -> None:
    """Invariant 1: no credits without the other side of their entry."""
    root = await bench.account("root")
    assert (await bench.transfers.add_credits(root, "a1", "ann", 30)).posted == 230
    assert (await bench.transfers.add_credits(root, "a2", "ann", -80)).posted == 150

    newest, older = await bench.transfers.entries(root, "ann", None, 2)
    assert (newest.credits, newest.counterpart) == (-80, "funding")
    assert (older.credits, older.counterpart) == (30, "funding")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"credits_added": 0}, FieldInvalidError),
        ({"credits_added": CREDITS_MAX + 1}, FieldInvalidError),
        ({"credits_added": -CREDITS_MAX - 1}, FieldInvalidError),
        ({"credits_added": -201}, InsufficientCreditsError),
        ({"name": "nobody"}, AccountNotFoundError),
        ({"name": "funding"}, AccountNotFoundError),
        ({"name": "sales/d"}, AccountNotFoundError),
        ({"request_id": "a b"}, FieldInvalidError),
        ({"request_id": "first-ann"}, RequestIdReusedError),
    ],
)
async def test_credits_that_cannot_be_added(
    bench: Bench, change: dict[str, Any], error: type[DrinkError]
) -> None:
    root = await bench.account("root")
    order: dict[str, Any] = {"request_id": "a1", "name": "ann", "credits_added": 5} | change
    with pytest.raises(error):
        await bench.transfers.add_credits(root, **order)

    assert await bench.credits() == (200, 0)


async def test_only_administrators_add_credits(bench: Bench) -> None:
    ann = await bench.account("ann")
    with pytest.raises(AdminRequiredError):
        await bench.transfers.add_credits(ann, "a1", "ann", 5)


async def test_credits_pass_from_one_to_another(bench: Bench) -> None:
    ann = await bench.account("ann")
    after = await bench.transfers.send(ann, "t1", "bob", 60)

    assert after.posted == 140
    assert await bench.credits("bob") == (160, 0)
    (entry, *_) = await bench.transfers.entries(ann, "ann", None, 10)
    assert (entry.credits, entry.counterpart, entry.drop_id) == (-60, "bob", None)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"credits_sent": 0}, FieldInvalidError),
        ({"credits_sent": -1}, FieldInvalidError),
        ({"credits_sent": CREDITS_MAX + 1}, FieldInvalidError),
        ({"credits_sent": 201}, InsufficientCreditsError),
        ({"recipient": "ann"}, FieldInvalidError),
        ({"recipient": "nobody"}, AccountNotFoundError),
        ({"recipient": "sales/d"}, AccountNotFoundError),
        ({"request_id": ""}, FieldInvalidError),
    ],
)
async def test_credits_that_cannot_be_sent(
    bench: Bench, change: dict[str, Any], error: type[DrinkError]
) -> None:
    ann = await bench.account("ann")
    order: dict[str, Any] = {"request_id": "t1", "recipient": "bob", "credits_sent": 5} | change
    with pytest.raises(error):
        await bench.transfers.send(ann, **order)

    assert await bench.credits() == (200, 0)
    assert await bench.credits("bob") == (100, 0)


async def test_nobody_sends_credits_to_the_funding_account(bench: Bench) -> None:
    """Invariant 1: credits are taken back by administrators only."""
    ann = await bench.account("ann")
    with pytest.raises(AccountNotFoundError):
        await bench.transfers.send(ann, "t1", "funding", 5)
    assert await bench.credits() == (200, 0)


@pytest.mark.parametrize("closed", ["ann", "bob"])
async def test_closed_accounts_neither_send_nor_receive(bench: Bench, closed: str) -> None:
    ann = await bench.account("ann")
    await bench.accounts.change("root", closed, closed=True)
    with pytest.raises(AccountClosedError):
        await bench.transfers.send(ann, "t1", "bob", 5)


async def test_fault_3_a_repeated_transfer_moves_credits_once(bench: Bench) -> None:
    """Invariants 12 and 13, for everything that moves credits."""
    ann, root = await bench.account("ann"), await bench.account("root")
    await asyncio.gather(*(bench.transfers.send(ann, "t1", "bob", 60) for _ in range(10)))
    await asyncio.gather(*(bench.transfers.add_credits(root, "a1", "bob", 7) for _ in range(10)))

    assert await bench.credits() == (140, 0)
    assert await bench.credits("bob") == (167, 0)


@pytest.mark.parametrize("changed", [("bob", 61), ("root", 60)])
async def test_fault_4_a_transfer_with_another_body_is_refused(
    bench: Bench, changed: tuple[str, int]
) -> None:
    ann = await bench.account("ann")
    await bench.transfers.send(ann, "t1", "bob", 60)
    with pytest.raises(RequestIdReusedError):
        await bench.transfers.send(ann, "t1", *changed)

    assert await bench.credits() == (140, 0)


async def test_fault_67_an_account_makes_so_many_transfers_a_second(bench: Bench) -> None:
    ann, bob = await bench.account("ann"), await bench.account("bob")
    settings = AccountSettings()
    for number in range(settings.transfers_burst):
        await bench.transfers.send(ann, f"t{number % 10}", "bob", 1)
    with pytest.raises(RateLimitedError):
        await bench.transfers.send(ann, "more", "bob", 1)
    await bench.transfers.send(bob, "others", "ann", 1)
    bench.clock.pass_s(1)
    for number in range(int(settings.transfers_per_s)):
        await bench.transfers.send(ann, f"later{number}", "bob", 1)
    with pytest.raises(RateLimitedError):
        await bench.transfers.send(ann, "more", "bob", 1)


async def test_two_transfers_at_once_never_overdraw(bench: Bench) -> None:
    """Invariant 2."""
    ann = await bench.account("ann")
    answers = await asyncio.gather(
        *(bench.transfers.send(ann, f"t{number}", "bob", 150) for number in range(2)),
        return_exceptions=True,
    )

    assert sorted(type(answer).__name__ for answer in answers) == [
        "Account",
        "InsufficientCreditsError",
    ]
    assert await bench.credits() == (50, 0)


async def test_entries_page_from_the_newest(bench: Bench) -> None:
    """Invariant 4: entries stay as they were written, and add up to the balance."""
    ann, root = await bench.account("ann"), await bench.account("root")
    drop = await bench.dispatched()
    await bench.report(drop)
    for number in range(3):
        await bench.transfers.add_credits(root, f"a{number}", "ann", 10)
    entries: list[LedgerEntry] = []
    while page := await bench.transfers.entries(
        ann, "ann", entries[-1].sequence if entries else None, 2
    ):
        assert len(page) <= 2
        entries.extend(page)

    kinds = [entry.kind for entry in entries]
    assert kinds == ["MOVE", "MOVE", "MOVE", "POST", "HOLD", "MOVE"]
    posted = sum(entry.credits for entry in entries if entry.kind in {"MOVE", "POST"})
    assert posted == (await bench.account("ann")).posted == 180
