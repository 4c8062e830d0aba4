"""Group commit: units of work that wait at the same time go to disk in one commit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from drink_frontend.domain.errors import StorageUnavailableError
from drink_frontend.storage.changes import Touched
from drink_frontend.storage.engine import Connection, Engine, Fault
from drink_frontend.storage.transaction import SqlTransaction
from drink_frontend.storage.workers import Job, Outcome

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Stats:
    """Counts since the database was opened. The writer's thread counts, anyone may read.

    Attributes:
        units: Units of work that were carried out, the undone ones included.
        commits: Commits that succeeded; each syncs the disk once.
        failed_commits: Batches that were refused as a whole.
    """

    units: int = 0
    commits: int = 0
    failed_commits: int = 0


class _BatchLostError(Exception):
    """The engine undid the whole transaction because of one unit's error."""


class Writer:
    """The one that writes. See `Crew`.

    A batch is one transaction and each unit a savepoint in it: a unit that raises is undone alone.
    No caller is answered before the commit, since what a unit saw may be another one's work that
    is not durable yet. After an error that leaves the database in doubt the writer refuses
    everything for good.

    Args:
        engine: The database.
        tokens_max: Bearer tokens that one account may have.
        broken: Told, on the writer's thread, the error after which nothing is written any more.
    """

    def __init__(
        self, engine: Engine, tokens_max: int, broken: Callable[[BaseException], None]
    ) -> None:
        self._engine = engine
        self._connection: Connection = engine.connect(read_only=False)
        self._tokens_max = tokens_max
        self._broken = broken
        self._is_broken = False
        self.stats = Stats()

    def carry_out(self, jobs: Sequence[Job]) -> tuple[Sequence[Outcome], Touched]:
        """See `Crew`."""
        if self._is_broken:
            return _refusals(jobs), Touched()
        touched = Touched()
        try:
            self._connection.begin()
            touched.elsewhere = self._connection.changed_elsewhere()
            outcomes = [self._carry_out(job, touched) for job in jobs]
            self._connection.commit()
        except Exception as error:
            self._recover(error)
            return _refusals(jobs), Touched(elsewhere=touched.elsewhere)
        self.stats.commits += 1
        self.stats.units += len(jobs)
        return outcomes, touched

    def idle(self) -> Touched:
        """See `Crew`."""
        touched = Touched()
        if not self._is_broken:
            try:
                touched.elsewhere = self._connection.changed_elsewhere()
            except Exception as error:
                self._recover(error)
        return touched

    def close(self) -> None:
        """See `Crew`."""
        self._connection.close()

    def _carry_out(self, job: Job, touched: Touched) -> Outcome:
        transaction = SqlTransaction(self._connection.executor, self._tokens_max)
        self._connection.savepoint()
        try:
            value = job.call(transaction)
        except BaseException as error:
            if not self._connection.in_transaction:
                raise _BatchLostError from error
            fault = self._engine.fault(error)
            if fault is Fault.BROKEN:
                raise
            self._connection.undo()
            if fault is None:
                return Outcome(error=error)
            log.warning("unit_refused", error=str(error))
            return Outcome(error=_refusal())
        self._connection.release()
        touched.add(transaction.touched)
        return Outcome(value)

    def _recover(self, error: Exception) -> None:
        """Brings the connection back to where a transaction can begin, or gives up for good."""
        self.stats.failed_commits += 1
        cause = error.__cause__ or error
        fault = self._engine.fault(cause)
        if fault is Fault.UNAVAILABLE:
            log.error("commit_refused", error=str(cause))
            try:
                if self._connection.in_transaction:
                    self._connection.rollback()
            except Exception as second:
                cause, fault = second, Fault.BROKEN
        if fault is not Fault.UNAVAILABLE:
            log.critical("database_broken", exc_info=cause)
            self._is_broken = True
            self._broken(cause)


def _refusals(jobs: Sequence[Job]) -> Sequence[Outcome]:
    return [Outcome(error=_refusal()) for _ in jobs]


def _refusal() -> StorageUnavailableError:
    return StorageUnavailableError("the database did not take the change")
