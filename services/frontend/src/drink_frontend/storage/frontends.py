"""The frontends that serve on the database."""

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, update

from drink_frontend.domain.frontends import FrontendInstance
from drink_frontend.storage.rows import RowMapping
from drink_frontend.storage.statements import Executor, Statement, constant
from drink_frontend.storage.tables import frontends

_FRONTEND = RowMapping(FrontendInstance, frontends)
_FRONTEND_NAMED = frontends.c.id == bindparam("id")
_LIST_FRONTENDS = Statement(_FRONTEND.select().order_by(frontends.c.started_ms, frontends.c.id))
_ADD_FRONTEND = Statement(_FRONTEND.insert(beats=constant(1)))
_BEAT = Statement(
    update(frontends).where(_FRONTEND_NAMED).values(beats=frontends.c.beats + constant(1))
)
_REMOVE_FRONTEND = Statement(
    delete(frontends).where(_FRONTEND_NAMED, frontends.c.beats == bindparam("beats"))
)


class FrontendTable:
    """The frontends that serve on this database, in one unit of work.

    Args:
        executor: Runs its statements.
    """

    __slots__ = ("_executor",)

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def list(self) -> Sequence[FrontendInstance]:
        """All of them, in the order of their starts."""
        return [_FRONTEND.read(row) for row in self._executor.all(_LIST_FRONTENDS)]

    def leads(self, frontend_id: str) -> bool:
        """Whether that frontend is the one that started first."""
        first = next(iter(self.list()), None)
        return first is not None and first.id == frontend_id

    def beat(self, frontend: FrontendInstance) -> None:
        """Increments the heartbeats of a frontend; inserts it first if it is missing."""
        if not self._executor.run(_BEAT, id=frontend.id):
            self._executor.run(_ADD_FRONTEND, **_FRONTEND.parameters(frontend))

    def remove(self, frontend: FrontendInstance) -> bool:
        """Removes a frontend without a new heartbeat since `frontend` was read; whether it did."""
        removed = self._executor.run(_REMOVE_FRONTEND, id=frontend.id, beats=frontend.beats)
        return removed == 1
