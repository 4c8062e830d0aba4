"""The contract of `LedgerTable`."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import LedgerEntry
from drink_frontend.domain.ledger import FUNDING_ACCOUNT, TransferKind
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from tests.support.books import NOW, advance, found, fund, hold_of, move, reserve, resolution_of
from tests.support.books import drop as order


async def _balances(storage: Database, name: str) -> tuple[int, int]:
    account = await storage.read(lambda tx: tx.accounts.get(name))
    assert account is not None
    return account.posted, account.held


async def test_a_move_posts_at_once_on_both_sides(storage: Database) -> None:
    await storage.write(found)
    await storage.write(lambda tx: move(tx, "alice", "bob", 300, "gift"))
    assert await _balances(storage, "alice") == (700, 0)
    assert await _balances(storage, "bob") == (300, 0)
    assert await _balances(storage, FUNDING_ACCOUNT) == (-1_000, 0)


async def test_a_posted_hold_pays_the_machine_once(storage: Database) -> None:
    await storage.write(found)
    await storage.write(lambda tx: reserve(tx, order(1)))
    assert await _balances(storage, "sales/d") == (0, 0)
    await storage.write(lambda tx: advance(tx, order(1).id, State.DISPENSED, Cause.BOARD_ACK))
    assert await _balances(storage, "alice") == (950, 0)
    assert await _balances(storage, "sales/d") == (50, 0)


async def test_a_voided_hold_frees_the_credits(storage: Database) -> None:
    await storage.write(found)
    await storage.write(lambda tx: reserve(tx, order(1)))
    await storage.write(lambda tx: advance(tx, order(1).id, State.NOT_DISPENSED, Cause.CANCELLED))
    assert await _balances(storage, "alice") == (1_000, 0)
    assert await _balances(storage, "sales/d") == (0, 0)


async def test_an_item_can_be_free(storage: Database) -> None:
    await storage.write(found)
    await storage.write(lambda tx: reserve(tx, order(1, price=0, account="bob")))
    await storage.write(lambda tx: advance(tx, order(1).id, State.DISPENSED, Cause.BOARD_ACK))
    assert await _balances(storage, "bob") == (0, 0)


async def test_a_move_is_found_by_its_request_of_its_actor(storage: Database) -> None:
    await storage.write(found)
    await storage.write(lambda tx: move(tx, "alice", "bob", 300, "gift"))
    found_move = await storage.read(lambda tx: tx.ledger.by_request("root", "gift"))
    assert found_move is not None
    assert (found_move.id, found_move.amount, found_move.kind) == (
        "move-gift",
        300,
        TransferKind.MOVE,
    )
    assert await storage.read(lambda tx: tx.ledger.by_request("alice", "gift")) is None
    assert await storage.read(lambda tx: tx.ledger.by_request("root", "other")) is None


async def test_entries_show_each_side_newest_first_and_by_pages(storage: Database) -> None:
    await storage.write(found)
    await storage.write(lambda tx: move(tx, "alice", "bob", 300, "gift"))
    await storage.write(lambda tx: reserve(tx, order(1)))
    await storage.write(lambda tx: advance(tx, order(1).id, State.DISPENSED, Cause.BOARD_ACK))
    entries = await storage.read(lambda tx: tx.ledger.entries("alice", None, 10))
    drop_id = order(1).id
    assert entries == [
        LedgerEntry(4, "hold-1-post", TransferKind.POST, -50, "sales/d", drop_id, NOW),
        LedgerEntry(3, "hold-1", TransferKind.HOLD, -50, "sales/d", drop_id, NOW),
        LedgerEntry(2, "move-gift", TransferKind.MOVE, -300, "bob", None, NOW),
        LedgerEntry(1, "move-founding", TransferKind.MOVE, 1_000, FUNDING_ACCOUNT, None, NOW),
    ]
    assert await storage.read(lambda tx: tx.ledger.entries("alice", 4, 2)) == entries[1:3]
    assert await storage.read(lambda tx: tx.ledger.entries("alice", 2, 2)) == entries[3:]
    assert await storage.read(lambda tx: tx.ledger.entries("alice", 1, 2)) == []
    (received,) = await storage.read(lambda tx: tx.ledger.entries("bob", None, 10))
    assert (received.credits, received.counterpart) == (300, "alice")


def _overdraw(tx: Transaction) -> None:
    move(tx, "alice", "bob", 1_001, "too much")


def _overdraw_held(tx: Transaction) -> None:
    reserve(tx, order(1))
    move(tx, "alice", "bob", 951, "held")


def _hold_too_much(tx: Transaction) -> None:
    reserve(tx, order(1, account="bob"))


def _spend_sales(tx: Transaction) -> None:
    move(tx, "sales/d", "bob", 1, "theft")


def _same_request(tx: Transaction) -> None:
    earlier = tx.ledger.by_request("root", "founding")
    assert earlier is not None
    tx.ledger.add(replace(earlier, id="another"))


def _same_id(tx: Transaction) -> None:
    earlier = tx.ledger.by_request("root", "founding")
    assert earlier is not None
    tx.ledger.add(replace(earlier, request_id="another"))


def _no_such_account(tx: Transaction) -> None:
    fund(tx, "nobody", 1, "gift")


def _second_hold(tx: Transaction) -> None:
    reserve(tx, order(1))
    tx.ledger.add(hold_of(order(1), id="another"))


def _hold_without_drop(tx: Transaction) -> None:
    tx.ledger.add(hold_of(order(1)))


def _hold_of_another_amount(tx: Transaction) -> None:
    tx.drops.add(order(1))
    tx.ledger.add(hold_of(order(1), amount=49))


def _hold_of_another_account(tx: Transaction) -> None:
    fund(tx, "bob", 50, "bob's")
    tx.drops.add(order(1))
    tx.ledger.add(hold_of(order(1), debit_account="bob"))


def _post_before_settled(tx: Transaction) -> None:
    reserve(tx, order(1))
    tx.ledger.add(resolution_of(order(1), TransferKind.POST))


def _post_twice(tx: Transaction) -> None:
    reserve(tx, order(1))
    advance(tx, order(1).id, State.DISPENSED, Cause.BOARD_ACK)
    tx.ledger.add(resolution_of(order(1), TransferKind.POST, id="again"))


def _void_after_post(tx: Transaction) -> None:
    reserve(tx, order(1))
    advance(tx, order(1).id, State.DISPENSED, Cause.BOARD_ACK)
    tx.ledger.add(resolution_of(order(1), TransferKind.VOID))


def _post_of_another_amount(tx: Transaction) -> None:
    kept = reserve(tx, order(1))
    tx.drops.move(kept, State.DISPENSED, Cause.BOARD_ACK, NOW)
    tx.ledger.add(resolution_of(kept, TransferKind.POST, amount=49))


@pytest.mark.parametrize(
    ("mistake", "refused_by"),
    [
        (_overdraw, "accounts_available"),
        (_overdraw_held, "accounts_available"),
        (_hold_too_much, "accounts_available"),
        (_spend_sales, "transfers_refund_fits"),
        (_same_request, "transfers.actor|transfers_one_request"),
        (_same_id, "transfers.id|transfers_id"),
        (_no_such_account, "(?i)foreign key"),
        (_second_hold, "transfers_hold_fits"),
        (_hold_without_drop, "transfers_hold_fits"),
        (_hold_of_another_amount, "transfers_hold_fits"),
        (_hold_of_another_account, "transfers_hold_fits"),
        (_post_before_settled, "transfers_resolution_fits"),
        (_post_twice, "transfers.resolves|transfers_one_resolution"),
        (_void_after_post, "transfers_resolution_fits"),
        (_post_of_another_amount, "transfers_resolution_fits"),
    ],
)
async def test_a_mistake_of_the_program_cannot_break_the_ledger(
    storage: Database, mistake: Callable[[Transaction], None], refused_by: str
) -> None:
    def everything(tx: Transaction) -> list[Any]:
        return [
            tx.accounts.list_users(),
            tx.machines.list(),
            tx.drops.list(None, (), None, 100),
            tx.ledger.entries("alice", None, 100),
        ]

    await storage.write(found)
    before = await storage.read(everything)
    with pytest.raises(Exception, match=refused_by):
        await storage.write(mistake)
    assert await storage.read(everything) == before


async def test_grants_are_found_by_their_request_whoever_asked(storage: Database) -> None:
    await storage.write(found)

    def give(tx: Transaction) -> None:
        fund(tx, "alice", 5, "gift")
        move(tx, "alice", "bob", 5, "present")

    await storage.write(give)
    (grant,) = await storage.read(lambda tx: tx.ledger.grants("gift"))
    assert (grant.debit_account, grant.credit_account, grant.amount) == ("funding", "alice", 5)
    assert await storage.read(lambda tx: tx.ledger.grants("present")) == []
