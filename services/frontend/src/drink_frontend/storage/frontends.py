"""The frontends that serve on the database."""

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, insert, select, update

from drink_frontend.domain.entities import FrontendInstance
from drink_frontend.storage.statements import Executor, Statement, constant
from drink_frontend.storage.tables import frontends

_NAMED = frontends.c.id == bindparam("id")
_LIST = Statement(
    select(
        frontends.c.id,
        frontends.c.name,
        frontends.c.version,
        frontends.c.started_ms,
        frontends.c.beats,
    ).order_by(frontends.c.started_ms, frontends.c.id)
)
_ADD = Statement(
    insert(frontends)
    .inline()
    .values(
        id=bindparam("id"),
        name=bindparam("name"),
        version=bindparam("version"),
        started_ms=bindparam("started_ms"),
        beats=constant(1),
    )
)
_BEAT = Statement(update(frontends).where(_NAMED).values(beats=frontends.c.beats + constant(1)))
_REMOVE = Statement(delete(frontends).where(_NAMED, frontends.c.beats == bindparam("beats")))


class FrontendTable:
    """The frontends that serve on this database, in one unit of work.

    Args:
        executor: Runs its statements.
    """

    __slots__ = ("_executor",)

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def list(self) -> Sequence[FrontendInstance]:
        """All of them, the one that started first first."""
        return [FrontendInstance(*row) for row in self._executor.all(_LIST)]

    def beat(self, peer: FrontendInstance) -> None:
        """Counts the beats of a frontend up; makes it known if it is not."""
        if not self._executor.run(_BEAT, id=peer.id):
            self._executor.run(
                _ADD,
                id=peer.id,
                name=peer.name,
                version=peer.version,
                started_ms=peer.started_ms,
            )

    def remove(self, peer: FrontendInstance) -> bool:
        """Forgets a frontend, unless it has beaten since `peer` was read; whether it did."""
        return self._executor.run(_REMOVE, id=peer.id, beats=peer.beats) == 1
