"""Drops. Their rows are also the machines' queues."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Select, bindparam, case, exists, func, select, tuple_, update
from sqlalchemy.sql.elements import BindParameter, ColumnElement

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import MS_MIN, Drop, DropSelection
from drink_frontend.domain.events import EventKind
from drink_frontend.storage.accounts import shown_name
from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.rows import RowMapping
from drink_frontend.storage.statements import (
    NOTHING,
    SEQUENCE_MAX,
    Executor,
    OneOf,
    Statement,
    constant,
)
from drink_frontend.storage.tables import DROP_MOVES, IS_LISTED, IS_OPEN, drops, refunds

_REFUNDED = func.coalesce(
    select(refunds.c.amount).where(refunds.c.drop_id == drops.c.id).scalar_subquery(), constant(0)
)
_NAMES = {"buyer": shown_name(drops.c.account), "decider": shown_name(drops.c.decided_by)}
_DROP_ROW = RowMapping(Drop, drops, refunded=_REFUNDED, **_NAMES)
_DROP = _DROP_ROW.select()
# Only settled drops are refunded, so that a drop in the queue needs no look at the refunds.
_OPEN_DROP = RowMapping(Drop, drops, refunded=constant(0), **_NAMES).select()
_BUSY = drops.alias("busy")
_BEFORE = drops.c.sequence < bindparam("before")
_STATES = OneOf(drops.c.state, State, "state")

_ANSWERED_IN_TIME = (Cause.BOARD_ACK, Cause.SENSOR, Cause.DECLARED)

_GET = Statement(_DROP.where(drops.c.id == bindparam("id")))
_BY_REQUEST = Statement(
    _DROP.where(
        drops.c.account == bindparam("account"), drops.c.request_id == bindparam("request_id")
    )
)
_ADD = Statement(_DROP_ROW.insert().returning(drops.c.sequence))
_MOVE = Statement(
    update(drops)
    .where(drops.c.id == bindparam("moved"), drops.c.state == bindparam("source"))
    .values({name: bindparam(name) for name in DROP_MOVES})
)
_HIGHEST_REVISION = case(
    (bindparam("revision") > drops.c.revision, bindparam("revision")), else_=drops.c.revision
)
_SAW_REVISION = Statement(
    update(drops).where(drops.c.id == bindparam("id")).values(revision=_HIGHEST_REVISION)
)
_NEXT_RESERVED = Statement(
    _OPEN_DROP.where(
        IS_OPEN,
        drops.c.state == constant(State.RESERVED),
        drops.c.machine == bindparam("machine"),
        ~exists().where(
            _BUSY.c.machine == bindparam("machine"), _BUSY.c.state == constant(State.DISPATCHED)
        ),
    )
    .order_by(drops.c.sequence)
    .limit(constant(1))
    .offset(NOTHING)
    # Skip rows locked by another transaction. Compiled for PostgreSQL only: SQLite has one writer.
    .with_for_update(skip_locked=True)
)
_READY_MACHINES = Statement(
    select(drops.c.machine)
    .distinct()
    .where(
        IS_OPEN,
        drops.c.state == constant(State.RESERVED),
        ~exists().where(
            _BUSY.c.machine == drops.c.machine, _BUSY.c.state == constant(State.DISPATCHED)
        ),
    )
    .order_by(drops.c.machine)
)
_SCHEDULED = Statement(
    select(func.count()).where(
        IS_OPEN,
        drops.c.state == constant(State.SCHEDULED),
        drops.c.machine == bindparam("machine"),
    )
)
_IN_STATE = Statement(
    _OPEN_DROP.where(IS_OPEN, drops.c.state == bindparam("state")).order_by(drops.c.sequence)
)
_IN_STATE_AT = Statement(
    _OPEN_DROP.where(
        IS_OPEN, drops.c.state == bindparam("state"), drops.c.machine == bindparam("machine")
    ).order_by(drops.c.sequence)
)
_DUE = Statement(
    _OPEN_DROP.where(
        drops.c.state == constant(State.SCHEDULED), drops.c.not_before_ms <= bindparam("now_ms")
    ).order_by(drops.c.not_before_ms, drops.c.sequence)
)
_NEXT_DUE = Statement(
    select(func.min(drops.c.not_before_ms)).where(drops.c.state == constant(State.SCHEDULED))
)
_LIMIT: BindParameter[int] = bindparam("limit")
_FILTERS: dict[str, ColumnElement[bool]] = {
    name: drops.c[name] == bindparam(name) for name in ("machine", "slot", "item")
}
_FILTERED = tuple(
    names
    for place in ((), ("machine",), ("machine", "slot"))
    for names in (place, (*place, "item"))
)
"""The filters that can come together."""
_IN_TIME = (
    drops.c.created_ms >= bindparam("from_ms"),
    drops.c.created_ms < bindparam("before_ms"),
)
# The order of the indexes by time; a page begins after the last drop of the one before.
_TIME = tuple_(drops.c.created_ms, drops.c.sequence)
_UP_TO = tuple_(bindparam("upper_ms"), bindparam("upper"))


def _page(selected: Select[Any], names: Iterable[str], *order: ColumnElement[Any]) -> Statement:
    """A page of the drops that pass the filters of these names."""
    filters = [_FILTERS[name] for name in names]
    return Statement(
        selected.where(_STATES.condition, *filters)
        .order_by(*(column.desc() for column in order))
        .limit(_LIMIT)
        .offset(NOTHING)
    )


_LIST = _page(_DROP.where(_BEFORE), (), drops.c.sequence)
_LIST_OF = {
    names: _page(
        _DROP.where(_BEFORE, drops.c.account == bindparam("account"), *_IN_TIME),
        names,
        drops.c.sequence,
    )
    for names in _FILTERED
}
_LIST_OPEN = {
    names: _page(_OPEN_DROP.where(_BEFORE, IS_OPEN, *_IN_TIME), names, drops.c.sequence)
    for names in _FILTERED
}
_LIST_BY_TIME = {
    names: _page(
        _DROP.where(IS_LISTED, drops.c.created_ms >= bindparam("from_ms"), _TIME < _UP_TO),
        names,
        drops.c.created_ms,
        drops.c.sequence,
    )
    for names in _FILTERED
}
_CREATED = Statement(
    select(drops.c.created_ms)
    .where(drops.c.sequence <= bindparam("sequence"))
    .order_by(drops.c.sequence.desc())
    .limit(constant(1))
    .offset(NOTHING)
)


_FROM = Statement(
    _DROP.where(drops.c.sequence > bindparam("sequence"))
    .order_by(drops.c.sequence)
    .limit(_LIMIT)
    .offset(NOTHING)
)
_NEWEST = Statement(select(func.max(drops.c.sequence)))
_AHEAD = Statement(
    select(drops.c.dispatched_ms).where(
        IS_OPEN,
        drops.c.state.in_([constant(State.RESERVED), constant(State.DISPATCHED)]),
        drops.c.machine == bindparam("machine"),
        drops.c.sequence < bindparam("before"),
    )
)
_LAST_OF = Statement(
    select(drops.c.cause, drops.c.dispatched_ms, drops.c.settled_ms)
    .where(IS_LISTED, drops.c.machine == bindparam("machine"))
    .order_by(drops.c.created_ms.desc(), drops.c.sequence.desc())
    .limit(_LIMIT)
    .offset(NOTHING)
)


class DropTable:
    """Drops, in one unit of work. The row of a drop is also its place in its machine's queue.

    Args:
        executor: Runs its statements.
        touched: Collects the changed drops.
    """

    __slots__ = ("_executor", "_touched")

    def __init__(self, executor: Executor, touched: ChangeSet) -> None:
        self._executor = executor
        self._touched = touched

    def get(self, drop_id: str) -> Drop | None:
        """One drop."""
        return _DROP_ROW.read_one(self._executor.one(_GET, id=drop_id))

    def by_request(self, account: str, request_id: str) -> Drop | None:
        """The drop of that request, if there is one."""
        return _DROP_ROW.read_one(
            self._executor.one(_BY_REQUEST, account=account, request_id=request_id)
        )

    def add(self, drop: Drop) -> Drop:
        """Stores a new drop, and returns it with its `sequence`, which the database counts."""
        row = self._executor.one(_ADD, **_DROP_ROW.parameters(drop))
        assert row is not None
        kept = self._touched.drops[drop.id] = replace(drop, sequence=row[0])
        self._touched.notes.note(EventKind.DROP, kept)
        return kept

    def move(
        self,
        drop: Drop,
        target: State,
        cause: Cause,
        now_ms: int,
        *,
        decided_by: str | None = None,
        epoch: int | None = None,
        journal_id: str | None = None,
        revision: int | None = None,
    ) -> Drop:
        """Changes the state and the fields that depend on it, and returns the changed drop.

        An AssertionError if the stored state is not that of `drop`, which was read in this unit.
        """
        waits_again = target is State.RESERVED
        dispatched_ms = now_ms if target is State.DISPATCHED else None
        settled_ms = now_ms if target.answered else None
        moved = replace(
            drop,
            state=target,
            cause=cause,
            decided_by=decided_by or drop.decided_by,
            epoch=None if waits_again else epoch or drop.epoch,
            journal_id=None if waits_again else journal_id or drop.journal_id,
            revision=max(revision or 0, drop.revision),
            dispatched_ms=None if waits_again else drop.dispatched_ms or dispatched_ms,
            settled_ms=drop.settled_ms or settled_ms,
        )
        changed = self._executor.run(
            _MOVE, moved=drop.id, source=drop.state.value, **_DROP_ROW.parameters(moved)
        )
        assert changed == 1, f"the drop is not {drop.state}"
        if waits_again:
            # The machine's queue has one more drop to dispatch.
            self._touched.machines.add(moved.machine)
        if decided_by is not None:
            # With the name of who decided it.
            moved = _DROP_ROW.read_one(self._executor.one(_GET, id=drop.id)) or moved
        self._touched.drops[drop.id] = moved
        self._touched.notes.note(EventKind.DROP, moved)
        return moved

    def saw_revision(self, drop_id: str, revision: int) -> None:
        """Raises the highest revision seen of the agent's result."""
        # Not added to the change set: no client is shown this number.
        changed = self._executor.run(_SAW_REVISION, id=drop_id, revision=revision)
        assert changed == 1, "no such drop"

    def next_reserved(self, machine: str) -> Drop | None:
        """The machine's oldest RESERVED drop, for a unit of work that moves it.

        None while another drop of the machine is DISPATCHED.
        """
        return _DROP_ROW.read_one(self._executor.one(_NEXT_RESERVED, machine=machine))

    def ahead(self, drop: Drop) -> Sequence[int | None]:
        """The drops that its machine has still to carry out before it.

        Returns:
            When each of them was dispatched; None for one that waits.
        """
        rows = self._executor.all(_AHEAD, machine=drop.machine, before=drop.sequence)
        return [row[0] for row in rows]

    def motor_times_ms(self, machine: str, limit: int) -> Sequence[int]:
        """Milliseconds from dispatch to the answer, of the machine's last drops that have one.

        Answers that came late, and drops that were not dispensed, say nothing of the motor.

        Args:
            machine: Its name.
            limit: How many drops are looked at, whatever became of them.
        """
        rows = self._executor.all(_LAST_OF, machine=machine, limit=limit)
        return [
            settled_ms - dispatched_ms
            for cause, dispatched_ms, settled_ms in rows
            if cause in _ANSWERED_IN_TIME and dispatched_ms is not None
        ]

    def ready_machines(self) -> Sequence[str]:
        """Names of machines that have a RESERVED drop and no DISPATCHED one."""
        return [row[0] for row in self._executor.all(_READY_MACHINES)]

    def scheduled(self, machine: str) -> int:
        """Number of the machine's SCHEDULED drops."""
        row = self._executor.one(_SCHEDULED, machine=machine)
        assert row is not None
        return int(row[0])

    def in_state(self, state: State, machine: str | None = None) -> Sequence[Drop]:
        """Drops in a state that is not final, oldest first, of one machine or of all."""
        assert not state.final, "settled drops are not indexed by state"
        if machine is None:
            rows = self._executor.all(_IN_STATE, state=state.value)
        else:
            rows = self._executor.all(_IN_STATE_AT, state=state.value, machine=machine)
        return [_DROP_ROW.read(row) for row in rows]

    def due(self, now_ms: int) -> Sequence[Drop]:
        """SCHEDULED drops whose time has come, oldest first."""
        return [_DROP_ROW.read(row) for row in self._executor.all(_DUE, now_ms=now_ms)]

    def next_due_ms(self) -> int | None:
        """When the next SCHEDULED drop is due; None if there is none."""
        row = self._executor.one(_NEXT_DUE)
        return None if row is None else row[0]

    def after(self, sequence: int, limit: int) -> Sequence[Drop]:
        """The first `limit` drops after a sequence, in the order of their reservation."""
        return [
            _DROP_ROW.read(row) for row in self._executor.all(_FROM, sequence=sequence, limit=limit)
        ]

    def newest_sequence(self) -> int:
        """The sequence of the drop that was reserved last; 0 if there is none."""
        row = self._executor.one(_NEWEST)
        return 0 if row is None else row[0] or 0

    def list(self, selection: DropSelection, before: int | None, limit: int) -> Sequence[Drop]:
        """Up to `limit` selected drops, newest first.

        All drops, those of a buyer and open ones are in the order of their reservation; others that
        are selected by place, item or time are in the order of their `created_ms`, which differs
        where the clock was set back.

        Args:
            selection: Which drops.
            before: Sequence of the last drop of the page before; None for the first page.
            limit: Most drops.
        """
        parameters = _STATES.parameters(selection.states)
        parameters |= {"before": SEQUENCE_MAX if before is None else before, "limit": limit}
        parameters |= {"from_ms": selection.from_ms, "before_ms": selection.before_ms}
        names = tuple(name for name in _FILTERS if getattr(selection, name) is not None)
        parameters |= {name: getattr(selection, name) for name in names}
        if selection.account is not None:
            statement = _LIST_OF[names]
            parameters["account"] = selection.account
        elif selection.states and not any(state.final for state in selection.states):
            statement = _LIST_OPEN[names]
        elif selection == DropSelection(states=selection.states):
            statement = _LIST
        else:
            statement = _LIST_BY_TIME[names]
            parameters |= self._upper(selection.before_ms, before)
        return [_DROP_ROW.read(row) for row in self._executor.all(statement, **parameters)]

    def _upper(self, before_ms: int, before: int | None) -> dict[str, object]:
        """Where a page by time begins, exclusive: at the end of the time, or after a drop."""
        if before is not None:
            row = self._executor.one(_CREATED, sequence=before)
            created_ms = MS_MIN if row is None else row[0]
            if created_ms < before_ms:
                return {"upper_ms": created_ms, "upper": before}
        return {"upper_ms": before_ms, "upper": 0}
