"""Counted alarms."""

import json
from collections.abc import Sequence

from sqlalchemy import bindparam, insert, select, update

from drink_frontend.domain.entities import Alarm, AlarmKind
from drink_frontend.storage.statements import Executor, Statement
from drink_frontend.storage.tables import alarms

_LIST = Statement(
    select(
        alarms.c.machine,
        alarms.c.kind,
        alarms.c.first_ms,
        alarms.c.last_ms,
        alarms.c.count,
        alarms.c.facts,
    ).order_by(alarms.c.last_ms.desc(), alarms.c.machine, alarms.c.kind)
)
_ADD = Statement(
    insert(alarms)
    .inline()
    .values(
        machine=bindparam("machine"),
        kind=bindparam("kind"),
        first_ms=bindparam("first_ms"),
        last_ms=bindparam("last_ms"),
        count=bindparam("count"),
        facts=bindparam("facts"),
    )
)
_REPEAT = Statement(
    update(alarms)
    .where(alarms.c.machine == bindparam("of_machine"), alarms.c.kind == bindparam("of_kind"))
    .values(
        last_ms=bindparam("last_ms"),
        count=alarms.c.count + bindparam("more"),
        facts=bindparam("facts"),
    )
)


class AlarmTable:
    """Counts of what happens too often to keep a record of each time, in one unit of work.

    Args:
        executor: Runs its statements.
    """

    __slots__ = ("_executor",)

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def add(self, alarm: Alarm) -> None:
        """Adds to the count of the machine's alarm of that kind, or makes the alarm."""
        machine, kind = alarm.machine, alarm.kind.value
        facts = json.dumps(alarm.facts, ensure_ascii=False, allow_nan=False)
        repeated = self._executor.run(
            _REPEAT,
            of_machine=machine,
            of_kind=kind,
            last_ms=alarm.last_ms,
            more=alarm.count,
            facts=facts,
        )
        if not repeated:
            self._executor.run(
                _ADD,
                machine=machine,
                kind=kind,
                first_ms=alarm.first_ms,
                last_ms=alarm.last_ms,
                count=alarm.count,
                facts=facts,
            )

    def list(self) -> Sequence[Alarm]:
        """All alarms, the one that happened last first."""
        return [
            Alarm(machine, AlarmKind(kind), first_ms, last_ms, count, json.loads(facts))
            for machine, kind, first_ms, last_ms, count, facts in self._executor.all(_LIST)
        ]
