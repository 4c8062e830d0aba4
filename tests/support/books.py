"""A small house in the books, and what happens in it, written through a Transaction alone.

It keeps the same records as the use cases do, so that the books of a sound storage verify.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import Account, AuditKind, AuditRecord, Drop, Reach, Refund
from drink_frontend.domain.ledger import (
    FUNDING_ACCOUNT,
    AccountKind,
    Transfer,
    TransferKind,
    sales_account,
)
from drink_frontend.domain.movements import StockMovement
from drink_frontend.domain.stock import MovementKind, place_of
from drink_frontend.domain.tokens import AccessToken, Scope, day_of
from drink_frontend.storage.database import Database
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.advance import sale_of
from tests.support.ids import ALICE, id_of

NOW = 1_800_000_000_000
PRICE = 50


def found(tx: Transaction) -> None:
    """Makes users alice (1000 credits) and bob (none), and machine d with two stocked slots."""
    for name in ("alice", "bob"):
        add_account(tx, name)
    fund(tx, ALICE, 1_000, "founding")
    add_machine(tx, "d")


def add_account(
    tx: Transaction, name: str, account_id: str | None = None, **details: Any
) -> Account:
    """Makes a user, with the id `id_of` its name unless another is given."""
    account_id = account_id or id_of(name)
    tx.accounts.add(account_id, AccountKind.USER, NOW, name=name, **details)
    account = tx.accounts.get(account_id)
    assert account is not None
    return account


@asynccontextmanager
async def open_house(settings: StorageSettings) -> AsyncIterator[Database]:
    """A database that was just furnished."""
    async with Database.open(settings) as storage:
        await storage.write(found)
        yield storage


async def alices(storage: Database) -> int:
    """The credits that alice owns."""
    alice = await storage.read(lambda tx: tx.accounts.get(ALICE))
    assert alice is not None
    return alice.posted


def add_machine(tx: Transaction, name: str, slots: int = 2, on_hand: int = 5) -> None:
    """Makes a machine with an open link and stocked slots, and its sales account."""
    tx.machines.add(name, name.upper(), "the lounge")
    tx.accounts.add(sales_account(name), AccountKind.SALES, NOW)
    for number in range(1, slots + 1):
        tx.machines.add_slot(name, number, f"item {number}", PRICE, NOW)
        load(tx, name, number, on_hand)
    tx.machines.open_link(name, f"journal-{name}", 0, "frontend-1", Reach.READY, now_ms=NOW)


def load(tx: Transaction, machine: str, number: int, on_hand: int) -> None:
    """A person counts a slot."""
    before = tx.machines.slot(machine, number)
    assert before is not None
    adjust(tx, machine, number, on_hand - before.on_hand)
    facts = {"slot": number, "from": {"on_hand": before.on_hand}, "to": {"on_hand": on_hand}}
    tx.audit.add(AuditRecord(AuditKind.STOCK_CHANGED, NOW, "root", machine=machine, facts=facts))


def adjust(tx: Transaction, machine: str, number: int, change: int, **details: Any) -> None:
    """Items are put into a slot or taken out, past the audit log."""
    movement = StockMovement(machine, number, MovementKind.COUNTED, change, NOW, "root")
    tx.stock.adjust(replace(movement, **details))


def token(digest: str, account: str = ALICE, **changes: Any) -> AccessToken:
    """A bearer token with all rights that is valid until NOW, and not stored yet."""
    issued = AccessToken(digest, account, Scope.ALL, None, NOW - 9, day_of(NOW), NOW)
    return replace(issued, **changes)


def fund(tx: Transaction, account: str, amount: int, request_id: str) -> None:
    """Credits come into being."""
    move(tx, FUNDING_ACCOUNT, account, amount, request_id)


def move(tx: Transaction, debit: str, credit: str, amount: int, request_id: str) -> None:
    """Credits go from one account to another at once."""
    tx.ledger.add(
        Transfer(
            id=f"move-{request_id}",
            kind=TransferKind.MOVE,
            debit_account=debit,
            credit_account=credit,
            amount=amount,
            created_ms=NOW,
            actor="root",
            request_id=request_id,
        )
    )


def drop(number: int, **changes: Any) -> Drop:
    """An order of alice's that is not kept yet."""
    return replace(
        Drop(
            id=f"{number:026d}",
            account=ALICE,
            buyer="alice",
            request_id=f"request-{number}",
            fingerprint="d/1",
            machine="d",
            slot=1,
            item="item 1",
            price=PRICE,
            hold_id=f"hold-{number}",
            state=State.RESERVED,
            cause=Cause.NONE,
            created_ms=NOW,
        ),
        **changes,
    )


def reserve(tx: Transaction, order: Drop) -> Drop:
    """Keeps a drop with its hold, and its item set aside; returns it as kept."""
    tx.drops.add(order)
    tx.ledger.add(hold_of(order))
    number = order.slot
    tx.machines.move_item(
        order.machine, number, place_of(State.NOT_DISPENSED), place_of(order.state), NOW
    )
    record(tx, order, event="RESERVE", to=order.state, price=order.price)
    return kept(tx, order.id)


def hold_of(order: Drop, **changes: Any) -> Transfer:
    """The hold that belongs to a drop."""
    return replace(
        Transfer(
            id=order.hold_id,
            kind=TransferKind.HOLD,
            debit_account=order.account,
            credit_account=sales_account(order.machine),
            amount=order.price,
            created_ms=NOW,
            drop_id=order.id,
        ),
        **changes,
    )


def resolution_of(order: Drop, kind: TransferKind, **changes: Any) -> Transfer:
    """The post or void that belongs to a drop."""
    own = {"id": f"{order.hold_id}-{kind.lower()}", "kind": kind, "resolves": order.hold_id}
    return hold_of(order, **{**own, **changes})


def advance(tx: Transaction, drop_id: str, target: State, cause: Cause, **details: Any) -> Drop:
    """Moves a drop, its credits and its item, whatever its state; returns it as kept."""
    before = kept(tx, drop_id)
    if target is State.DISPATCHED:
        details = {"epoch": 1, "journal_id": "journal-d", **details}
    tx.drops.move(before, target, cause, NOW + 1, **details)
    if target.final:
        kind = TransferKind.POST if target is State.DISPENSED else TransferKind.VOID
        tx.ledger.add(resolution_of(before, kind))
    source, place = place_of(before.state), place_of(target)
    if source is not place:
        tx.machines.move_item(before.machine, before.slot, source, place, NOW)
    if target is State.DISPENSED:
        tx.stock.add(sale_of(before, "agent:d", NOW))
    record(tx, before, event="TEST", **{"from": before.state, "to": target, "cause": cause})
    return kept(tx, drop_id)


def limit(tx: Transaction, account: str, credit_limit: int) -> None:
    """A person says how much an account may owe."""
    tx.accounts.update(account, credit_limit=credit_limit)
    facts = {"credit_limit": credit_limit, "after_transfer": tx.ledger.last_sequence()}
    tx.audit.add(AuditRecord(AuditKind.ACCOUNT_CHANGED, NOW, "root", account=account, facts=facts))


def refund(tx: Transaction, order: Drop, amount: int, request_id: str = "refund") -> None:
    """Gives back a part of what alice has paid for a drop."""
    transfer_id = f"move-{request_id}"
    tx.refunds.add(Refund(order.id, transfer_id, amount, restocked=False), order)
    move(tx, sales_account(order.machine), order.account, amount, request_id)


def record(tx: Transaction, order: Drop, **facts: Any) -> None:
    """Notes a drop's move in the audit log."""
    tx.audit.add(AuditRecord(AuditKind.DROP_MOVED, NOW, "root", drop_id=order.id, facts=facts))


def kept(tx: Transaction, drop_id: str) -> Drop:
    """A drop that is there."""
    found_drop = tx.drops.get(drop_id)
    assert found_drop is not None
    return found_drop
