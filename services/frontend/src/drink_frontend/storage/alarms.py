"""Alarms. Of each kind and subject at most one is not closed."""

from collections.abc import Iterable, Sequence

from sqlalchemy import and_, bindparam, or_, update
from sqlalchemy.sql.elements import BindParameter

from drink_frontend.domain.alarms import Alarm, AlarmKind, AlarmState
from drink_frontend.domain.events import EventKind, EventNotes
from drink_frontend.domain.notifications import News, Notification
from drink_frontend.storage import notifications
from drink_frontend.storage.mappings import shown_name
from drink_frontend.storage.rows import RowMapping
from drink_frontend.storage.statements import (
    NOTHING,
    SEQUENCE_MAX,
    Executor,
    OneOf,
    Statement,
    constant,
)
from drink_frontend.storage.tables import NOT_CLOSED, alarms

_ROW = RowMapping(
    Alarm,
    alarms,
    acknowledged_by=shown_name(alarms.c.acknowledged_by),
    closed_by=shown_name(alarms.c.closed_by),
)
_STORED = RowMapping(Alarm, alarms)
_IS_OPEN_ONE = and_(
    NOT_CLOSED, alarms.c.kind == bindparam("kind"), alarms.c.subject == bindparam("subject")
)
_NUMBERED = alarms.c.sequence == bindparam("sequence")
_CLOSED: dict[str, BindParameter[object]] = {
    "closed_by": bindparam("by"),
    "closed_ms": bindparam("now_ms"),
}
_KINDS = OneOf(alarms.c.kind, AlarmKind, "kind")
_NEWEST_FIRST = (
    _ROW.select()
    .where(
        alarms.c.sequence < bindparam("before"),
        _KINDS.condition,
        or_(bindparam("machine") == constant(""), alarms.c.machine == bindparam("machine")),
    )
    .order_by(alarms.c.sequence.desc())
    .limit(bindparam("limit"))
    .offset(NOTHING)
)
_ACKNOWLEDGED = alarms.c.acknowledged_ms.is_not(None)
_IN_STATE = {
    AlarmState.OPEN: and_(NOT_CLOSED, ~_ACKNOWLEDGED),
    AlarmState.ACKNOWLEDGED: and_(NOT_CLOSED, _ACKNOWLEDGED),
    AlarmState.CLOSED: alarms.c.closed_ms.is_not(None),
}

_ADD = Statement(_STORED.insert().returning(*_STORED.columns))
_REPEAT = Statement(
    update(alarms)
    .where(_IS_OPEN_ONE)
    .values(
        last_ms=bindparam("last_ms"),
        count=alarms.c.count + bindparam("count"),
        facts=bindparam("facts"),
    )
    .returning(*_STORED.columns)
)
_GET = Statement(_ROW.select().where(_NUMBERED))
_GET_OPEN = Statement(_ROW.select().where(_IS_OPEN_ONE))
_ACKNOWLEDGE = Statement(
    update(alarms)
    .where(_NUMBERED)
    .values(acknowledged_by=bindparam("by"), acknowledged_ms=bindparam("now_ms"))
    .returning(*_STORED.columns)
)
_CLOSE = Statement(update(alarms).where(_NUMBERED).values(_CLOSED).returning(*_STORED.columns))
_CLOSE_OPEN = Statement(
    update(alarms).where(_IS_OPEN_ONE).values(_CLOSED).returning(*_STORED.columns)
)
_LIST = Statement(_NEWEST_FIRST)
_LIST_NOT_CLOSED = Statement(_NEWEST_FIRST.where(NOT_CLOSED))
_LIST_IN = {
    state: Statement(_NEWEST_FIRST.where(condition)) for state, condition in _IN_STATE.items()
}


class AlarmTable:
    """Alarms, in one unit of work.

    Args:
        executor: Runs its statements.
        notes: Where changes are noted.
    """

    __slots__ = ("_executor", "_notes")

    def __init__(self, executor: Executor, notes: EventNotes) -> None:
        self._executor = executor
        self._notes = notes

    def add(self, alarm: Alarm, *, counts: bool = True) -> None:
        """Adds to the open alarm of that kind and subject, or opens the alarm.

        Args:
            alarm: The alarm; its facts and its last time replace those of the open one.
            counts: Whether its count is added to that of the open one.
        """
        parameters = _STORED.parameters(alarm)
        repeated = parameters if counts else {**parameters, "count": 0}
        if self._change(_REPEAT, **repeated) is None:
            opened = self._change(_ADD, **parameters)
            self._tell(News.OPENED, opened, alarm.opened_ms)

    def get(self, sequence: int) -> Alarm | None:
        """One alarm."""
        return _ROW.read_one(self._executor.one(_GET, sequence=sequence))

    def open_one(self, kind: AlarmKind, subject: str) -> Alarm | None:
        """The alarm of that kind and subject that is not closed."""
        return _ROW.read_one(self._executor.one(_GET_OPEN, kind=kind.value, subject=subject))

    def acknowledge(self, sequence: int, by: str, now_ms: int) -> None:
        """Stores who examines it."""
        self._change(_ACKNOWLEDGE, sequence=sequence, by=by, now_ms=now_ms)

    def close(self, sequence: int, by: str, now_ms: int) -> None:
        """Closes it."""
        closed = self._change(_CLOSE, sequence=sequence, by=by, now_ms=now_ms)
        self._tell(News.CLOSED, closed, now_ms)

    def close_open(self, kind: AlarmKind, subject: str, by: str, now_ms: int) -> None:
        """Closes the alarm of that kind and subject, if one is open."""
        closed = self._change(_CLOSE_OPEN, kind=kind.value, subject=subject, by=by, now_ms=now_ms)
        self._tell(News.CLOSED, closed, now_ms)

    def list(
        self,
        states: Iterable[AlarmState] = (),
        *,
        kinds: Iterable[AlarmKind] = (),
        machine: str | None = None,
        before: int | None = None,
        limit: int,
    ) -> Sequence[Alarm]:
        """Up to `limit` alarms with a sequence below `before`, the newest first.

        Args:
            states: In these states; empty for all that are not closed.
            kinds: Of these kinds; empty for all kinds.
            machine: Of that machine; None for all machines.
            before: Exclusive upper limit of the sequence; None for no limit.
            limit: Most alarms.
        """
        parameters = _KINDS.parameters(kinds) | {
            "before": SEQUENCE_MAX if before is None else before,
            "machine": machine or "",
            "limit": limit,
        }
        found = [
            _ROW.read(row)
            for statement in _statements(frozenset(states))
            for row in self._executor.all(statement, **parameters)
        ]
        found.sort(key=lambda alarm: -alarm.sequence)
        return found[:limit]

    def _change(self, statement: Statement, **parameters: object) -> Alarm | None:
        """Runs a statement that changes one alarm or none; returns the changed one."""
        changed = _STORED.read_one(self._executor.one(statement, **parameters))
        if changed is not None:
            self._notes.note(EventKind.ALARM, changed)
        return changed

    def _tell(self, news: News, alarm: Alarm | None, at_ms: int) -> None:
        """Adds the notification of a change; None: nothing has changed."""
        if alarm is not None:
            told = Notification(news, alarm.sequence, at_ms)
            self._executor.run(notifications.ADD, **notifications.parameters(told))


def _statements(states: frozenset[AlarmState]) -> Sequence[Statement]:
    if states == frozenset(AlarmState):
        return [_LIST]
    if not states or states == {AlarmState.OPEN, AlarmState.ACKNOWLEDGED}:
        return [_LIST_NOT_CLOSED]
    return [_LIST_IN[state] for state in sorted(states)]
