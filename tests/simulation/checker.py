"""Holds the books to what the system promises, by plain SQL and by the machines' own truth.

It knows nothing of the code under test: the rules are written down here once more, from the
promises. Each line it gives begins with the number of the invariant that is broken.
"""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drink_frontend.storage.verify_events import check_events
from drink_frontend.storage.verify_statistics import check_statistics
from tests.simulation.fault_log import FaultLog
from tests.simulation.ground_truth import GroundTruth
from tests.simulation.world import World
from tests.support.oracle import (
    FINAL,
    Ledger,
    Stock,
    Violation,
    check_move,
    check_slots,
    read_names,
    read_refunds,
    read_slots,
    read_totals,
    read_transfers,
)

ANSWERED = (*FINAL, "UNKNOWN")

UNTOUCHED = {"CANCELLED", "EXPIRED", "MACHINE_OFFLINE", "NOT_RECEIVED", "BOARD_UNREACHABLE"}
"""Causes that prove that no motor command was written."""


@dataclass
class _Drop:
    """A drop as the audit log records it."""

    account: str
    machine: str
    slot: int
    price: int
    state: str
    sequence: int
    dispatched_at: float | None = None
    unknown_at: float | None = None
    changed_at: float = 0.0


@dataclass
class _Books:
    """What was read from the database so far."""

    ledger: Ledger = field(default_factory=Ledger)
    drops: dict[str, _Drop] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    stock: Stock = field(default_factory=Stock)
    audited: int = 0


class Checker:
    """Looks at the database after each commit, at each answer, and at the end.

    Args:
        world: Where violations go.
        path: The database.
        machines: What really happened at each machine.
        fault_log: What went wrong there.

    Attributes:
        was_restored: Whether the database was ever put back to an old state.
    """

    def __init__(
        self, world: World, path: Path, machines: dict[str, GroundTruth], fault_log: FaultLog
    ) -> None:
        self._world, self._path = world, path
        self._machines, self._fault_log = machines, fault_log
        self._answers: dict[tuple[str, str], str] = {}
        self._finals: dict[str, str] = {}
        self._books = _Books()
        self.was_restored = False
        self._connection = self._connect()

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, isolation_level=None)

    def close(self) -> None:
        self._connection.close()

    def release(self) -> None:
        """Closes the database, so that it can be replaced."""
        self._connection.close()

    def restored(self) -> None:
        """Starts over after the database was restored to an old state."""
        self._connection = self._connect()
        self._books = _Books()
        self.was_restored = True
        self._answers.clear()
        self._finals.clear()
        self.committed()

    @property
    def drops(self) -> dict[str, _Drop]:
        return self._books.drops

    def rows(self, query: str, *parameters: object) -> list[Any]:
        return self._connection.execute(query, parameters).fetchall()

    def dispatched(self, drop: str) -> bool:
        """Whether the database has the drop as dispatched."""
        rows = self.rows("SELECT dispatched_ms FROM drops WHERE id = ?", drop)
        return bool(rows) and rows[0][0] is not None

    # --- after each commit ---

    def committed(self) -> None:
        """Checks what was committed since the last call."""
        audited = self._read_audit()
        entries = self._books.ledger.entries
        fresh = read_transfers(self._connection, entries[-1].sequence if entries else 0)
        self._violate_all(self._books.ledger.apply(fresh))
        if fresh or audited:
            self._violate_all(self._books.ledger.check_totals(read_totals(self._connection)))
            drops = ((each.machine, each.slot, each.state) for each in self._books.drops.values())
            slots = read_slots(self._connection)
            self._violate_all(check_slots(slots, drops))
            self._books.stock.read(self._connection)
            self._violate_all(self._books.stock.check(slots))

    def _read_audit(self) -> bool:
        rows = self.rows(
            "SELECT sequence, kind, drop_id, machine, account, facts FROM audit"
            " WHERE sequence > ? ORDER BY sequence",
            self._books.audited,
        )
        names = read_names(self._connection) if rows else {}
        for sequence, kind, drop_id, machine, account_id, text in rows:
            account = names.get(account_id, "")
            self._books.audited = sequence
            facts = json.loads(text)
            if kind == "DROP_MOVED":
                self._moved(drop_id, machine, account, facts)
            elif kind == "LINK_OPENED":
                if facts["epoch"] <= self._books.epochs.get(machine, 0):
                    self._violate(14, f"{machine} has epoch {facts['epoch']} again")
                self._books.epochs[machine] = facts["epoch"]
            elif kind == "ACCOUNT_CHANGED" and "credit_limit" in facts:
                limit = (facts["after_transfer"], facts["credit_limit"])
                self._books.ledger.limits[account].append(limit)
            elif kind == "MACHINE_CHANGED" and "token" in facts:
                # The link of who had the old token is over, whatever it knows of that.
                self._books.epochs[machine] = self._books.epochs.get(machine, 0) + 1
        return bool(rows)

    def _moved(self, drop_id: str, machine: str, account: str, facts: dict[str, Any]) -> None:
        drops = self._books.drops
        before = drops.get(drop_id)
        was, to = None if before is None else before.state, facts["to"]
        self._world.note(f"{drop_id}: {was} -> {to} {facts.get('cause', '')}")
        self._violate_all(check_move(drop_id, was, to))
        if facts.get("from") != was:
            self._violate(21, f"{drop_id} is {was}, its record says {facts}")
        if before is None:
            rows = self.rows("SELECT slot, price, sequence FROM drops WHERE id = ?", drop_id)
            if not rows or rows[0][:2] != (facts["slot"], facts["price"]):
                self._violate(5, f"{drop_id} is kept as {rows}, reserved as {facts}")
                return
            drops[drop_id] = before = _Drop(
                account, machine, rows[0][0], rows[0][1], to, rows[0][2]
            )
        before.state, before.changed_at = to, self._world.now
        if to == "DISPATCHED":
            self._dispatched(drop_id, before)
        if to == "UNKNOWN" and was != "UNKNOWN":
            before.unknown_at = self._world.now
            if not self.was_restored:
                self._explain(drop_id, before, facts["cause"])

    def _dispatched(self, drop_id: str, drop: _Drop) -> None:
        drop.dispatched_at = self._world.now
        for other_id, other in self._books.drops.items():
            if other.machine == drop.machine and other_id != drop_id:
                if other.state == "DISPATCHED":
                    self._violate(11, f"{drop_id} is dispatched beside {other_id}")
                if other.state == "RESERVED" and other.sequence < drop.sequence:
                    self._violate(11, f"{drop_id} is dispatched before {other_id}")
        ((epoch,),) = self.rows("SELECT epoch FROM drops WHERE id = ?", drop_id)
        newest = self._books.epochs.get(drop.machine)
        if epoch is not None and newest is not None and epoch < newest:
            self._violate(14, f"{drop_id} is dispatched in epoch {epoch}, {newest} has begun")

    def _explain(self, drop_id: str, drop: _Drop, cause: str) -> None:
        since = drop.dispatched_at if drop.dispatched_at is not None else drop.changed_at
        if not self._fault_log.explains(cause, drop.machine, since, self._world.now):
            self._violate(24, f"{drop_id} is UNKNOWN because of {cause}, which nothing explains")

    # --- at each answer ---

    def answered(self, account: str, request: str | None, drop_id: str, state: str) -> None:
        """Checks an answer about a drop: it must be durable and must never change."""
        rows = self.rows(
            "SELECT state, name FROM drops JOIN accounts ON accounts.id = account"
            " WHERE drops.id = ?",
            drop_id,
        )
        if not rows or rows[0][1] != account:
            self._violate(19, f"{account} is told of {drop_id}, which is kept as {rows}")
            return
        now = rows[0][0]
        if state in FINAL and now != state:
            self._violate(18, f"{account} is told that {drop_id} is {state}, it is {now}")
        if state == "UNKNOWN" and now not in ANSWERED:
            self._violate(18, f"{account} is told that {drop_id} is UNKNOWN, it is {now}")
        if self._finals.get(drop_id, state) != state:
            self._violate(12, f"{drop_id} was {self._finals[drop_id]}, now it is {state}")
        if state in FINAL:
            self._finals[drop_id] = state
        if request is not None:
            first = self._answers.setdefault((account, request), drop_id)
            if first != drop_id:
                self._violate(12, f"{request} of {account} is {first} and {drop_id}")

    # --- at the end ---

    def check_all(self) -> None:
        """Checks everything that takes too long after every commit."""
        self.committed()
        books = self._books
        if read_transfers(self._connection) != books.ledger.entries:
            self._violate(4, "entries were changed or removed")
        twice = self.rows(
            "SELECT account, request_id FROM drops GROUP BY account, request_id HAVING COUNT(*) > 1"
        )
        if twice:
            self._violate(13, f"requests that made two drops: {twice}")
        drops = {
            drop_id: (drop.account, drop.machine, drop.state, drop.price)
            for drop_id, drop in books.drops.items()
        }
        refunds = read_refunds(self._connection)
        self._violate_all(books.ledger.check_refunds(refunds, drops))
        kept = self.rows("SELECT id, state, cause, hold_id, price FROM drops")
        for drop_id, state, cause, hold_id, price in kept:
            drop = books.drops.get(drop_id)
            if drop is None or drop.state != state:
                self._violate(21, f"{drop_id} is {state}, its records say {drop}")
            self._violate_all(books.ledger.check_drop(drop_id, state, price))
            hold = books.ledger.holds.get(drop_id)
            if hold is None or hold.id != hold_id:
                self._violate(3, f"{drop_id} names the hold {hold_id}, its hold is {hold}")
            self._check_truth(drop_id, state, cause)
        for (account, request), drop_id in self._answers.items():
            if not self.rows(
                "SELECT 1 FROM drops JOIN accounts ON accounts.id = account"
                " WHERE drops.id = ? AND name = ? AND request_id = ?",
                drop_id,
                account,
                request,
            ):
                self._violate(19, f"{drop_id} of {account} was confirmed and is gone")
        self._check_cans({row[0] for row in kept})
        for problem in check_events(self.rows):
            self._violate(28, problem.removeprefix("28: "))
        # The drops were compared with the oracle's above.
        for problem in check_statistics(self.rows):
            self._violate(29, problem.removeprefix("29: "))

    def _check_truth(self, drop_id: str, state: str, cause: str) -> None:
        """Checks a drop's outcome against what its machine did."""
        truth = self._machines[self._books.drops[drop_id].machine]
        command = truth.commands.get(drop_id)
        if cause == "OPERATOR" or state not in FINAL or drop_id in truth.exempt:
            return
        ran, fell = (False, False) if command is None else (command.ran, command.fell)
        lied = command is not None and truth.lied(drop_id)
        fault = None if command is None else command.fault
        if state == "DISPENSED":
            # No board here has a sensor that is independent of the command.
            if not ran or cause == "SENSOR":
                self._violate(8, f"{drop_id} is {state} because of {cause}, ran {ran}, fell {fell}")
            if not fell and fault != "jam" and not lied:
                self._violate(9, f"{drop_id} is paid for, no can fell, {fault}")
        elif cause in UNTOUCHED:
            if command is not None and command.written_at is not None and not self.was_restored:
                self._violate(8, f"{drop_id} is {state} because of {cause}, it was commanded")
        elif fell and fault != "refuse_after":
            self._violate(9, f"{drop_id} is not paid for because of {cause}, a can fell, {fault}")

    def _check_cans(self, kept: set[str]) -> None:
        """Every fallen can belongs to a drop in the database, or to one lost by a restore."""
        for truth in self._machines.values():
            for drop_id, command in truth.commands.items():
                if command.fell and drop_id not in kept and not self.was_restored:
                    self._violate(9, f"a can fell for {drop_id}, which is not kept")

    def unsettled(self) -> list[str]:
        """Drops without an outcome; UNKNOWN is one."""
        return [
            row[0]
            for row in self.rows(
                "SELECT id FROM drops WHERE state IN ('SCHEDULED', 'RESERVED', 'DISPATCHED')"
            )
        ]

    def _violate_all(self, violations: Iterable[Violation]) -> None:
        for invariant, text in violations:
            self._violate(invariant, text)

    def _violate(self, invariant: int, text: str) -> None:
        self._world.violate(f"{invariant}: {text}")
