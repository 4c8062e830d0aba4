"""What the frontend's database says at the end, read by plain SQL."""

import json
import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from drink_frontend.storage.verify import verify_books


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
        ends = [m.at_ms for m in self.moves if m.to in ("DISPENSED", "NOT_DISPENSED")]
        return ends[0] if ends else None


@dataclass(frozen=True)
class Transfer:
    """An entry of the ledger."""

    id: str
    kind: str
    debit: str
    credit: str
    amount: int
    drop: str | None
    resolves: str | None
    request_id: str | None


@dataclass(frozen=True)
class Books:
    """Everything that the checker wants to know."""

    drops: tuple[Drop, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    """In the order in which they were written."""
    accounts: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Posted and held credits of each user."""
    problems: tuple[str, ...] = ()
    """What their own auditor says."""


def read_books(database: Path) -> Books:
    """Reads the books of a frontend that does not run."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        moves = defaultdict(list)
        for drop, at_ms, facts in connection.execute(
            "SELECT drop_id, at_ms, facts FROM audit WHERE kind = 'DROP_MOVED' ORDER BY sequence"
        ):
            move = json.loads(facts)
            moves[drop].append(Move(at_ms, move["to"], move.get("cause", "NONE")))
        connection.row_factory = sqlite3.Row
        drops = [
            Drop(**dict(row), moves=tuple(moves[row["id"]]))
            for row in connection.execute(
                "SELECT id, account, request_id, machine || '/' || slot AS slot, price, state,"
                " cause, created_ms, CAST(ROUND((COALESCE(not_before_ms, created_ms) - created_ms)"
                " / 1000.0) AS INTEGER) AS delay_s FROM drops ORDER BY sequence"
            )
        ]
        transfers = [
            Transfer(**dict(row))
            for row in connection.execute(
                "SELECT id, kind, debit_account AS debit, credit_account AS credit, amount,"
                ' drop_id AS "drop", resolves, request_id FROM transfers ORDER BY sequence'
            )
        ]
        accounts = {
            name: (posted, held)
            for name, posted, held in connection.execute(
                "SELECT name, credits_posted - debits_posted, debits_pending FROM accounts"
                " WHERE kind = 'USER'"
            )
        }
        problems = verify_books(connection.execute)
    return Books(tuple(drops), tuple(transfers), accounts, tuple(problems))
