"""The sequential model: what a ledger is, in a page, and what those who look at it may see."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.soak.books import Transfer
from tests.soak.history import Reading

FUNDING = "funding"
"""The only account that may owe."""


@dataclass
class Ledger:
    """Applies one entry after the other, and keeps what each account had after each.

    Attributes:
        states: By account: its posted and held credits after each of its entries, and before all.
        entries: By account: its entries, each with its place in `states`.
        problems: What a ledger must not do.
    """

    states: dict[str, list[tuple[int, int]]] = field(
        default_factory=lambda: defaultdict(lambda: [(0, 0)])
    )
    entries: dict[str, list[tuple[int, Transfer]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    problems: list[str] = field(default_factory=list)
    _open_holds: dict[str, Transfer] = field(default_factory=dict)
    _held_drops: set[str] = field(default_factory=set)

    def apply(self, entry: Transfer) -> None:
        """Applies the next entry."""
        match entry.kind:
            case "MOVE":
                self._change(entry.debit, entry, -entry.amount, 0)
                self._change(entry.credit, entry, entry.amount, 0)
            case "HOLD":
                if entry.drop in self._held_drops:
                    self.problems.append(f"drop {entry.drop} is held for twice")
                self._held_drops.add(entry.drop or "")
                self._open_holds[entry.id] = entry
                self._change(entry.debit, entry, 0, entry.amount)
            case "POST" | "VOID":
                self._resolve(entry)

    def _resolve(self, entry: Transfer) -> None:
        hold = self._open_holds.pop(entry.resolves or "", None)
        if hold is None or (hold.drop, hold.debit, hold.credit, hold.amount) != (
            entry.drop,
            entry.debit,
            entry.credit,
            entry.amount,
        ):
            self.problems.append(f"{entry.kind} {entry.id} resolves no open hold of its drop")
            return
        paid = entry.amount if entry.kind == "POST" else 0
        self._change(entry.debit, entry, -paid, -entry.amount)
        if paid:
            self._change(entry.credit, entry, paid, 0)

    def _change(self, account: str, entry: Transfer, posted: int, held: int) -> None:
        before = self.states[account][-1]
        after = before[0] + posted, before[1] + held
        if account != FUNDING and after[0] - after[1] < 0:
            self.problems.append(f"{account} has {after[0]} and {after[1]} held after {entry.id}")
        self.entries[account].append((len(self.states[account]), entry))
        self.states[account].append(after)


@dataclass(frozen=True)
class Mark:
    """What is known from outside of when an entry was written.

    Attributes:
        place: In the account's states.
        not_before_ms: When somebody first asked for it.
        seen_ms: When somebody was told that it is so; None if nobody was.
    """

    place: int
    not_before_ms: int
    seen_ms: int | None


def impossible_readings(
    states: Sequence[tuple[int, int]], marks: Iterable[Mark], readings: Iterable[Reading]
) -> Iterator[Reading]:
    """Readings that no order of events explains.

    Each reading must show the account as it stood at one moment between question and answer: with
    everything in it that was answered or read before the question, and nothing that was asked for
    after the answer.
    """
    marks = list(marks)
    read: list[tuple[int, int]] = []  # end of a reading, and the earliest place that it shows
    for reading in sorted(readings, key=lambda each: each.start_ms):
        least = max(
            (
                *(m.place for m in marks if m.seen_ms is not None and m.seen_ms < reading.start_ms),
                *(place for end_ms, place in read if end_ms < reading.start_ms),
            ),
            default=0,
        )
        most = min(
            (m.place for m in marks if m.not_before_ms > reading.end_ms), default=len(states)
        )
        for place in range(least, most):
            posted, held = states[place]
            if posted - held == reading.available and reading.held in (None, held):
                read.append((reading.end_ms, place))
                break
        else:
            yield reading
