"""The rules of credits and cans, written once more apart from the services' code.

The simulation and the soak read the database by plain SQL and check it against these rules. Each
violation begins with the number of the broken invariant, see docs/guarantees.md. The frontend's own
auditor, `drink_frontend.storage.verify`, shares nothing with this module, so that neither repeats a
mistake of the other.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

FUNDING = "funding"
"""The only account that may owe credits."""

FINAL = ("DISPENSED", "NOT_DISPENSED")
"""States of a drop that never change again."""

NEXT: dict[str | None, set[str]] = {
    None: {"SCHEDULED", "RESERVED"},
    "SCHEDULED": {"RESERVED", "NOT_DISPENSED", "DISPENSED", "UNKNOWN"},
    "RESERVED": {"DISPATCHED", "NOT_DISPENSED", "DISPENSED", "UNKNOWN"},
    "DISPATCHED": {"RESERVED", "NOT_DISPENSED", "DISPENSED", "UNKNOWN"},
    "UNKNOWN": {"UNKNOWN", "NOT_DISPENSED", "DISPENSED"},
    "DISPENSED": set(),
    "NOT_DISPENSED": set(),
}
"""States that may follow each state of a drop; None stands for a drop that is not yet made."""

RESOLUTION = {"DISPENSED": "POST", "NOT_DISPENSED": "VOID"}
"""How the hold of a drop in a final state is resolved; in any other state it is open."""

_COUNTED_AS = {"DISPENSED": 1, "UNKNOWN": 2, "NOT_DISPENSED": None}
"""Which of reserved, dispensed and unknown counts a drop in a state; the first in any other."""

Violation = tuple[int, str]
"""Number of the broken invariant, and what is wrong."""


class Transfer(NamedTuple):
    """An entry of the ledger."""

    sequence: int
    id: str
    kind: str
    debit: str
    credit: str
    amount: int
    drop: str | None
    resolves: str | None
    request_id: str | None


class Totals(NamedTuple):
    """The totals of an account, in credits."""

    debits_pending: int = 0
    debits_posted: int = 0
    credits_pending: int = 0
    credits_posted: int = 0

    @property
    def posted(self) -> int:
        """Credits that the account owns."""
        return self.credits_posted - self.debits_posted

    @property
    def available(self) -> int:
        """Credits that are not held for a drop."""
        return self.posted - self.debits_pending


class Refund(NamedTuple):
    """What was given back of a drop, and by which transfer."""

    drop: str
    transfer: str
    amount: int


class Slot(NamedTuple):
    """A slot's stock, in items."""

    machine: str
    number: int
    loaded: int
    on_hand: int
    reserved: int
    dispensed: int
    unknown: int


def read_transfers(connection: sqlite3.Connection, after: int = 0) -> list[Transfer]:
    """The ledger's entries with a sequence number above `after`, in their order."""
    rows = connection.execute(
        "SELECT sequence, id, kind, debit_account, credit_account, amount, drop_id, resolves,"
        " request_id FROM transfers WHERE sequence > ? ORDER BY sequence",
        (after,),
    )
    names = read_names(connection)
    return [Transfer(*row)._replace(debit=names[row[3]], credit=names[row[4]]) for row in rows]


def read_names(connection: sqlite3.Connection) -> dict[str, str]:
    """The name of each account by its id."""
    return dict(connection.execute("SELECT id, coalesce(name, id) FROM accounts").fetchall())


def read_totals(connection: sqlite3.Connection) -> dict[str, Totals]:
    """The totals that are kept for each account."""
    rows = connection.execute(
        "SELECT coalesce(name, id), debits_pending, debits_posted, credits_pending, credits_posted"
        " FROM accounts"
    )
    return {name: Totals(*totals) for name, *totals in rows}


def read_slots(connection: sqlite3.Connection) -> list[Slot]:
    """The stock that is kept for each slot."""
    rows = connection.execute(
        "SELECT machine, number, loaded, on_hand, reserved, dispensed, unknown FROM slots"
    )
    return [Slot(*row) for row in rows]


def read_refunds(connection: sqlite3.Connection) -> list[Refund]:
    """All refunds."""
    rows = connection.execute("SELECT drop_id, transfer_id, amount FROM refunds")
    return [Refund(*row) for row in rows]


@dataclass
class Ledger:
    """Applies one entry after the other.

    Attributes:
        entries: All entries so far.
        of_account: By account: its entries.
        totals: By account: its totals before all and after each of its entries.
        holds: By drop: its hold.
        resolutions: By hold: the kind of the entry that resolved it.
        limits: By account: its credit limits, each with the sequence of the last entry before it.
    """

    entries: list[Transfer] = field(default_factory=list)
    of_account: dict[str, list[Transfer]] = field(default_factory=lambda: defaultdict(list))
    totals: dict[str, list[Totals]] = field(default_factory=lambda: defaultdict(lambda: [Totals()]))
    holds: dict[str, Transfer] = field(default_factory=dict)
    resolutions: dict[str, str] = field(default_factory=dict)
    limits: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))

    def apply(self, entries: Iterable[Transfer]) -> Iterator[Violation]:
        """Applies more entries and yields the violations of invariants 2, 3 and 5."""
        for entry in entries:
            self.entries.append(entry)
            if entry.kind == "HOLD":
                yield from self._hold(entry)
            elif entry.kind in ("POST", "VOID"):
                yield from self._resolve(entry)
            pending = {"HOLD": entry.amount, "MOVE": 0}.get(entry.kind, -entry.amount)
            posted = entry.amount if entry.kind in ("MOVE", "POST") else 0
            self._add(entry.debit, entry, Totals(pending, posted, 0, 0))
            self._add(entry.credit, entry, Totals(0, 0, pending, posted))
            payer, takes = self.totals[entry.debit][-1], entry.kind in ("HOLD", "MOVE")
            limits = [limit for after, limit in self.limits[entry.debit] if after < entry.sequence]
            owed_max = limits[-1] if limits else 0
            if entry.debit != FUNDING and takes and entry.amount and payer.available < -owed_max:
                yield 2, f"{entry.debit} has {payer} after {entry.id}, its limit is {owed_max}"

    def _hold(self, entry: Transfer) -> Iterator[Violation]:
        drop = entry.drop or ""
        if drop in self.holds:
            yield 3, f"{drop} has a second hold"
        self.holds[drop] = entry

    def _resolve(self, entry: Transfer) -> Iterator[Violation]:
        resolves = entry.resolves or ""
        if resolves in self.resolutions:
            yield 3, f"{resolves} is resolved twice"
        self.resolutions[resolves] = entry.kind
        hold = self.holds.get(entry.drop or "")
        if hold is None or (hold.id, *hold[3:6]) != (resolves, *entry[3:6]):
            yield 5, f"{entry.kind} {entry.id} does not match its hold {hold}"

    def _add(self, account: str, entry: Transfer, change: Totals) -> None:
        before = self.totals[account][-1]
        self.of_account[account].append(entry)
        self.totals[account].append(Totals(*map(sum, zip(before, change, strict=True))))

    def check_totals(self, kept: Mapping[str, Totals]) -> Iterator[Violation]:
        """Invariant 1: kept totals follow from the entries, and debits equal credits."""
        for account, totals in kept.items():
            if totals != self.totals[account][-1]:
                yield 1, f"{account} has {totals}, its entries make {self.totals[account][-1]}"
        sums = Totals(*map(sum, zip(*kept.values(), strict=True)))
        if sums[:2] != sums[2:]:
            yield 1, f"debits and credits differ: {sums}"

    def check_drop(self, drop: str, state: str, price: int) -> Iterator[Violation]:
        """Invariants 3 and 5: one hold at the drop's price, resolved as its state demands."""
        hold = self.holds.get(drop)
        if hold is None or hold.amount != price:
            yield 3, f"{drop} costs {price}, its hold is {hold}"
        elif (found := self.resolutions.get(hold.id)) != RESOLUTION.get(state):
            yield 3, f"{drop} is {state}, the resolution of its hold is {found}"

    def check_refunds(
        self, refunds: Iterable[Refund], drops: Mapping[str, tuple[str, str, str, int]]
    ) -> Iterator[Violation]:
        """Invariant 26: a paid drop is given back once, by one transfer, at most its price.

        Args:
            refunds: All refunds.
            drops: By drop: its buyer, machine, state and price.
        """
        paid_out = {entry.id: entry for entry in self.entries if entry.debit.startswith("sales/")}
        seen: set[str] = set()
        for refund in refunds:
            account, machine, state, price = drops.get(refund.drop, ("", "", "", 0))
            if state != "DISPENSED" or not 1 <= refund.amount <= price or refund.drop in seen:
                yield 26, f"{refund}: the drop is {state} and cost {price}, refunded in {seen}"
            seen.add(refund.drop)
            entry = paid_out.pop(refund.transfer, None)
            expected = ("MOVE", f"sales/{machine}", account, refund.amount)
            if entry is None or entry[2:6] != expected:
                yield 26, f"{refund} is the transfer {entry}"
        for entry in paid_out.values():
            yield 26, f"{entry} takes from a machine's sales without a refund"


def check_move(drop: str, before: str | None, after: str) -> Iterator[Violation]:
    """Invariant 21: a drop takes only steps that there are."""
    if after not in NEXT[before]:
        yield 21, f"{drop} goes from {before} to {after}"


class Stock:
    """Adds up the movements of stock.

    Attributes:
        last: Sequence of the last movement.
        items: By machine and slot: the sum of its changes.
    """

    def __init__(self) -> None:
        self.last = 0
        self.items: defaultdict[tuple[str, int], int] = defaultdict(int)

    def read(self, connection: sqlite3.Connection) -> None:
        """Adds the movements that were stored since the last call."""
        rows = connection.execute(
            "SELECT sequence, machine, slot, change FROM stock_movements"
            " WHERE sequence > ? ORDER BY sequence",
            (self.last,),
        )
        for sequence, machine, slot, change in rows:
            self.items[machine, slot] += change
            self.last = sequence

    def check(self, slots: Iterable[Slot]) -> Iterator[Violation]:
        """Invariant 27: the movements of a slot add up to the items that are in it."""
        for slot in slots:
            items = slot.on_hand + slot.reserved + slot.unknown
            moved = self.items[slot.machine, slot.number]
            if items != moved:
                yield 27, f"{slot} has {items} items, its movements add up to {moved}"


def check_slots(
    slots: Iterable[Slot], drops: Iterable[tuple[str, int, str]]
) -> Iterator[Violation]:
    """Invariant 10: a slot's counts are those of its drops, and add up to what was loaded.

    Args:
        slots: All slots.
        drops: Machine, number of the slot, and state of all drops.
    """
    counted: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    for machine, number, state in drops:
        index = _COUNTED_AS.get(state, 0)
        if index is not None:
            counted[machine, number][index] += 1
    for slot in slots:
        expected = counted[slot.machine, slot.number]
        kept = [slot.reserved, slot.dispensed, slot.unknown]
        if kept != expected or slot.on_hand < 0 or slot.loaded != slot.on_hand + sum(kept):
            yield 10, f"{slot} does not match its drops, {expected}"
