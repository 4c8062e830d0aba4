"""What the units of work of a batch have decided and the database does not have yet.

It is stored in fixed phases, with one statement for each, in the order that the constraints and
triggers need, which are checked for each row: a drop at the motor is settled before the next one is
dispatched; a hold needs its drop, not dispatched yet; a dispatch needs the hold; a post or void
needs its settled drop, and so does a movement of stock.
"""

from collections.abc import Iterator
from operator import add
from typing import Any

from sqlalchemy import Table, update

from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import AuditRecord, Drop, Slot
from drink_frontend.domain.ledger import Transfer, TransferKind
from drink_frontend.domain.movements import StockMovement
from drink_frontend.storage.bulk import Bulk, given, insert_given
from drink_frontend.storage.columns import TEXT
from drink_frontend.storage.mappings import DROP, SLOT
from drink_frontend.storage.rows import SEQUENCE, RowMapping
from drink_frontend.storage.statements import Call, Row
from drink_frontend.storage.tables import (
    DROP_MOVES,
    accounts,
    audit,
    drops,
    events,
    machines,
    scoped_tokens,
    slots,
    stock_movements,
    tokens,
    transfers,
)

ROWS_MAX = 5_000
"""Most rows that wait to be stored; a batch that decides more stores them before its end."""

CHARACTERS_MAX = 8_000_000
"""Most characters of audit records that wait to be stored."""

_TRANSFER = RowMapping(Transfer, transfers)
_MOVEMENT = RowMapping(StockMovement, stock_movements)
_RECORD = RowMapping(AuditRecord, audit)

_ADD_DROPS = insert_given(drops, *DROP.written, SEQUENCE)
_ADD_TRANSFERS = insert_given(transfers, *_TRANSFER.written, SEQUENCE)
_ADD_MOVEMENTS = insert_given(stock_movements, *_MOVEMENT.written)
_ADD_EVENTS = insert_given(events, "at_ms", "changes")
_ADD_RECORDS = insert_given(audit, *_RECORD.written)

_MOVED = given(drops.c.id, *(drops.c[name] for name in DROP_MOVES), source=TEXT)
_MOVE_DROPS = Bulk(
    _MOVED,
    update(drops)
    .where(drops.c.id == _MOVED.c.id, drops.c.state == _MOVED.c.source)
    .values({name: _MOVED.c[name] for name in DROP_MOVES}),
)
_PLACES = ("on_hand", "reserved", "dispensed", "unknown", "updated_ms")
_COUNTED = given(slots.c.machine, slots.c.number, *(slots.c[name] for name in _PLACES))
_COUNT_ITEMS = Bulk(
    _COUNTED,
    update(slots)
    .where(slots.c.machine == _COUNTED.c.machine, slots.c.number == _COUNTED.c.number)
    .values({name: _COUNTED.c[name] for name in _PLACES}),
)
_BALANCES = ("debits_pending", "debits_posted", "credits_pending", "credits_posted")
_CHANGED = given(accounts.c.id, *(accounts.c[name] for name in _BALANCES))
_CHANGE_BALANCES = Bulk(
    _CHANGED,
    update(accounts)
    .where(accounts.c.id == _CHANGED.c.id)
    .values({name: accounts.c[name] + _CHANGED.c[name] for name in _BALANCES}),
)
_SEEN = given(machines.c.name, machines.c.journal_sequence)
_SEE_JOURNALS = Bulk(
    _SEEN,
    update(machines)
    .where(machines.c.name == _SEEN.c.name)
    .values(journal_sequence=_SEEN.c.journal_sequence),
)


def _mark_used(table: Table) -> Bulk:
    rows = given(table.c.digest, table.c.used_ms)
    return Bulk(
        rows,
        update(table).where(table.c.digest == rows.c.digest).values(used_ms=rows.c.used_ms),
    )


_MARK_USED = {table: _mark_used(table) for table in (tokens, scoped_tokens)}

_row_of_drop = DROP.row_of(*DROP.written, SEQUENCE)
_row_of_move = DROP.row_of("id", *DROP_MOVES)
_row_of_slot = SLOT.row_of("machine", "number", *_PLACES)
_row_of_transfer = _TRANSFER.row_of(*_TRANSFER.written)
_row_of_movement = _MOVEMENT.row_of(*_MOVEMENT.written)
_row_of_record = _RECORD.row_of(*_RECORD.written)


class UndoLog:
    """Changes of dictionaries and lists, and how to take them back."""

    __slots__ = ("_steps",)

    def __init__(self) -> None:
        self._steps: list[tuple[Any, Any, Any]] = []

    def __len__(self) -> int:
        return len(self._steps)

    def put(self, mapping: dict[Any, Any], key: Any, value: Any) -> None:
        """Sets a key's value."""
        self._steps.append((mapping, key, mapping.get(key, self)))
        mapping[key] = value

    def remove(self, mapping: dict[Any, Any], key: Any) -> None:
        """Removes a key, if it is there."""
        if key in mapping:
            self._steps.append((mapping, key, mapping.pop(key)))

    def append(self, rows: list[Any], row: Any) -> None:
        """Adds a row at the end."""
        self._steps.append((rows, None, None))
        rows.append(row)

    def pop(self, rows: list[Any]) -> Any:
        """Removes the last row, and returns it."""
        row = rows.pop()
        self._steps.append((rows, self, row))
        return row

    def clear(self) -> None:
        """Makes the changes so far last."""
        self._steps.clear()

    def undo(self) -> None:
        """Takes all changes back, since the last `clear`."""
        while self._steps:
            where, key, before = self._steps.pop()
            if isinstance(where, list):
                if key is self:
                    where.append(before)
                else:
                    where.pop()
            elif before is self:
                del where[key]
            else:
                where[key] = before


class Pending:
    """Rows that are to be stored.

    Args:
        log: Notes each change.
    """

    __slots__ = (
        "_added",
        "_balances",
        "_characters",
        "_early",
        "_events",
        "_holds",
        "_journals",
        "_late",
        "_log",
        "_movements",
        "_records",
        "_slots",
        "_transfers",
        "_used",
    )

    def __init__(self, log: UndoLog) -> None:
        self._log = log
        self._clear()

    def _clear(self) -> None:
        self._early: dict[str, tuple[Drop, State]] = {}
        self._added: dict[str, Drop] = {}
        self._late: dict[str, tuple[Drop, State]] = {}
        self._holds: list[Row] = []
        self._transfers: list[Row] = []
        self._balances: dict[str, tuple[int, int, int, int]] = {}
        self._slots: dict[tuple[str, int], Slot] = {}
        self._movements: list[Row] = []
        self._journals: dict[str, int] = {}
        self._used: dict[tuple[Table, str], int] = {}
        self._records: list[Row] = []
        self._events: list[Row] = []
        self._characters = 0

    def __bool__(self) -> bool:
        return any(
            (
                self._early,
                self._added,
                self._late,
                self._holds,
                self._transfers,
                self._balances,
                self._slots,
                self._movements,
                self._journals,
                self._used,
                self._records,
                self._events,
            )
        )

    @property
    def is_full(self) -> bool:
        """Whether it is time to store what there is."""
        rows = len(self._records) + len(self._transfers) + len(self._holds) + len(self._movements)
        return rows > ROWS_MAX or self._characters > CHARACTERS_MAX

    def drops(self) -> Iterator[Drop]:
        """The drops that are added or changed, as they are to be stored."""
        yield from self._added.values()
        yield from (drop for drop, _ in self._early.values())
        yield from (drop for drop, _ in self._late.values())

    def add_drop(self, drop: Drop) -> None:
        """A new drop, with its sequence."""
        self._log.put(self._added, drop.id, drop)

    def move_drop(self, before: Drop, moved: Drop) -> None:
        """A drop that has another state.

        Args:
            before: The drop as it is without this change.
            moved: The drop with it.
        """
        key = moved.id
        if key in self._added:
            self._log.put(self._late, key, (moved, self._added[key].state))
        elif moved.state is State.DISPATCHED:
            self._log.put(self._late, key, (moved, before.state))
        else:
            _, source = self._early.get(key) or self._late.get(key) or (None, before.state)
            self._log.remove(self._late, key)
            self._log.put(self._early, key, (moved, source))

    def add_transfer(self, transfer: Transfer, number: int) -> None:
        """A new transfer, with its sequence; and the changes of the balances of its accounts."""
        is_hold = transfer.kind is TransferKind.HOLD
        row = (*_row_of_transfer(transfer), number)
        self._log.append(self._holds if is_hold else self._transfers, row)
        pending, posted = transfer.pending_change, transfer.posted_change
        self._add_to(transfer.debit_account, pending, posted, 0, 0)
        self._add_to(transfer.credit_account, 0, 0, pending, posted)

    def _add_to(self, account: str, *changes: int) -> None:
        before = self._balances.get(account, (0, 0, 0, 0))
        sums = tuple(map(add, before, changes))
        self._log.put(self._balances, account, sums)

    def count_items(self, slot: Slot) -> None:
        """A slot with other numbers of items."""
        self._log.put(self._slots, (slot.machine, slot.number), slot)

    def add_movement(self, movement: StockMovement) -> None:
        """A new movement of stock."""
        self._log.append(self._movements, _row_of_movement(movement))

    def see_journal(self, machine: str, journal_sequence: int) -> None:
        """The highest record number seen of a machine's journal."""
        self._log.put(self._journals, machine, journal_sequence)

    def mark_used(self, table: Table, digest: str, day_ms: int) -> None:
        """The day on which a bearer token was used."""
        self._log.put(self._used, (table, digest), day_ms)

    def add_record(self, record: AuditRecord) -> None:
        """A new record of the audit log."""
        row = _row_of_record(record)
        self._log.append(self._records, row)
        # Counted too high after an undo, which only stores earlier.
        self._characters += len(row[-1])

    def add_events(self, at_ms: int, changes: str) -> None:
        """The row of the batch in the log of events."""
        self._log.append(self._events, (at_ms, changes))

    def take(self) -> list[Call]:
        """The statements that store everything, in the order of the phases; forgets it."""
        by_table: dict[Table, list[Row]] = {tokens: [], scoped_tokens: []}
        for (table, digest), day_ms in self._used.items():
            by_table[table].append((digest, day_ms))
        phases: list[Call] = [
            (_MOVE_DROPS, _moves(self._early)),
            (_ADD_DROPS, [_row_of_drop(drop) for drop in self._added.values()]),
            (_ADD_TRANSFERS, self._holds),
            (_MOVE_DROPS, _moves(self._late)),
            (_ADD_TRANSFERS, self._transfers),
            (_COUNT_ITEMS, [_row_of_slot(slot) for slot in self._slots.values()]),
            (_CHANGE_BALANCES, [(key, *sums) for key, sums in self._balances.items()]),
            (_ADD_MOVEMENTS, self._movements),
            (_SEE_JOURNALS, list(self._journals.items())),
            *((_MARK_USED[table], rows) for table, rows in by_table.items()),
            (_ADD_RECORDS, self._records),
            (_ADD_EVENTS, self._events),
        ]
        self._clear()
        return [(statement, rows) for statement, rows in phases if rows]


def _moves(moved: dict[str, tuple[Drop, State]]) -> list[Row]:
    return [(*_row_of_move(drop), source.value) for drop, source in moved.values()]
