"""Events, a row for the events of each commit, in the order of the commits.

Writers take turns, on both engines, so that a row with a lower sequence never becomes visible after
one with a higher sequence: who has read up to a row has missed nothing before it. The newest row is
never deleted, so that sequences are not reused. Batches refer to accounts by ids, and are read with
the present names.
"""

from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import bindparam, delete, func, select, update

from drink_frontend.domain.entities import Drop
from drink_frontend.domain.events import Event, EventBatch
from drink_frontend.storage.event_codec import accounts_of, decode, encode, named, outcomes
from drink_frontend.storage.identity_map import IdentityMap
from drink_frontend.storage.statements import NOTHING, Row, Statement
from drink_frontend.storage.tables import accounts, event_log, events

_BATCH = select(events.c.sequence, events.c.at_ms, events.c.changes)
_OLDEST_FIRST = events.c.sequence

_GET = Statement(_BATCH.where(events.c.sequence == bindparam("sequence")))
_AFTER = Statement(
    _BATCH.where(events.c.sequence > bindparam("sequence"))
    .order_by(_OLDEST_FIRST)
    .limit(bindparam("limit"))
    .offset(NOTHING)
)
_BEFORE = Statement(
    _BATCH.where(events.c.sequence < bindparam("sequence"))
    .order_by(events.c.sequence.desc())
    .limit(bindparam("limit"))
    .offset(NOTHING)
)
_ENDS = Statement(select(func.min(events.c.sequence), func.max(events.c.sequence)))
_TIMES = Statement(
    select(events.c.sequence, events.c.at_ms)
    .order_by(_OLDEST_FIRST)
    .limit(bindparam("limit"))
    .offset(NOTHING)
)
_REMOVE = Statement(delete(events).where(events.c.sequence <= bindparam("sequence")))
_MARK = Statement(select(event_log.c.mark))
_NAMES_AT_ONCE = 20
_IDS = tuple(f"id_{number}" for number in range(_NAMES_AT_ONCE))
_NAMES = Statement(
    select(accounts.c.id, accounts.c.name, accounts.c.display_name).where(
        accounts.c.id.in_([bindparam(name) for name in _IDS]), accounts.c.name.is_not(None)
    )
)
_SET_MARK = Statement(update(event_log).values(mark=bindparam("new_mark")))


class EventTable:
    """Events, in one unit of work.

    Args:
        rows: The rows of the transaction.
    """

    __slots__ = ("_executor", "_rows")

    def __init__(self, rows: IdentityMap) -> None:
        self._rows = rows
        self._executor = rows.direct

    def add(self, new: Sequence[Event], at_ms: int) -> None:
        """Stores the events of a commit."""
        self._rows.add_events(at_ms, encode(new))

    def get(self, sequence: int) -> EventBatch | None:
        """One batch, if it is kept."""
        row = self._executor.one(_GET, sequence=sequence)
        return None if row is None else self._read([row])[0]

    def newest(self) -> EventBatch:
        """The newest batch; there always is one."""
        _, newest = self.ends()
        batch = self.get(newest)
        assert batch is not None
        return batch

    def ends(self) -> tuple[int, int]:
        """The sequences of the oldest and of the newest batch."""
        row = self._executor.one(_ENDS)
        assert row is not None
        assert row[0] is not None, "the newest batch is never deleted"
        return int(row[0]), int(row[1])

    def after(self, sequence: int, limit: int) -> Sequence[EventBatch]:
        """The first `limit` batches after a sequence, oldest first."""
        return self._read(self._executor.all(_AFTER, sequence=sequence, limit=limit))

    def before(self, sequence: int, limit: int) -> Sequence[EventBatch]:
        """The last `limit` batches before a sequence, newest first."""
        return self._read(self._executor.all(_BEFORE, sequence=sequence, limit=limit))

    def outcomes_after(self, sequence: int, limit: int) -> Iterator[tuple[int, Sequence[Drop]]]:
        """The first `limit` batches after a sequence, oldest first, read for drops alone.

        Yields:
            The sequence of each batch, and the drops with an outcome that its events show.
        """
        for row in self._executor.all(_AFTER, sequence=sequence, limit=limit):
            yield row[0], outcomes(row[2])

    def remove_before(self, at_ms: int, limit: int) -> int:
        """Deletes batches that are older than a time, but never the newest one.

        Whatever the clock did, batches are deleted from the oldest on, without gaps.

        Args:
            at_ms: The time, in milliseconds since the epoch.
            limit: Most batches that are looked at.

        Returns:
            Number of deleted batches.
        """
        _, newest = self.ends()
        times = self._executor.all(_TIMES, limit=limit)
        old = [sequence for sequence, written in times if written < at_ms and sequence < newest]
        return self._executor.run(_REMOVE, sequence=old[-1]) if old else 0

    def mark(self) -> str:
        """The mark of this database in cursors."""
        row = self._executor.one(_MARK)
        assert row is not None
        return str(row[0])

    def set_mark(self, mark: str) -> None:
        """Gives the database another mark, so that all cursors of before are refused."""
        self._executor.run(_SET_MARK, new_mark=mark)

    def _read(self, rows: Sequence[Row]) -> Sequence[EventBatch]:
        """The batches of rows, with the present names of accounts."""
        stored = [decode(changes) for _, _, changes in rows]
        found = self._named(accounts_of([event for events_ in stored for event in events_]))
        names = {each: name for each, name, _ in found}
        shown = {each: display_name for each, _, display_name in found if display_name}
        return [
            EventBatch(
                sequence, at_ms, tuple(named(event, names, shown) for event in of), len(changes)
            )
            for (sequence, at_ms, changes), of in zip(rows, stored, strict=True)
        ]

    def _named(self, ids: Iterable[str]) -> Sequence[Row]:
        wanted = list(ids)
        found: list[Row] = []
        for first in range(0, len(wanted), _NAMES_AT_ONCE):
            some = wanted[first : first + _NAMES_AT_ONCE]
            some += some[-1:] * (_NAMES_AT_ONCE - len(some))
            parameters = dict(zip(_IDS, some, strict=True))
            found += self._executor.all(_NAMES, **parameters)
        return found
