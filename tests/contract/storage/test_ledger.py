"""The contract of `LedgerTable`."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import ALL_DROPS, LedgerEntry
from drink_frontend.domain.ledger import FUNDING_ACCOUNT, TransferKind
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from tests.support.books import NOW, advance, fund, hold_of, move, reserve, resolution_of
from tests.support.books import drop as order
from tests.support.ids import ALICE, BOB


async def _balances(storage: Database, name: str) -> tuple[int, int]:
    account = await storage.read(lambda tx: tx.accounts.get(name))
    assert account is not None
    return account.posted, account.held


async def test_a_move_posts_at_once_on_both_sides(house: Database) -> None:
    await house.write(lambda tx: move(tx, ALICE, BOB, 300, "gift"))
    assert await _balances(house, ALICE) == (700, 0)
    assert await _balances(house, BOB) == (300, 0)
    assert await _balances(house, FUNDING_ACCOUNT) == (-1_000, 0)


async def test_a_posted_hold_pays_the_machine_once(house: Database) -> None:
    await house.write(lambda tx: reserve(tx, order(1)))
    assert await _balances(house, "sales/d") == (0, 0)
    await house.write(lambda tx: advance(tx, order(1).id, State.DISPENSED, Cause.BOARD_ACK))
    assert await _balances(house, ALICE) == (950, 0)
    assert await _balances(house, "sales/d") == (50, 0)


async def test_a_voided_hold_frees_the_credits(house: Database) -> None:
    await house.write(lambda tx: reserve(tx, order(1)))
    await house.write(lambda tx: advance(tx, order(1).id, State.NOT_DISPENSED, Cause.CANCELLED))
    assert await _balances(house, ALICE) == (1_000, 0)
    assert await _balances(house, "sales/d") == (0, 0)


async def test_an_item_can_be_free(house: Database) -> None:
    await house.write(lambda tx: reserve(tx, order(1, price=0, account=BOB)))
    await house.write(lambda tx: advance(tx, order(1).id, State.DISPENSED, Cause.BOARD_ACK))
    assert await _balances(house, BOB) == (0, 0)


async def test_a_move_is_found_by_its_request_of_its_actor(house: Database) -> None:
    await house.write(lambda tx: move(tx, ALICE, BOB, 300, "gift"))
    found_move = await house.read(lambda tx: tx.ledger.by_request("root", "gift"))
    assert found_move is not None
    expected = ("move-gift", 300, TransferKind.MOVE)
    assert (found_move.id, found_move.amount, found_move.kind) == expected
    assert await house.read(lambda tx: tx.ledger.by_request(ALICE, "gift")) is None
    assert await house.read(lambda tx: tx.ledger.by_request("root", "other")) is None


async def test_entries_show_each_side_newest_first_and_by_pages(house: Database) -> None:
    await house.write(lambda tx: move(tx, ALICE, BOB, 300, "gift"))
    await house.write(lambda tx: reserve(tx, order(1)))
    await house.write(lambda tx: advance(tx, order(1).id, State.DISPENSED, Cause.BOARD_ACK))
    entries = await house.read(lambda tx: tx.ledger.entries(ALICE, None, 10))
    drop_id = order(1).id
    assert entries == [
        LedgerEntry(
            4, "hold-1-post", TransferKind.POST, -50, "sales/d", drop_id, NOW, item="item 1"
        ),
        LedgerEntry(3, "hold-1", TransferKind.HOLD, -50, "sales/d", drop_id, NOW, item="item 1"),
        LedgerEntry(2, "move-gift", TransferKind.MOVE, -300, "bob", None, NOW, actor="root"),
        LedgerEntry(
            1, "move-founding", TransferKind.MOVE, 1_000, FUNDING_ACCOUNT, None, NOW, actor="root"
        ),
    ]
    assert await house.read(lambda tx: tx.ledger.entries(ALICE, 4, 2)) == entries[1:3]
    assert await house.read(lambda tx: tx.ledger.entries(ALICE, 2, 2)) == entries[3:]
    assert await house.read(lambda tx: tx.ledger.entries(ALICE, 1, 2)) == []
    (received,) = await house.read(lambda tx: tx.ledger.entries(BOB, None, 10))
    assert (received.credits, received.counterpart) == (300, "alice")


def _overdraw_held(tx: Transaction) -> None:
    reserve(tx, order(1))
    move(tx, ALICE, BOB, 951, "held")


def _add_again(**changes: Any) -> Callable[[Transaction], None]:
    """Adds the first transfer once more, changed."""

    def unit(tx: Transaction) -> None:
        earlier = tx.ledger.by_request("root", "founding")
        assert earlier is not None
        tx.ledger.add(replace(earlier, **changes))

    return unit


def _second_hold(tx: Transaction) -> None:
    reserve(tx, order(1))
    tx.ledger.add(hold_of(order(1), id="another"))


def _hold_of_another_amount(tx: Transaction) -> None:
    tx.drops.add(order(1))
    tx.ledger.add(hold_of(order(1), amount=49))


def _hold_of_another_account(tx: Transaction) -> None:
    fund(tx, BOB, 50, "bob's")
    tx.drops.add(order(1))
    tx.ledger.add(hold_of(order(1), debit_account=BOB))


def _post_before_settled(tx: Transaction) -> None:
    reserve(tx, order(1))
    tx.ledger.add(resolution_of(order(1), TransferKind.POST))


def _resolve_again(kind: TransferKind, **changes: Any) -> Callable[[Transaction], None]:
    """Settles a drop, then adds another end of its hold."""

    def unit(tx: Transaction) -> None:
        reserve(tx, order(1))
        advance(tx, order(1).id, State.DISPENSED, Cause.BOARD_ACK)
        tx.ledger.add(resolution_of(order(1), kind, **changes))

    return unit


def _post_of_another_amount(tx: Transaction) -> None:
    kept = reserve(tx, order(1))
    tx.drops.move(kept, State.DISPENSED, Cause.BOARD_ACK, NOW)
    tx.ledger.add(resolution_of(kept, TransferKind.POST, amount=49))


@pytest.mark.parametrize(
    ("mistake", "refused_by"),
    [
        (lambda tx: move(tx, ALICE, BOB, 1_001, "too much"), "accounts_available"),
        (_overdraw_held, "accounts_available"),
        (lambda tx: reserve(tx, order(1, account=BOB)), "accounts_available"),
        (lambda tx: move(tx, "sales/d", BOB, 1, "theft"), "transfers_refund_fits"),
        (_add_again(id="another"), "transfers.actor|transfers_one_request"),
        (_add_again(request_id="another"), "transfers.id|transfers_id"),
        (lambda tx: fund(tx, "nobody", 1, "gift"), "(?i)foreign key"),
        (_second_hold, "transfers_hold_fits"),
        (lambda tx: tx.ledger.add(hold_of(order(1))), "transfers_hold_fits"),
        (_hold_of_another_amount, "transfers_hold_fits"),
        (_hold_of_another_account, "transfers_hold_fits"),
        (_post_before_settled, "transfers_resolution_fits"),
        (
            _resolve_again(TransferKind.POST, id="again"),
            "transfers.resolves|transfers_one_resolution",
        ),
        (_resolve_again(TransferKind.VOID), "transfers_resolution_fits"),
        (_post_of_another_amount, "transfers_resolution_fits"),
    ],
)
async def test_a_mistake_of_the_program_cannot_break_the_ledger(
    house: Database, mistake: Callable[[Transaction], None], refused_by: str
) -> None:
    def everything(tx: Transaction) -> list[Any]:
        return [
            tx.accounts.list_users(),
            tx.machines.list(),
            tx.drops.list(ALL_DROPS, None, 100),
            tx.ledger.entries(ALICE, None, 100),
        ]

    before = await house.read(everything)
    with pytest.raises(Exception, match=refused_by):
        await house.write(mistake)
    assert await house.read(everything) == before


async def test_grants_are_found_by_their_request_whoever_asked(house: Database) -> None:
    def give(tx: Transaction) -> None:
        fund(tx, ALICE, 5, "gift")
        move(tx, ALICE, BOB, 5, "present")

    await house.write(give)
    (grant,) = await house.read(lambda tx: tx.ledger.grants("gift"))
    assert (grant.debit_account, grant.credit_account, grant.amount) == ("funding", ALICE, 5)
    assert not await house.read(lambda tx: tx.ledger.grants("present"))
