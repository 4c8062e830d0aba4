"""Moving credits, and the entries that it leaves."""

import asyncio
from typing import Any

import pytest

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import EntrySelection, LedgerEntry
from drink_frontend.domain.errors import (
    AccountClosedError,
    AccountNotFoundError,
    AdminRequiredError,
    BalanceChangedError,
    DrinkError,
    FieldInvalidError,
    InsufficientCreditsError,
    RateLimitedError,
    RequestIdReusedError,
)
from drink_frontend.domain.ledger import CREDITS_MAX, TransferKind
from drink_frontend.usecases.settings import AccountSettings
from tests.support.bench import Bench
from tests.support.ids import ROOT


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
        ({"recipient": "funding"}, AccountNotFoundError),
        ({"request_id": ""}, FieldInvalidError),
    ],
)
async def test_credits_that_cannot_be_sent(
    bench: Bench, change: dict[str, Any], error: type[DrinkError]
) -> None:
    """Invariant 1: credits are taken back by administrators only."""
    ann = await bench.account("ann")
    order: dict[str, Any] = {"request_id": "t1", "recipient": "bob", "credits_sent": 5} | change
    with pytest.raises(error):
        await bench.transfers.send(ann, **order)

    assert await bench.credits() == (200, 0)
    assert await bench.credits("bob") == (100, 0)


@pytest.mark.parametrize("closed", ["ann", "bob"])
async def test_closed_accounts_neither_send_nor_receive(bench: Bench, closed: str) -> None:
    ann = await bench.account("ann")
    await bench.accounts.change(ROOT, closed, closed=True)
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


async def test_an_entry_says_who_moved_the_credits_and_why(bench: Bench) -> None:
    ann, root = await bench.account("ann"), await bench.account("root")
    await bench.transfers.send(ann, "t1", "bob", 5, reason="for lunch")
    await bench.transfers.add_credits(root, "a1", "bob", 7)
    newest, older = await bench.transfers.entries(await bench.account("bob"), "bob", None, 2)
    assert (newest.actor, newest.reason, newest.item) == ("root", None, None)
    assert (older.actor, older.reason, older.counterpart) == ("ann", "for lunch", "ann")


async def test_entries_add_up_to_what_is_owned_and_held(bench: Bench) -> None:
    """Invariant 1, in what a client sees: a hold is taken away when it is paid or set free."""
    ann = await bench.account("ann")
    outcomes = [(State.DISPENSED, Cause.BOARD_ACK), (State.NOT_DISPENSED, Cause.BOARD_REFUSED)]
    for number, (outcome, cause) in enumerate(outcomes):
        drop = await bench.dispatched(f"r{number}")
        await bench.report(drop, outcome, cause)
    await bench.place("open", slot=2)
    entries = await bench.transfers.entries(ann, "ann", None, 10)

    changes = [
        (entry.kind, entry.item, entry.posted_change, entry.held_change) for entry in entries
    ]
    assert changes == [
        ("HOLD", "Tea", 0, 30),
        ("VOID", "Coke", 0, -50),
        ("HOLD", "Coke", 0, 50),
        ("POST", "Coke", -50, -50),
        ("HOLD", "Coke", 0, 50),
        ("MOVE", None, 200, 0),
    ]
    assert await bench.credits() == (150, 30)


async def test_entries_are_selected_by_kind_and_time(bench: Bench) -> None:
    ann, root = await bench.account("ann"), await bench.account("root")
    start_ms = bench.clock.now_ms()
    bench.clock.pass_s(10)
    drop = await bench.dispatched()
    await bench.report(drop)
    bench.clock.pass_s(10)
    await bench.transfers.add_credits(root, "a1", "ann", 1)

    async def kinds(**selection: Any) -> list[str]:
        wanted = EntrySelection(**selection)
        found = await bench.transfers.entries(ann, "ann", None, 10, wanted)
        return [entry.kind for entry in found]

    assert await kinds(kinds=(TransferKind.POST, TransferKind.HOLD)) == ["POST", "HOLD"]
    assert await kinds(kinds=(TransferKind.VOID,)) == []
    assert await kinds(from_ms=start_ms + 1) == ["MOVE", "POST", "HOLD"]
    assert await kinds(from_ms=start_ms + 20_000) == ["MOVE"]
    assert await kinds(before_ms=start_ms + 10_000) == ["MOVE"]
    assert await kinds(kinds=(TransferKind.MOVE,), before_ms=start_ms + 10_001) == ["MOVE"]


@pytest.mark.parametrize("reason", ["x" * 201, "\x00", "a\x1b[2J", "\u202e"])
async def test_a_reason_that_is_no_text_for_people(bench: Bench, reason: str) -> None:
    ann, root = await bench.account("ann"), await bench.account("root")
    for move in (
        bench.transfers.send(ann, "t", "bob", 5, reason=reason),
        bench.transfers.add_credits(root, "a", "bob", 5, reason=reason),
        bench.transfers.set_posted(root, "s", "bob", 5, 100, reason=reason),
    ):
        with pytest.raises(FieldInvalidError, match="reason"):
            await move
    assert await bench.credits("bob") == (100, 0)


async def test_fault_4_a_repeat_for_another_reason_is_refused(bench: Bench) -> None:
    root = await bench.account("root")
    await bench.transfers.add_credits(root, "a", "ann", 5, reason="gift")
    with pytest.raises(RequestIdReusedError):
        await bench.transfers.add_credits(root, "a", "ann", 5)


@pytest.mark.parametrize("wanted", [0, 150, 200, 1_000])
async def test_a_balance_is_set_to_a_number(bench: Bench, wanted: int) -> None:
    """Invariant 1: by a transfer of the difference."""
    root = await bench.account("root")
    for _ in range(2):
        after = await bench.transfers.set_posted(root, "s", "ann", wanted, 200, reason="counted")
        assert after.posted == wanted
        if wanted == 200:
            break
    entries = await bench.transfers.entries(root, "ann", None, 10)
    differences = [] if wanted == 200 else [(wanted - 200, "funding", "counted")]
    made = [(entry.credits, entry.counterpart, entry.reason) for entry in entries[:-1]]
    assert made == differences


async def test_a_balance_that_is_not_the_expected_one_is_kept(bench: Bench) -> None:
    root = await bench.account("root")
    await bench.transfers.send(await bench.account("bob"), "t", "ann", 1)
    with pytest.raises(BalanceChangedError) as refused:
        await bench.transfers.set_posted(root, "s", "ann", 500, 200)
    assert refused.value.facts == {"posted": 201}
    assert await bench.credits() == (201, 0)


async def test_two_who_set_a_balance_at_once_do_not_both(bench: Bench) -> None:
    """Invariant 13."""
    root = await bench.account("root")
    answers = await asyncio.gather(
        *(bench.transfers.set_posted(root, f"s{each}", "ann", 300 + each, 200) for each in (1, 2)),
        return_exceptions=True,
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["Account", "BalanceChangedError"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"actor": "ann"}, AdminRequiredError),
        ({"name": "nobody"}, AccountNotFoundError),
        ({"name": "funding", "expected": -300}, AccountNotFoundError),
        ({"request_id": "a b"}, FieldInvalidError),
        ({"request_id": "first-ann"}, RequestIdReusedError),
        ({"wanted": -1}, InsufficientCreditsError),
        ({"wanted": CREDITS_MAX + 1}, FieldInvalidError),
        ({"wanted": -(2**63)}, FieldInvalidError),
        ({"wanted": CREDITS_MAX, "expected": -1}, FieldInvalidError),
        ({"expected": 2**63 - 1}, FieldInvalidError),
    ],
)
async def test_a_balance_that_cannot_be_set(
    bench: Bench, change: dict[str, Any], error: type[DrinkError]
) -> None:
    terms: dict[str, Any] = {"actor": "root", "request_id": "s", "name": "ann"}
    terms |= {"wanted": 5, "expected": 200} | change
    terms["actor"] = await bench.account(terms["actor"])
    with pytest.raises(error):
        await bench.transfers.set_posted(**terms)
    assert await bench.credits() == (200, 0)


async def test_held_credits_cannot_be_taken_away(bench: Bench) -> None:
    """Invariant 2."""
    await bench.place()
    root = await bench.account("root")
    with pytest.raises(InsufficientCreditsError):
        await bench.transfers.set_posted(root, "s", "ann", 49, 200)
    assert (await bench.transfers.set_posted(root, "s", "ann", 50, 200)).available == 0
