"""The audit log."""

import json
from collections.abc import Iterable, Sequence
from heapq import merge
from itertools import islice

from sqlalchemy import bindparam, insert, select

from drink_frontend.domain.entities import AuditKind, AuditRecord
from drink_frontend.storage.statements import NOTHING, SEQUENCE_MAX, Executor, Row, Statement
from drink_frontend.storage.tables import audit

_RECORD = (
    select(
        audit.c.kind,
        audit.c.at_ms,
        audit.c.actor,
        audit.c.drop_id,
        audit.c.machine,
        audit.c.account,
        audit.c.facts,
        audit.c.sequence,
    )
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
_ADD = Statement(
    insert(audit)
    .inline()
    .values(
        kind=bindparam("kind"),
        at_ms=bindparam("at_ms"),
        actor=bindparam("actor"),
        drop_id=bindparam("drop_id"),
        machine=bindparam("machine"),
        account=bindparam("account"),
        facts=bindparam("facts"),
    )
)
_ENCODE = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class AuditTable:
    """The audit log, in one unit of work. Records are only ever added.

    Args:
        executor: Runs its statements.
    """

    __slots__ = ("_executor",)

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def add(self, record: AuditRecord) -> None:
        """Writes a record."""
        self._executor.run(
            _ADD,
            kind=record.kind.value,
            at_ms=record.at_ms,
            actor=record.actor,
            drop_id=record.drop_id,
            machine=record.machine,
            account=record.account,
            facts=_ENCODE(record.facts),
        )

    def list(
        self,
        *,
        drop_id: str | None = None,
        kinds: Iterable[AuditKind] = (),
        before: int | None = None,
        limit: int,
    ) -> Sequence[AuditRecord]:
        """Up to `limit` records that match, newest first."""
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
            return [_read(row) for row in self._executor.all(everything, **parameters)]
        # One query per kind, so that each follows its index however rare the kind is.
        by_kind = [self._executor.all(one_kind, kind=kind.value, **parameters) for kind in wanted]
        newest_first = merge(*by_kind, key=lambda row: -int(row[-1]))
        return [_read(row) for row in islice(newest_first, limit)]


def _read(row: Row) -> AuditRecord:
    kind, at_ms, actor, drop_id, machine, account, facts, sequence = row
    return AuditRecord(
        kind=AuditKind(kind),
        at_ms=at_ms,
        actor=actor,
        drop_id=drop_id,
        machine=machine,
        account=account,
        facts=json.loads(facts),
        sequence=sequence,
    )
