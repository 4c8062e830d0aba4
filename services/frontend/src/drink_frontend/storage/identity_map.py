"""The identity map: the rows of one transaction, read once, and what is decided about them.

Every unit of work of a batch reads through one map, so that each sees what the ones before it
decided. Rows are loaded by their keys, for the whole batch where its callers named them and else
when they are asked for. What is decided changes the map, and is stored with few statements at the
end of the batch. A unit of work that refuses takes back only its own changes.

What the map cannot answer, such as lists, is asked of the database by `DirectExecutor`, which
stores first what is pending. The map is thrown away with its transaction.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from drink_frontend.domain.drop import TRANSITIONS
from drink_frontend.domain.entities import Account, AuditRecord, Drop, Machine, Slot
from drink_frontend.domain.ledger import FUNDING_ACCOUNT, Transfer, TransferKind, is_of_house
from drink_frontend.domain.movements import StockMovement
from drink_frontend.domain.tokens import Scope
from drink_frontend.storage import loaders
from drink_frontend.storage.kiosk_tables import kiosk_tokens, kiosks
from drink_frontend.storage.loaded_rows import LoadedRows
from drink_frontend.storage.rows import evolved
from drink_frontend.storage.statements import Call, Executor, Query, Row, Statement
from drink_frontend.storage.tables import (
    accounts,
    drops,
    machines,
    refunds,
    scoped_tokens,
    slots,
    tokens,
    transfers,
)

LOADED_MAX = 20_000
"""Most rows in the map; then it is emptied between two units of work."""

MOVES = frozenset((source, target) for (source, _), target in TRANSITIONS.items())
"""The states that a drop can go from and to."""

READ_FROM = frozenset(
    table.name
    for table in (
        accounts,
        drops,
        kiosk_tokens,
        kiosks,
        machines,
        refunds,
        scoped_tokens,
        slots,
        tokens,
        transfers,
    )
)
"""Names of the tables that the rows of the map are read from."""


class IdentityMap(LoadedRows):
    """The rows of one transaction.

    Args:
        executor: Runs statements in the transaction.

    Attributes:
        direct: Runs the statements that the map cannot answer.
        is_sent: Whether the present unit of work has changed the database itself, so that the map
            cannot take its changes back.
        flushes: How often changes were stored before the end of the batch.
    """

    def __init__(self, executor: Executor) -> None:
        super().__init__(executor)
        self.direct = DirectExecutor(executor, self)
        self.is_sent = False
        self.flushes = 0

    # The transaction.

    def begin_unit(self) -> None:
        """Begins a unit of work; what the ones before it decided stays."""
        self._log.clear()
        self.is_sent = False
        if not self._pending and self._size() > LOADED_MAX:
            self._forget()

    def undo(self) -> None:
        """Takes back what the present unit of work has decided."""
        assert not self.is_sent, "a part of it is in the database"
        self._log.undo()

    def flush(self) -> None:
        """Stores what is pending, so that statements of the database see it."""
        if self._pending:
            self.is_sent |= len(self._log) > 0
            self._log.clear()
            self.flushes += 1
            self._store()

    def store(self) -> None:
        """Stores what is pending at the end of the batch."""
        if self._pending:
            self._store()

    def _store(self) -> None:
        calls = self._pending.take()
        for (statement, rows), changed in zip(calls, self._executor.exchange(calls), strict=True):
            assert changed == len(rows), f"{changed} of {len(rows)} rows changed by {statement}"

    def changed_directly(self, table: str) -> None:
        """A statement has changed rows of a table past the map.

        The map is read anew from now on, if that table is one of those that it is read from.
        """
        assert not self._pending
        self.is_sent = True
        if table in READ_FROM:
            self._forget()

    # Deciding.

    def add_drop(self, drop: Drop) -> Drop:
        """Adds a drop; returns it with its sequence."""
        added = evolved(drop, sequence=self.number(loaders.DROP_NUMBERS))
        self._pending.add_drop(added)
        self._log.put(self._free, added.id, True)
        self._log.put(self._drops, added.id, added)
        self._log.put(self._requests, (added.account, added.request_id), added.id)
        self._queue(added)
        return added

    def move_drop(self, before: Drop, moved: Drop) -> None:
        """Changes the state of a drop; an AssertionError if `before` is not its state."""
        now = self.drop(before.id)
        assert now is not None, "no such drop"
        assert now.state is before.state, f"the drop is {now.state}, not {before.state}"
        breaks_rule = (now.state, moved.state) not in MOVES
        if breaks_rule:
            self.flush()
        self._pending.move_drop(now, moved)
        self._log.put(self._drops, moved.id, moved)
        self._queue(moved)
        if breaks_rule:
            # The tables refuse it then: no later change can hide it in a sum.
            self.flush()

    def add_transfer(self, transfer: Transfer) -> Iterable[Account]:
        """Adds a transfer, and changes the balances of its accounts; returns those of users."""
        if transfer.kind is TransferKind.MOVE:
            self._keep_move(transfer)
        self._pending.add_transfer(transfer, self.number(loaders.TRANSFER_NUMBERS))
        pending, posted = transfer.pending_change, transfer.posted_change
        accounts = [
            account
            for account in (
                self._pay(transfer.debit_account, pending, -posted),
                self._pay(transfer.credit_account, 0, posted),
            )
            if account is not None
        ]
        breaks_rule = any(map(_overdrawn, accounts)) and bool(pending or posted)
        if breaks_rule or self._pending.is_full:
            self.flush()
        return accounts

    def _keep_move(self, move: Transfer) -> None:
        assert move.actor is not None
        assert move.request_id is not None
        self._log.put(self._moves, (move.actor, move.request_id), move)
        if FUNDING_ACCOUNT in {move.debit_account, move.credit_account}:
            granted = (*self.grants(move.request_id), move)
            self._log.put(self._grants, move.request_id, granted)

    def _pay(self, account_id: str, held: int, posted: int) -> Account | None:
        """Changes a user's account; None for another one, whose balance decides nothing."""
        if is_of_house(account_id):
            return None
        before = self.account(account_id)
        if before is None:
            # The constraints of the tables refuse the transfer.
            return None
        after = evolved(before, posted=before.posted + posted, held=before.held + held)
        self._log.put(self._accounts, account_id, after)
        return after

    def count_items(self, slot: Slot) -> None:
        """Changes the numbers of items in a slot."""
        self._pending.count_items(slot)
        self._log.put(self._slots, (slot.machine, slot.number), slot)
        counts = slot.on_hand, slot.reserved, slot.dispensed, slot.unknown
        if min(counts) < 0:
            self.flush()

    def add_movement(self, movement: StockMovement) -> None:
        """Adds a movement of stock."""
        self._pending.add_movement(movement)

    def see_journal(self, machine: Machine) -> None:
        """Changes the highest record number seen of the machine's journal."""
        self._pending.see_journal(machine.name, machine.journal_sequence)
        self._log.put(self._machines, machine.name, machine)

    def mark_used(self, digest: str, day_ms: int) -> None:
        """Changes the day on which a bearer token was used, if it is still there."""
        token = self.token(digest)
        if token is None:
            return
        assert token.kiosk is None, "logins at kiosks last for minutes"
        table = tokens if token.scope is Scope.ALL else scoped_tokens
        self._pending.mark_used(table, digest, day_ms)
        self._log.put(self._tokens, digest, token._replace(used_ms=day_ms))

    def add_events(self, at_ms: int, changes: str) -> None:
        """Adds the events of the batch."""
        self._pending.add_events(at_ms, changes)

    def add_record(self, record: AuditRecord) -> None:
        """Adds a record of the audit log."""
        self._pending.add_record(record)
        if self._pending.is_full:
            self.flush()


class DirectExecutor(Executor):
    """Runs the statements that the map cannot answer, after what is pending is stored.

    Args:
        executor: Runs statements in the transaction.
        rows: The map, which is read anew after a change.
    """

    __slots__ = ("_executor", "_rows")

    def __init__(self, executor: Executor, rows: IdentityMap) -> None:
        self._executor = executor
        self._rows = rows

    def all(self, statement: Statement, **parameters: object) -> Sequence[Row]:
        """Runs a statement and returns all its rows."""
        self._rows.flush()
        if statement.changes:
            self._rows.changed_directly(statement.table)
        return self._executor.all(statement, **parameters)

    def several(self, *queries: Query) -> Sequence[Sequence[Row]]:
        """Runs queries in order, in one round trip, and returns all rows of each."""
        self._rows.flush()
        return self._executor.several(*queries)

    def exchange(self, calls: Iterable[Call]) -> Sequence[Any]:
        """Runs statements that change no row of the tables that the map is read from."""
        self._rows.flush()
        self._rows.is_sent = True
        return self._executor.exchange(calls)

    def run(self, statement: Statement, **parameters: object) -> int:
        """Runs a statement and returns the number of rows that it changed."""
        self._rows.flush()
        self._rows.changed_directly(statement.table)
        return self._executor.run(statement, **parameters)


def _overdrawn(account: Account) -> bool:
    """Whether it owes more than it may. A transfer to it may leave it so."""
    return account.unheld < -account.credit_limit
