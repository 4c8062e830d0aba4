"""The contract of `RefundTable`."""

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import DropSelection, Refund
from drink_frontend.storage.database import Database
from tests.support.books import advance, found, refund, reserve
from tests.support.books import drop as order
from tests.support.ids import ALICE

PAID = order(1)


async def _pay(storage: Database) -> None:
    await storage.write(found)
    await storage.write(lambda tx: reserve(tx, PAID))
    await storage.write(lambda tx: advance(tx, PAID.id, State.DISPENSED, Cause.BOARD_ACK))


async def test_a_refund_is_found_by_its_drop(storage: Database) -> None:
    await _pay(storage)
    assert await storage.read(lambda tx: tx.refunds.get(PAID.id)) is None
    await storage.write(lambda tx: refund(tx, PAID, 20))
    kept = await storage.read(lambda tx: tx.refunds.get(PAID.id))
    assert kept == Refund(PAID.id, "move-refund", 20, restocked=False)


async def test_a_drop_and_an_entry_say_what_was_refunded(storage: Database) -> None:
    await _pay(storage)
    await storage.write(lambda tx: refund(tx, PAID, 20))
    shown = await storage.read(lambda tx: tx.drops.get(PAID.id))
    assert shown is not None
    assert shown.refunded == 20
    (listed,) = await storage.read(lambda tx: tx.drops.list(DropSelection(ALICE), None, 9))
    assert listed == shown
    newest, *_ = await storage.read(lambda tx: tx.ledger.entries(ALICE, None, 9))
    assert (newest.credits, newest.counterpart, newest.drop_id) == (20, "sales/d", PAID.id)


async def test_a_refund_is_a_change_of_its_drop(storage: Database) -> None:
    await _pay(storage)
    with storage.changes.drop(PAID.id) as subscription:
        await storage.write(lambda tx: refund(tx, PAID, 20))
        await subscription.changed()
