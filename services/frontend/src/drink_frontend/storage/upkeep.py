"""When the books were checked last, and when a backup was made."""

from sqlalchemy import bindparam, update

from drink_frontend.domain.upkeep import Done, Task
from drink_frontend.storage.rows import RowMapping
from drink_frontend.storage.statements import Executor, Statement
from drink_frontend.storage.upkeep_tables import upkeep

_ROW = RowMapping(Done, upkeep)
_OF_TASK = upkeep.c.task == bindparam("task")
_LIST = Statement(_ROW.select().order_by(upkeep.c.task))
_ADD = Statement(_ROW.insert())
_CHANGE = Statement(
    update(upkeep)
    .where(_OF_TASK)
    .values({name: bindparam(name) for name in ("done_ms", "problems", "facts")})
)


class UpkeepTable:
    """What is done to the database at times, in one unit of work.

    Args:
        executor: Runs its statements.
    """

    __slots__ = ("_executor",)

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def all(self) -> dict[Task, Done]:
        """What was done last of each task; one that was never done is not there."""
        return {done.task: done for done in map(_ROW.read, self._executor.all(_LIST))}

    def keep(self, done: Done) -> None:
        """Stores what was done, in place of the time before."""
        parameters = _ROW.parameters(done)
        if not self._executor.run(_CHANGE, **parameters):
            self._executor.run(_ADD, **parameters)
