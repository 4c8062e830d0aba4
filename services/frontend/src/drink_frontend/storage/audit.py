"""The audit log. Records of some kinds raise alarms."""

from collections.abc import Iterable, Sequence
from heapq import merge
from itertools import islice

from sqlalchemy import bindparam

from drink_frontend.domain.alarms import RAISED_BY, drop_subject, machine_subject, raised_by
from drink_frontend.domain.entities import AuditKind, AuditRecord
from drink_frontend.domain.events import (
    RECORDED_KINDS,
    EventKind,
    EventNotes,
    account_subject,
    item_subject,
)
from drink_frontend.storage.alarms import AlarmTable
from drink_frontend.storage.identity_map import IdentityMap
from drink_frontend.storage.mappings import shown_name
from drink_frontend.storage.rows import RowMapping
from drink_frontend.storage.statements import NOTHING, SEQUENCE_MAX, Statement
from drink_frontend.storage.tables import audit

_SHOWN = RowMapping(
    AuditRecord, audit, actor=shown_name(audit.c.actor), account=shown_name(audit.c.account)
)
_RECORD = (
    _SHOWN.select()
    .where(audit.c.sequence < bindparam("before"))
    .order_by(audit.c.sequence.desc())
    .limit(bindparam("limit"))
    .offset(NOTHING)
)
_OF_DROP = _RECORD.where(audit.c.drop_id == bindparam("drop_id"))
_IS_KIND = audit.c.kind == bindparam("kind")

_LIST = Statement(_RECORD)
_LIST_KIND = Statement(_RECORD.where(_IS_KIND))
_LIST_DROP = Statement(_OF_DROP)
_LIST_DROP_KIND = Statement(_OF_DROP.where(_IS_KIND))


class AuditTable:
    """The audit log, in one unit of work. Records are only ever added.

    Args:
        rows: The rows of the transaction.
        alarms: Where records of some kinds raise alarms.
        notes: Where their actors are noted.
    """

    __slots__ = ("_alarms", "_executor", "_notes", "_rows")

    def __init__(self, rows: IdentityMap, alarms: AlarmTable, notes: EventNotes) -> None:
        self._rows = rows
        self._executor = rows.direct
        self._alarms = alarms
        self._notes = notes

    def add(self, record: AuditRecord) -> None:
        """Stores a record, and the alarm that it raises."""
        self._rows.add_record(record)
        self._note(record)
        if record.kind in RAISED_BY:
            alarm = raised_by(record)
            assert alarm is not None
            self._alarms.add(alarm)

    def _note(self, record: AuditRecord) -> None:
        if record.kind in RECORDED_KINDS and record.drop_id is not None:
            self._notes.note(EventKind.DROP_RECORD, record)
        if record.drop_id is not None:
            self._notes.acted(record.actor, drop_subject(record.drop_id))
        if record.account is not None:
            self._notes.acted(record.actor, account_subject(record.account))
        if record.machine is not None:
            self._notes.acted(record.actor, machine_subject(record.machine))
        if record.kind is AuditKind.ITEM_CHANGED:
            self._notes.acted(record.actor, item_subject(record.facts["item_number"]))

    def list(
        self,
        *,
        drop_id: str | None = None,
        kinds: Iterable[AuditKind] = (),
        before: int | None = None,
        limit: int,
    ) -> Sequence[AuditRecord]:
        """Up to `limit` matching records with a sequence below `before`, newest first."""
        parameters: dict[str, object] = {
            "before": SEQUENCE_MAX if before is None else before,
            "limit": limit,
        }
        if drop_id is not None:
            parameters["drop_id"] = drop_id
        everything, one_kind = (
            (_LIST, _LIST_KIND) if drop_id is None else (_LIST_DROP, _LIST_DROP_KIND)
        )
        wanted = set(kinds)
        if not wanted:
            return [_SHOWN.read(row) for row in self._executor.all(everything, **parameters)]
        # One query for each kind, so that each uses the index even if the kind is rare.
        by_kind = [self._executor.all(one_kind, kind=kind.value, **parameters) for kind in wanted]
        newest_first = merge(*by_kind, key=lambda row: -int(row[-1]))
        return [_SHOWN.read(row) for row in islice(newest_first, limit)]
