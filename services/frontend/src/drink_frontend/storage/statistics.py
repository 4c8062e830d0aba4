"""Statistics: sums of drops and credits, and how far they are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from sqlalchemy import (
    Select,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    text,
    tuple_,
    union_all,
)
from sqlalchemy import update as change
from sqlalchemy.sql.elements import ColumnElement

from drink_frontend.domain.ledger import AccountKind
from drink_frontend.domain.statistics import (
    FIRST,
    HOUSE,
    NAMES,
    Key,
    Kind,
    Numbers,
    Phase,
    Progress,
    Range,
    Row,
    Span,
)
from drink_frontend.storage.bulk import Bulk, given, insert_given
from drink_frontend.storage.statements import NOTHING, Executor, Statement, constant
from drink_frontend.storage.statistics_tables import (
    statistics,
    statistics_progress,
    statistics_unknown,
)
from drink_frontend.storage.tables import accounts, preferences

_KEY = (
    statistics.c.owner,
    statistics.c.kind,
    statistics.c.period,
    statistics.c.machine,
    statistics.c.subject,
)
_RANGES = tuple((f"first_{number}", f"last_{number}") for number in range(5))

_ADDED = given(*_KEY, *(statistics.c[name] for name in NAMES))
_IS_ADDED = tuple(column == _ADDED.c[column.name] for column in _KEY)
_ADD = Bulk(
    _ADDED,
    change(statistics)
    .where(*_IS_ADDED)
    .values({name: statistics.c[name] + _ADDED.c[name] for name in NAMES}),
)
_INSERT = Bulk(
    _ADDED,
    insert(statistics).from_select(
        [column.name for column in _ADDED.c],
        select(*_ADDED.c).where(~exists().where(*_IS_ADDED)),
    ),
)
_CLEAR = Statement(
    delete(statistics).where(
        tuple_(*_KEY).in_(select(*_KEY).order_by(*_KEY).limit(bindparam("limit")).offset(NOTHING))
    )
)
_NAMED = given(statistics_unknown.c.drop_id)
_IS_NAMED = statistics_unknown.c.drop_id.in_(select(_NAMED.c.drop_id))
_UNKNOWN = Bulk(_NAMED, select(statistics_unknown.c.drop_id).where(_IS_NAMED))
_ADD_UNKNOWN = insert_given(statistics_unknown, "drop_id")
_REMOVE_UNKNOWN = Bulk(_NAMED, delete(statistics_unknown).where(_IS_NAMED))
_CLEAR_UNKNOWN = Statement(delete(statistics_unknown))
_STATE = ("phase", "time_zone", "event_sequence", "drop_sequence")
_PROGRESS = Statement(select(*(statistics_progress.c[name] for name in _STATE)))
_SET_PROGRESS = Statement(
    change(statistics_progress).values({name: bindparam(f"new_{name}") for name in _STATE})
)


def _in(first: str, last: str) -> ColumnElement[bool]:
    return statistics.c.period.between(bindparam(first), bindparam(last))


def _grouped(
    span: Span | None, *, by_machine: bool, by_subject: bool, is_continued: bool
) -> Statement:
    """Selects sums in the order of what they are grouped by, from five ranges of rows.

    Only a page after the first compares each row with a place: that takes a third of the time.
    """
    period, machine, subject = _OF_ALL
    if span is Span.DAY:
        period = statistics.c.period
    elif span is Span.MONTH:
        # A month has six digits and a day eight, of which the first six are its month.
        period = statistics.c.period // _DAYS
    if by_machine:
        machine = statistics.c.machine
    if by_subject:
        subject = statistics.c.subject
    parts = []
    for number, (first, last) in enumerate(_RANGES):
        of = statistics.c.period if span is Span.MONTH and number in _OF_MONTHS else period
        shown = (of, machine, subject)
        part = _part(*shown, _in(first, last))
        parts.append(part.where(tuple_(*shown) > _AFTER) if is_continued else part)
    rows = union_all(*parts).subquery("parts")
    # What is the same for all rows is no key: to sort by it too takes half as long again.
    keys = (
        rows.c.shown_period if span is not None else None,
        rows.c.shown_machine if by_machine else None,
        rows.c.shown_subject if by_subject else None,
    )
    grouped = [key for key in keys if key is not None]
    shown_of_all = [same if key is None else key for key, same in zip(keys, _OF_ALL, strict=True)]
    return Statement(
        select(*shown_of_all, *(func.sum(rows.c[name]) for name in NAMES))
        .group_by(*grouped)
        # Without a key there would be a sum of no rows.
        .having(func.count() > NOTHING)
        .order_by(*grouped)
        .limit(bindparam("limit"))
        .offset(NOTHING)
    )


_OF_ALL: tuple[ColumnElement[Any], ...] = (constant(0), constant(""), constant(""))
"""Period, machine and subject of sums that are not grouped by them."""
_DAYS = constant(100)
_OF_MONTHS = (1, 3)
"""Which of the ranges of `cover` are of months."""


def _part(
    period: ColumnElement[int],
    machine: ColumnElement[str],
    subject: ColumnElement[str],
    is_in: ColumnElement[bool],
) -> Select[tuple[object, ...]]:
    shown = (
        period.label("shown_period"),
        machine.label("shown_machine"),
        subject.label("shown_subject"),
    )
    return select(*shown, *(statistics.c[name] for name in NAMES)).where(
        statistics.c.owner == bindparam("owner"),
        statistics.c.kind == bindparam("kind"),
        is_in,
        or_(bindparam("machine") == constant(""), statistics.c.machine == bindparam("machine")),
    )


_AFTER = tuple_(bindparam("after_period"), bindparam("after_machine"), bindparam("after_subject"))
_SPANS = (None, Span.DAY, Span.MONTH)
_GROUPED = {
    (span, by_machine, by_subject, is_continued): _grouped(
        span, by_machine=by_machine, by_subject=by_subject, is_continued=is_continued
    )
    for span, by_machine, by_subject, is_continued in product(
        _SPANS, (False, True), (False, True), (False, True)
    )
}
ROWS_AT_ONCE = 4_000
"""Rows that are read at once of sums by day: all days of a year sorted for each page would take
longer than a page may."""
_DAY_OF_ROW = Statement(
    select(statistics.c.period)
    .where(
        statistics.c.owner == bindparam("owner"),
        statistics.c.kind == bindparam("kind"),
        _in("first", "last"),
    )
    .order_by(statistics.c.period)
    .limit(bindparam("limit"))
    .offset(bindparam("offset"))
)
_DAYS_WITH = Statement(
    select(statistics.c.period)
    .where(
        statistics.c.owner == bindparam("owner"),
        statistics.c.kind == constant(Kind.DAY),
        # Months have fewer digits.
        statistics.c.period >= constant(10_000_000),
        statistics.c.dispensed > NOTHING,
    )
    .order_by(statistics.c.period)
)
_RANKED = Statement(
    select(preferences.c.account, func.sum(statistics.c.dispensed).label("items"))
    .select_from(preferences)
    .join(accounts, accounts.c.id == preferences.c.account)
    .join(statistics, statistics.c.owner == preferences.c.account)
    .where(
        preferences.c.ranked == constant(1),
        accounts.c.kind == constant(AccountKind.USER),
        accounts.c.closed == NOTHING,
        statistics.c.kind == constant(Kind.DAY),
        _in("first", "last"),
        statistics.c.dispensed > NOTHING,
    )
    .group_by(preferences.c.account)
    .order_by(text("items DESC"), preferences.c.account)
    .limit(bindparam("limit"))
    .offset(NOTHING)
)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which sums are wanted.

    Attributes:
        owner: HOUSE, or the key of an account.
        kind: Of rows of this kind.
        ranges: Of these days and months.
        machine: Of this machine; empty for all.
        span: By which parts of time they are grouped; None for none.
        by_machine: Whether they are grouped by machine.
        by_subject: Whether they are grouped by item, hour or buyer.
    """

    owner: str
    kind: Kind
    ranges: Sequence[Range]
    machine: str = ""
    span: Span | None = None
    by_machine: bool = False
    by_subject: bool = False


class StatisticsTable:
    """Sums of drops and credits, in one unit of work.

    Args:
        executor: Runs its statements.
    """

    __slots__ = ("_executor",)

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def progress(self) -> Progress:
        """How far the sums are."""
        row = self._executor.one(_PROGRESS)
        assert row is not None, "a migration has made the row"
        return Progress(Phase(row[0]), *row[1:])

    def set_progress(self, progress: Progress) -> None:
        """Stores how far the sums are."""
        self._executor.run(
            _SET_PROGRESS,
            new_phase=progress.phase.value,
            new_time_zone=progress.time_zone,
            new_event_sequence=progress.event_sequence,
            new_drop_sequence=progress.drop_sequence,
        )

    def add(self, rows: Mapping[Key, Sequence[int]]) -> None:
        """Adds to rows, which are made where there is none.

        Args:
            rows: What to add to each row, in the order of `Numbers`.
        """
        # In their order, so that neighbours in the table are written one after the other.
        given_rows = [(key[0], key[1].value, *key[2:], *rows[key]) for key in sorted(rows)]
        if not given_rows:
            return
        (added,) = self._executor.exchange([(_ADD, given_rows)])
        if added < len(given_rows):
            self._executor.exchange([(_INSERT, given_rows)])

    def unknown_of(self, drop_ids: Iterable[str]) -> set[str]:
        """Those of some drops that count as UNKNOWN."""
        # A drop may have several events.
        rows = [(drop_id,) for drop_id in dict.fromkeys(drop_ids)]
        if not rows:
            return set()
        (found,) = self._executor.exchange([(_UNKNOWN, rows)])
        return {drop_id for (drop_id,) in found}

    def add_unknown(self, drop_ids: Iterable[str]) -> None:
        """Notes that drops count as UNKNOWN."""
        if rows := [(drop_id,) for drop_id in drop_ids]:
            self._executor.exchange([(_ADD_UNKNOWN, rows)])

    def remove_unknown(self, drop_ids: Iterable[str]) -> None:
        """Notes that drops no longer count as UNKNOWN."""
        if rows := [(drop_id,) for drop_id in drop_ids]:
            (removed,) = self._executor.exchange([(_REMOVE_UNKNOWN, rows)])
            assert removed == len(rows), "a drop did not count as UNKNOWN"

    def clear(self, limit: int) -> bool:
        """Deletes up to `limit` rows; whether none are left."""
        if self._executor.run(_CLEAR, limit=limit):
            return False
        self._executor.run(_CLEAR_UNKNOWN)
        return True

    def sums(self, selection: Selection, after: tuple[int, str, str], limit: int) -> Sequence[Row]:
        """Up to `limit` sums after a place, in the order of what they are grouped by.

        Args:
            selection: Which sums.
            after: Day or month, machine and subject of the last row before; FIRST for none.
            limit: Most rows.
        """
        if selection.span is not Span.DAY:
            return self._sums(selection, after, limit)
        (first, last), *others = selection.ranges
        first = max(first, after[0])
        found: list[Row] = []
        while len(found) < limit and first <= last:
            until = self._day_of_row(selection, first, last)
            days = replace(selection, ranges=((first, until), *others))
            found += self._sums(days, after, limit - len(found))
            first = until + 1
        return found

    def _day_of_row(self, selection: Selection, first: int, last: int) -> int:
        """The day of the last row that is read at once from `first` on."""
        row = self._executor.one(
            _DAY_OF_ROW,
            owner=selection.owner,
            kind=selection.kind.value,
            first=first,
            last=last,
            limit=1,
            offset=ROWS_AT_ONCE,
        )
        return last if row is None else int(row[0])

    def _sums(self, selection: Selection, after: tuple[int, str, str], limit: int) -> Sequence[Row]:
        is_continued = after != FIRST
        place = dict(zip(("after_period", "after_machine", "after_subject"), after, strict=True))
        rows = self._executor.all(
            _GROUPED[selection.span, selection.by_machine, selection.by_subject, is_continued],
            owner=selection.owner,
            kind=selection.kind.value,
            machine=selection.machine,
            limit=limit,
            **(place if is_continued else {}),
            **_bounds(selection.ranges),
        )
        # PostgreSQL's sums of whole numbers are decimals.
        return [
            Row(period, machine, subject, Numbers(*map(int, sums)))
            for period, machine, subject, *sums in rows
        ]

    def days(self, owner: str) -> Sequence[int]:
        """The days on which an account got something, the oldest first."""
        assert owner != HOUSE
        return [row[0] for row in self._executor.all(_DAYS_WITH, owner=owner)]

    def ranked(self, time: Range, limit: int) -> Sequence[tuple[str, int]]:
        """The accounts that want to be ranked, with how many items they got, the most first.

        Args:
            time: Of which days, months or years.
            limit: Most accounts.
        """
        rows = self._executor.all(_RANKED, limit=limit, first=time[0], last=time[1])
        return [(account, int(items)) for account, items in rows]


def _bounds(ranges: Sequence[Range]) -> dict[str, object]:
    return {
        name: bound
        for names, bounds in zip(_RANGES, ranges, strict=True)
        for name, bound in zip(names, bounds, strict=True)
    }
