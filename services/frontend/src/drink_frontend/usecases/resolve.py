"""A named operator decides what became of a drop that nobody could tell of."""

import structlog

from drink_frontend.domain.drop import Cause, DropEvent, Verdict
from drink_frontend.domain.entities import Drop
from drink_frontend.domain.errors import (
    DropNotFoundError,
    DropNotUnknownError,
    FieldInvalidError,
)
from drink_frontend.domain.limits import check_text
from drink_frontend.domain.ports import Clock
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.advance import advance

log = structlog.get_logger(__name__)


class Resolution:
    """Decisions of operators.

    Args:
        storage: What is kept.
        clock: Time.
    """

    def __init__(self, storage: Database, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def decide(self, operator: str, drop_id: str, *, dispensed: bool, why: str) -> Drop:
        """Settles an UNKNOWN drop as a person decided; evidence that comes later is only raised.

        Args:
            operator: Who decides.
            drop_id: The drop.
            dispensed: Whether the item fell, so that its buyer pays.
            why: The operator's reason, kept in the audit log.

        Raises:
            FieldInvalidError: no reason is given.
            DropNotFoundError: there is no such drop.
            DropNotUnknownError: its outcome is known, or may still come.
        """
        if not check_text(why, "why").strip():
            raise FieldInvalidError("why", "must say why")
        now_ms = self._clock.now_ms()
        event = DropEvent.DECIDE_DISPENSED if dispensed else DropEvent.DECIDE_NOT_DISPENSED

        def decide(tx: Transaction) -> Drop:
            drop = tx.drops.get(drop_id)
            if drop is None:
                raise DropNotFoundError("no such drop")
            answer = advance(
                tx,
                drop,
                event,
                Cause.OPERATOR,
                actor=operator,
                now_ms=now_ms,
                facts={"why": why},
            )
            if answer.verdict is not Verdict.MOVED:
                raise DropNotUnknownError(f"the drop is {drop.state}")
            return answer.drop

        drop = await self._storage.write(decide)
        log.info("drop_decided", drop_id=drop_id, operator=operator, state=drop.state)
        return drop
