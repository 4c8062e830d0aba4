"""The numbers of the house, for metrics."""

from collections import defaultdict
from dataclasses import replace

from sqlalchemy import bindparam, column, func, select, table

from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import Machine, Slot
from drink_frontend.domain.house import House, OpenDrops
from drink_frontend.storage.rows import RowMapping
from drink_frontend.storage.statements import NOTHING, Executor, Statement
from drink_frontend.storage.tables import IS_OPEN, drops, machines, slots

_MACHINE, _SLOT = RowMapping(Machine, machines), RowMapping(Slot, slots)
_MACHINES = Statement(
    _MACHINE.select().order_by(machines.c.name).limit(bindparam("limit")).offset(NOTHING)
)
_SLOTS = Statement(
    _SLOT.select()
    .where(slots.c.deleted_ms.is_(None), slots.c.machine <= bindparam("last"))
    .order_by(slots.c.machine, slots.c.number)
)
_COUNT = Statement(select(func.count()).select_from(machines))
_REVISION = Statement(select(column("version_num")).select_from(table("alembic_version")))
_OPEN = Statement(
    select(drops.c.state, func.count(), func.sum(drops.c.price), func.min(drops.c.created_ms))
    .where(IS_OPEN)
    .group_by(drops.c.state)
)


class HouseTable:
    """The numbers of the house, in one query.

    Args:
        executor: Runs its statements.
    """

    __slots__ = ("_executor",)

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def read(self, machines_max: int) -> House:
        """The house, with at most so many machines."""
        found = [_MACHINE.read(row) for row in self._executor.all(_MACHINES, limit=machines_max)]
        by_machine: defaultdict[str, list[Slot]] = defaultdict(list)
        if found:
            for row in self._executor.all(_SLOTS, last=found[-1].name):
                slot = _SLOT.read(row)
                by_machine[slot.machine].append(slot)
        ((total,),) = self._executor.all(_COUNT)
        ((revision,),) = self._executor.all(_REVISION)
        return House(
            [replace(machine, slots=tuple(by_machine[machine.name])) for machine in found],
            total,
            {
                State(state): OpenDrops(count, int(credits_), oldest_ms)
                for state, count, credits_, oldest_ms in self._executor.all(_OPEN)
            },
            revision,
        )
