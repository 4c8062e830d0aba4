"""Statistics: what drops add to which rows, and which rows answer a question.

A drop counts on the day and in the hour of its first outcome, which never change: a drop that is
decided or refunded later changes the numbers of that day. Days are numbers such as 20261129, months
such as 202611 and years such as 2026, so that they never compare as neighbours.
"""

from calendar import monthrange
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import Drop

HOUSE = ""
"""Owner of the rows of the whole house; others are the keys of accounts."""


class Kind(StrEnum):
    """What a row is about, beside its owner, its time and its machine."""

    DAY = "DAY"
    """Nothing else."""
    ITEM = "ITEM"
    """An item, by the name that it had when the drop was reserved."""
    HOUR = "HOUR"
    """An hour of the day, from 00 to 23."""
    ACCOUNT = "ACCOUNT"
    """A buyer. Rows of the house only."""


class Span(StrEnum):
    """The parts of time for which there are rows. Numbers are shown by day and by month."""

    DAY = "DAY"
    MONTH = "MONTH"
    YEAR = "YEAR"


class Phase(StrEnum):
    """What is done with the rows."""

    CLEARING = "CLEARING"
    """They are deleted, to be made anew."""
    COUNTING = "COUNTING"
    """Drops are counted in their order; the rows are incomplete."""
    FOLLOWING = "FOLLOWING"
    """All drops are counted, and events are followed."""


class Numbers(NamedTuple):
    """Numbers of drops and credits.

    Attributes:
        dispensed: Drops that dispensed their item, refunded ones included.
        failed: Drops that dispensed nothing and were not cancelled.
        cancelled: Drops that were cancelled.
        unknown: Drops whose outcome is not known.
        refunds: Refunded drops, in whole or part.
        spent: Credits paid, refunded ones included.
        held: Credits held for drops whose outcome is not known.
        refunded: Credits given back.
    """

    dispensed: int = 0
    failed: int = 0
    cancelled: int = 0
    unknown: int = 0
    refunds: int = 0
    spent: int = 0
    held: int = 0
    refunded: int = 0


NAMES = Numbers._fields
"""The names of the numbers, in their order."""

Key: TypeAlias = tuple[str, Kind, int, str, str]
"""A row: owner, kind, day or month, machine, and the item, hour or buyer."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the rows are.

    Attributes:
        phase: What is done with them.
        time_zone: Of their days and hours, a name of the tz database; empty before the first.
        event_sequence: The last batch of events that they contain.
        drop_sequence: The last drop that was counted, in the phase COUNTING.
    """

    phase: Phase
    time_zone: str
    event_sequence: int
    drop_sequence: int


def counted(drop: Drop) -> Numbers | None:
    """What a drop counts as it is now; None before its first outcome."""
    match drop.state:
        case State.DISPENSED:
            return Numbers(
                dispensed=1,
                spent=drop.price,
                refunds=1 if drop.refunded else 0,
                refunded=drop.refunded,
            )
        case State.NOT_DISPENSED:
            cancelled = drop.cause is Cause.CANCELLED
            return Numbers(cancelled=1) if cancelled else Numbers(failed=1)
        case State.UNKNOWN:
            return Numbers(unknown=1, held=drop.price)
        case _:
            return None


def keys(drop: Drop, day: int, hour: int) -> Iterator[Key]:
    """The rows to which a drop counts.

    The rows of an account are by day alone, or by month: else they would be as many as drops. So
    are those by buyer.

    Args:
        drop: The drop.
        day: The day of its first outcome.
        hour: The hour of its first outcome.
    """
    month, year, at = day // 100, day // 10_000, f"{hour:02}"
    for period in (day, month, year):
        yield HOUSE, Kind.DAY, period, drop.machine, ""
        yield HOUSE, Kind.ITEM, period, drop.machine, drop.item
        yield HOUSE, Kind.HOUR, period, drop.machine, at
        yield drop.account, Kind.DAY, period, "", ""
    yield drop.account, Kind.ITEM, month, drop.machine, drop.item
    yield drop.account, Kind.HOUR, month, "", at
    for period in (month, year):
        yield HOUSE, Kind.ACCOUNT, period, "", drop.account


@dataclass(slots=True)
class Tally:
    """What some drops and events add to the rows.

    Attributes:
        rows: The sums for each row, in the order of `Numbers`.
        doubtful: Ids of drops that count as UNKNOWN from now on.
        decided: Ids of drops that no longer do.
    """

    rows: dict[Key, list[int]] = field(default_factory=dict)
    doubtful: dict[str, None] = field(default_factory=dict)
    decided: dict[str, None] = field(default_factory=dict)

    def count(self, drop: Drop, day: int, hour: int) -> None:
        """Adds a drop that is in no row, as it is now."""
        numbers = counted(drop)
        if numbers is not None:
            self._add(drop, day, hour, numbers)
        if drop.state is State.UNKNOWN:
            self.doubtful[drop.id] = None

    def follow(self, drop: Drop, day: int, hour: int, *, was_unknown: bool) -> None:
        """Adds what an event of a drop changes.

        Args:
            drop: The drop with an outcome, as the event shows it.
            day: The day of its first outcome.
            hour: The hour of its first outcome.
            was_unknown: Whether it counts as UNKNOWN in the rows before this tally.
        """
        after = counted(drop)
        assert after is not None, "a drop without an outcome changes no number"
        was_unknown = drop.id in self.doubtful or (was_unknown and drop.id not in self.decided)
        before = Numbers()
        if was_unknown:
            before = Numbers(unknown=1, held=drop.price)
        elif drop.refunded:
            # A drop is refunded once, after the event of its outcome.
            before = Numbers(dispensed=1, spent=drop.price)
        change = [new - old for new, old in zip(after, before, strict=True)]
        if any(change):
            self._add(drop, day, hour, change)
        if drop.state is State.UNKNOWN and not was_unknown:
            self.doubtful[drop.id] = None
        elif drop.state is not State.UNKNOWN and was_unknown:
            if drop.id in self.doubtful:
                del self.doubtful[drop.id]
            else:
                self.decided[drop.id] = None

    def _add(self, drop: Drop, day: int, hour: int, change: Sequence[int]) -> None:
        changed = [(index, number) for index, number in enumerate(change) if number]
        for key in keys(drop, day, hour):
            row = self.rows.get(key)
            if row is None:
                self.rows[key] = list(change)
            else:
                for index, number in changed:
                    row[index] += number


Range: TypeAlias = tuple[int, int]
"""The first and the last of some days or months."""

NO_RANGE: Range = (1, 0)


def cover(first: int, last: int, coarsest: Span = Span.YEAR) -> Sequence[Range]:
    """The rows that together are the days from `first` to `last`, as few as can be.

    Args:
        first: The first day.
        last: The last day, not before the first.
        coarsest: The longest part of time whose rows may be used.

    Returns:
        Ranges of days, months, years, months and days; NO_RANGE for each that is not needed.
    """
    no = NO_RANGE
    first_month = first // 100 if first % 100 == 1 else _after(first // 100)
    last_month = last // 100 if is_last(last) else _before(last // 100)
    if coarsest is Span.DAY or first_month > last_month:
        return (first, last), no, no, no, no
    head = no if first % 100 == 1 else (first, first // 100 * 100 + 31)
    tail = no if is_last(last) else (last // 100 * 100 + 1, last)
    first_year = first_month // 100 + (first_month % 100 > 1)
    last_year = last_month // 100 - (last_month % 100 < _MONTHS)
    if coarsest is Span.MONTH or first_year > last_year:
        return head, (first_month, last_month), no, no, tail
    before = no if first_month % 100 == 1 else (first_month, first_month // 100 * 100 + _MONTHS)
    after = no if last_month % 100 == _MONTHS else (last_month // 100 * 100 + 1, last_month)
    return head, before, (first_year, last_year), after, tail


_MONTHS = 12


def are_months(first: int, last: int) -> bool:
    """Whether two days are the first and the last of whole months."""
    return first % 100 == 1 and is_last(last)


def is_last(day: int) -> bool:
    """Whether a day is the last of its month."""
    return day % 100 == days_of(day // 100)


def days_of(month: int) -> int:
    """Number of days of a month of the Gregorian calendar."""
    return monthrange(*divmod(month, 100))[1]


def _after(month: int) -> int:
    return month + 89 if month % 100 == 12 else month + 1


def _before(month: int) -> int:
    return month - 89 if month % 100 == 1 else month - 1


def parse_day(text: str) -> int | None:
    """The day of `YYYY-MM-DD`, from year 1000 on; None for any other text."""
    parts = text.split("-")
    if [len(part) for part in parts] != [4, 2, 2] or not text.isascii():
        return None
    if not all(part.isdecimal() for part in parts):
        return None
    year, month, day = map(int, parts)
    if not (year >= 1000 and 1 <= month <= 12):
        return None
    return year * 10_000 + month * 100 + day if 1 <= day <= days_of(year * 100 + month) else None


def day_text(period: int) -> str:
    """A day as `YYYY-MM-DD`, or a month as `YYYY-MM`."""
    digits = str(period)
    return "-".join(part for part in (digits[:4], digits[4:6], digits[6:]) if part)


@dataclass(frozen=True, slots=True)
class Row:
    """Numbers of one answer, with what they are grouped by.

    Attributes:
        period: The day or month; 0 for none.
        machine: Name of the machine; empty for all.
        subject: The item, hour or buyer; empty for all.
        numbers: The numbers.
    """

    period: int
    machine: str
    subject: str
    numbers: Numbers


FIRST = (-1, "", "")
"""The period, machine and subject before those of all rows."""


@dataclass(frozen=True, slots=True)
class Streak:
    """Consecutive days on each of which an account got something.

    Attributes:
        days: The days up to today, or up to yesterday while today has none; 0 if it is over.
        longest: The most days that there ever were.
    """

    days: int = 0
    longest: int = 0


def streak(numbered: Iterable[int], today: int) -> Streak:
    """The streak of an account.

    Args:
        numbered: The ordinal numbers of its days, ascending, each once.
        today: The ordinal number of today.
    """
    longest = length = 0
    previous = None
    for day in numbered:
        length = length + 1 if previous is not None and day == previous + 1 else 1
        longest, previous = max(longest, length), day
    is_over = previous is None or previous < today - 1
    return Streak(0 if is_over else length, longest)
