"""The content of the frontend's database at the end, read by plain SQL."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.sqlite_engine import reading
from drink_frontend.storage.verify import verify_books
from tests.support.oracle import (
    FINAL,
    Refund,
    Slot,
    Totals,
    Transfer,
    read_refunds,
    read_slots,
    read_totals,
    read_transfers,
)


@dataclass(frozen=True)
class Move:
    """A drop's change of state, from the audit log."""

    at_ms: int
    to: str
    cause: str


@dataclass(frozen=True)
class Drop:
    """A drop, and how it came to its state."""

    id: str
    account: str
    request_id: str
    slot: str
    price: int
    state: str
    cause: str
    created_ms: int
    delay_s: int
    moves: tuple[Move, ...] = ()

    @property
    def machine(self) -> str:
        """Whose slot it is of."""
        return self.slot.split("/")[0]

    @property
    def dispatched_ms(self) -> list[int]:
        """When it was handed to its machine, each time."""
        return [move.at_ms for move in self.moves if move.to == "DISPATCHED"]

    @property
    def settled_ms(self) -> int | None:
        """When it reached its final state; None if it has not."""
        ends = [m.at_ms for m in self.moves if m.to in FINAL]
        return ends[0] if ends else None


@dataclass(frozen=True)
class Books:
    """All that is checked of the database."""

    drops: tuple[Drop, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    """In the order in which they were written."""
    accounts: dict[str, Totals] = field(default_factory=dict)
    """The totals of each account."""
    slots: tuple[Slot, ...] = ()
    refunds: tuple[Refund, ...] = ()
    limits: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)
    """The credit limits of each account, each with the sequence of the last transfer before it."""
    problems: tuple[str, ...] = ()
    """Violations found by the frontend's own auditor."""


def read_books(database: Path) -> Books:
    """Reads the books of a frontend that does not run."""
    with reading(StorageSettings(path=database)) as connection:
        moves = defaultdict(list)
        for drop, at_ms, facts in connection.execute(
            "SELECT drop_id, at_ms, facts FROM audit WHERE kind = 'DROP_MOVED' ORDER BY sequence"
        ):
            move = json.loads(facts)
            moves[drop].append(Move(at_ms, move["to"], move.get("cause", "NONE")))
        limits: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for account, facts in connection.execute(
            "SELECT name, facts FROM audit JOIN accounts ON accounts.id = account"
            " WHERE audit.kind = 'ACCOUNT_CHANGED' ORDER BY sequence"
        ):
            change = json.loads(facts)
            if "credit_limit" in change:
                limits[account].append((change["after_transfer"], change["credit_limit"]))
        connection.row_factory = sqlite3.Row
        drops = [
            Drop(**dict(row), moves=tuple(moves[row["id"]]))
            for row in connection.execute(
                "SELECT id, (SELECT name FROM accounts WHERE accounts.id = account) AS account,"
                " request_id, machine || '/' || slot AS slot, price, state, cause, created_ms,"
                " CAST(ROUND((COALESCE(not_before_ms, created_ms) - created_ms) / 1000.0)"
                " AS INTEGER) AS delay_s FROM drops ORDER BY sequence"
            )
        ]
        return Books(
            tuple(drops),
            tuple(read_transfers(connection)),
            read_totals(connection),
            tuple(read_slots(connection)),
            tuple(read_refunds(connection)),
            limits,
            tuple(verify_books(connection.execute)),
        )
