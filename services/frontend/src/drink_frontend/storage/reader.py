"""The executor of queries: those that wait at the same time are answered from one snapshot."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import structlog
from sqlalchemy import select

from drink_frontend.domain.errors import DrinkError, StorageUnavailableError
from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.engine import DatabaseConnection, EndedEarlyError, Engine
from drink_frontend.storage.identity_map import IdentityMap
from drink_frontend.storage.statements import Statement, constant
from drink_frontend.storage.transaction import Transaction
from drink_frontend.storage.workers import Job, JobResult

log = structlog.get_logger(__name__)

_LOOK = Statement(select(constant(1)))


class Reader:
    """Carries out batches of queries on one connection.

    The snapshot is taken after its queries were queued, so that each query sees every commit that
    was reported to its caller.

    Args:
        engine: The database.
        limit_s: Seconds after which a query is interrupted.

    Attributes:
        able: Whether the last snapshot could be read. Set by the reader's thread, read by any.
    """

    def __init__(self, engine: Engine, limit_s: float) -> None:
        self._engine = engine
        self._connection: DatabaseConnection = engine.connect(read_only=True)
        self._limit_s = limit_s
        self.able = True

    def carry_out(self, jobs: Sequence[Job]) -> tuple[Sequence[JobResult], ChangeSet]:
        """Answers the queries from one snapshot."""
        try:
            self._connection.begin()
            if not jobs:
                self._connection.announce(_LOOK, is_last=True)
                self._connection.executor.all(_LOOK)
            results = [
                self._carry_out(job, is_last=number == len(jobs))
                for number, job in enumerate(jobs, 1)
            ]
            if self._connection.in_transaction:
                self._connection.rollback()
            self._found(able=True)
        except Exception as error:
            self._found(able=False)
            if self._engine.fault(error) is None:
                log.exception("snapshot_failed")
            result = self._failure(error)
            results = [result for _ in jobs]
        return results, ChangeSet()

    def idle(self) -> ChangeSet:
        """Reads without a query, to set `able`."""
        self.carry_out(())
        return ChangeSet()

    def _found(self, *, able: bool) -> None:
        if able != self.able:
            self.able = able
            log.warning("reader_able" if able else "reader_unable")

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def _carry_out(self, job: Job, *, is_last: bool) -> JobResult:
        if job.future.cancelled():
            return JobResult()
        self._connection.limit(self._limit_s)
        self._connection.announce(_kind(job.call), is_last=is_last)
        try:
            return JobResult(
                job.call(Transaction(IdentityMap(self._connection.executor), tokens_max=0))
            )
        except EndedEarlyError:
            self._connection.begin()
            return self._carry_out(job, is_last=False)
        except DrinkError as error:
            return JobResult(error=error)
        except BaseException as error:
            result = self._failure(error)
            # After an error PostgreSQL answers no further query of the transaction.
            if self._connection.in_transaction:
                self._connection.rollback()
            self._connection.begin()
            return result

    def _failure(self, error: BaseException) -> JobResult:
        if self._engine.fault(error) is not None:
            log.warning("query_refused", error=str(error))
            return JobResult(error=StorageUnavailableError("the database does not answer"))
        return JobResult(error=error)


def _kind(call: Callable[..., Any]) -> object:
    """The same for all queries that one place in the program makes."""
    while isinstance(call, partial):
        call = call.func
    return getattr(call, "__code__", type(call))
