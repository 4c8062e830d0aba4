"""Drops. Their rows are also the machines' queues."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Select, bindparam, case, exists, func, select, tuple_, update
from sqlalchemy.sql.elements import BindParameter, ColumnElement

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import MS_MIN, Drop, DropSelection
from drink_frontend.domain.events import EventKind
from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.identity_map import IdentityMap
from drink_frontend.storage.mappings import DROP, OPEN_DROP
from drink_frontend.storage.rows import evolved
from drink_frontend.storage.statements import (
    NOTHING,
    SEQUENCE_MAX,
    OneOf,
    Statement,
    constant,
)
from drink_frontend.storage.tables import IS_LISTED, IS_OPEN, drops

_DROP = DROP.select()
_OPEN_DROP = OPEN_DROP.select()
_BUSY = drops.alias("busy")
_BEFORE = drops.c.sequence < bindparam("before")
_STATES = OneOf(drops.c.state, State, "state")

_ANSWERED_IN_TIME = (Cause.BOARD_ACK, Cause.SENSOR, Cause.DECLARED)

_HIGHEST_REVISION = case(
    (bindparam("revision") > drops.c.revision, bindparam("revision")), else_=drops.c.revision
)
_SAW_REVISION = Statement(
    update(drops).where(drops.c.id == bindparam("id")).values(revision=_HIGHEST_REVISION)
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
        rows: The rows of the transaction.
        touched: Collects the changed drops.
    """

    __slots__ = ("_executor", "_rows", "_touched")

    def __init__(self, rows: IdentityMap, touched: ChangeSet) -> None:
        self._rows = rows
        self._executor = rows.direct
        self._touched = touched

    def get(self, drop_id: str) -> Drop | None:
        """One drop."""
        return self._rows.drop(drop_id)

    def by_request(self, account: str, request_id: str) -> Drop | None:
        """The drop of that request, if there is one."""
        return self._rows.drop_of(account, request_id)

    def add(self, drop: Drop) -> Drop:
        """Stores a new drop, and returns it with its `sequence`, which the database counts."""
        kept = self._touched.drops[drop.id] = self._rows.add_drop(drop)
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
        moved = evolved(
            drop,
            state=target,
            cause=cause,
            decided_by=decided_by or drop.decided_by,
            decider=drop.decider if decided_by is None else self._name_of(decided_by),
            epoch=None if waits_again else epoch or drop.epoch,
            journal_id=None if waits_again else journal_id or drop.journal_id,
            revision=max(revision or 0, drop.revision),
            dispatched_ms=None if waits_again else drop.dispatched_ms or dispatched_ms,
            settled_ms=drop.settled_ms or settled_ms,
        )
        self._rows.move_drop(drop, moved)
        if waits_again:
            # The machine's queue has one more drop to dispatch.
            self._touched.machines.add(moved.machine)
        self._touched.drops[drop.id] = moved
        self._touched.notes.note(EventKind.DROP, moved)
        return moved

    def _name_of(self, account_id: str) -> str:
        account = self._rows.account(account_id)
        return account_id if account is None else account.name

    def saw_revision(self, drop_id: str, revision: int) -> None:
        """Raises the highest revision seen of the agent's result."""
        # Not added to the change set: no client is shown this number.
        changed = self._executor.run(_SAW_REVISION, id=drop_id, revision=revision)
        assert changed == 1, "no such drop"

    def next_reserved(self, machine: str) -> Drop | None:
        """The machine's oldest RESERVED drop, for a unit of work that moves it.

        None while another drop of the machine is DISPATCHED.
        """
        queue = self._rows.queue(machine)
        if any(queued.state is State.DISPATCHED for queued in queue):
            return None
        return self._rows.next_reserved(machine)

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
        queue = self._rows.queue(machine)
        return sum(queued.state is State.SCHEDULED for queued in queue)

    def in_state(self, state: State, machine: str | None = None) -> Sequence[Drop]:
        """Drops in a state that is not final, oldest first, of one machine or of all."""
        assert not state.final, "settled drops are not indexed by state"
        if machine is None:
            rows = self._executor.all(_IN_STATE, state=state.value)
        else:
            rows = self._executor.all(_IN_STATE_AT, state=state.value, machine=machine)
        return [DROP.read(row) for row in rows]

    def due(self, now_ms: int) -> Sequence[Drop]:
        """SCHEDULED drops whose time has come, oldest first."""
        return [DROP.read(row) for row in self._executor.all(_DUE, now_ms=now_ms)]

    def next_due_ms(self) -> int | None:
        """When the next SCHEDULED drop is due; None if there is none."""
        row = self._executor.one(_NEXT_DUE)
        return None if row is None else row[0]

    def after(self, sequence: int, limit: int) -> Sequence[Drop]:
        """The first `limit` drops after a sequence, in the order of their reservation."""
        return [DROP.read(row) for row in self._executor.all(_FROM, sequence=sequence, limit=limit)]

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
        return [DROP.read(row) for row in self._executor.all(statement, **parameters)]

    def _upper(self, before_ms: int, before: int | None) -> dict[str, object]:
        """Where a page by time begins, exclusive: at the end of the time, or after a drop."""
        if before is not None:
            row = self._executor.one(_CREATED, sequence=before)
            created_ms = MS_MIN if row is None else row[0]
            if created_ms < before_ms:
                return {"upper_ms": created_ms, "upper": before}
        return {"upper_ms": before_ms, "upper": 0}
