"""Refunds of paid drops."""

from sqlalchemy import bindparam

from drink_frontend.domain.entities import Drop, Refund
from drink_frontend.domain.events import EventKind
from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.rows import RowMapping
from drink_frontend.storage.statements import Executor, Statement
from drink_frontend.storage.tables import refunds

_REFUND = RowMapping(Refund, refunds)
_GET = Statement(_REFUND.select().where(refunds.c.drop_id == bindparam("drop_id")))
_ADD = Statement(_REFUND.insert())


class RefundTable:
    """Refunds, in one unit of work. They are only ever added.

    Args:
        executor: Runs its statements.
        touched: Collects the changed drops.
    """

    __slots__ = ("_executor", "_touched")

    def __init__(self, executor: Executor, touched: ChangeSet) -> None:
        self._executor = executor
        self._touched = touched

    def get(self, drop_id: str) -> Refund | None:
        """The refund of a drop, if there is one."""
        return _REFUND.read_one(self._executor.one(_GET, drop_id=drop_id))

    def add(self, refund: Refund, refunded: Drop) -> None:
        """Stores the refund of a drop, before its transfer.

        Args:
            refund: The refund.
            refunded: The drop as it is shown after it.
        """
        self._executor.run(_ADD, **_REFUND.parameters(refund))
        self._touched.drops[refunded.id] = refunded
        self._touched.notes.note(EventKind.DROP, refunded)
