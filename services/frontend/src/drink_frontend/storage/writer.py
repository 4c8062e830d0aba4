"""Group commit: units of work that wait at the same time go to disk in one commit."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from drink_frontend.domain.errors import (
    DrinkError,
    OutcomeUnknownError,
    StorageUnavailableError,
)
from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.engine import DatabaseConnection, Engine, Fault
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.transaction import Transaction
from drink_frontend.storage.workers import Job, JobResult

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Stats:
    """Counts since the database was opened. The writer's thread counts, anyone may read.

    Attributes:
        units: Units of work that were carried out, the undone ones included.
        commits: Commits that succeeded; each syncs the disk once.
        failed_commits: Batches that were refused as a whole.
        retries: Times that a batch was carried out once more.
    """

    units: int = 0
    commits: int = 0
    failed_commits: int = 0
    retries: int = 0


class _BatchLostError(Exception):
    """The engine undid the whole transaction because of one unit's error."""


class _NotAloneError(Exception):
    """A unit failed that must be undone, and cannot be undone without the others."""


class Writer:
    """The one that writes. See `Crew`.

    A batch is one transaction, and a unit that raises is undone alone. One that refused before it
    changed anything leaves nothing to undo, and others are rare: after one the batch is undone and
    carried out again with a savepoint for each unit, which would cost all others otherwise.
    No caller is answered before the commit, since what a unit saw may be another one's work that
    is not durable yet. After an error that leaves the database in doubt the writer refuses
    everything for good.

    A batch that the engine undid for what may be over at once is carried out again, a few times.

    Args:
        engine: The database.
        settings: Bounds.
        broken: Told, on the writer's thread, the error after which nothing is written any more.
    """

    def __init__(
        self,
        engine: Engine,
        settings: StorageSettings,
        broken: Callable[[BaseException], None],
    ) -> None:
        self._engine = engine
        self._connection: DatabaseConnection = engine.connect(read_only=False)
        self._settings = settings
        self._broken = broken
        self._is_broken = False
        self.stats = Stats()

    def carry_out(self, jobs: Sequence[Job]) -> tuple[Sequence[JobResult], ChangeSet]:
        """See `Crew`."""
        if self._is_broken:
            return _all(jobs, _refusal), ChangeSet()
        touched, fault = ChangeSet(), Fault.UNDONE
        for attempt in range(self._settings.write_tries_max):
            if attempt:
                self._pause(attempt)
            touched = ChangeSet()
            try:
                outcomes = self._try_together_or_apart(jobs, touched)
            except Exception as error:
                fault = self._recover(error)
            else:
                self.stats.commits += 1
                self.stats.units += len(jobs)
                return outcomes, touched
            if fault is not Fault.UNDONE:
                break
        self.stats.failed_commits += 1
        if fault is Fault.IN_DOUBT:
            # Whoever waits for what it may have changed has a look.
            return _all(jobs, _doubt), ChangeSet(elsewhere=True)
        return _all(jobs, _refusal), ChangeSet(elsewhere=touched.elsewhere)

    def _try_together_or_apart(
        self, jobs: Sequence[Job], touched: ChangeSet
    ) -> Sequence[JobResult]:
        try:
            return self._try(jobs, touched, apart=False)
        except _NotAloneError:
            self._connection.rollback()
        touched.clear()
        return self._try(jobs, touched, apart=True)

    def _try(self, jobs: Sequence[Job], touched: ChangeSet, *, apart: bool) -> Sequence[JobResult]:
        self._connection.begin()
        touched.elsewhere |= self._connection.changed_elsewhere()
        outcomes = [self._carry_out(job, touched, apart=apart) for job in jobs]
        self._connection.announce(touched)
        self._connection.commit()
        return outcomes

    def _pause(self, attempt: int) -> None:
        """Waits before another attempt, longer each time, and not as long as other processes do."""
        self.stats.retries += 1
        longest_s = self._settings.write_retry_ms / 1000 * 2**attempt
        # Not a secret.
        time.sleep(random.uniform(longest_s / 2, longest_s))  # noqa: S311

    def idle(self) -> ChangeSet:
        """See `Crew`."""
        touched = ChangeSet()
        if not self._is_broken:
            try:
                touched.elsewhere = self._connection.changed_elsewhere()
            except Exception as error:
                self._recover(error)
        return touched

    def close(self) -> None:
        """See `Crew`."""
        self._connection.close()

    def _carry_out(self, job: Job, touched: ChangeSet, *, apart: bool) -> JobResult:
        executor = self._connection.executor
        executor.changed = False
        transaction = Transaction(executor, self._settings.tokens_per_account)
        if apart:
            self._connection.savepoint()
        try:
            value = job.call(transaction)
        except BaseException as error:
            if not self._connection.in_transaction:
                raise _BatchLostError from error
            fault = self._engine.fault(error)
            if fault in {Fault.BROKEN, Fault.UNDONE}:
                raise
            if apart:
                self._connection.undo()
            elif executor.changed or not isinstance(error, DrinkError):
                raise _NotAloneError from error
            if fault is None:
                return JobResult(error=error)
            log.warning("unit_refused", error=str(error))
            return JobResult(error=_refusal())
        if apart:
            self._connection.release()
        touched.add(transaction.touched)
        return JobResult(value)

    def _recover(self, error: Exception) -> Fault:
        """Brings the connection back to where a transaction can begin, or gives up for good."""
        cause = error.__cause__ or error if isinstance(error, _BatchLostError) else error
        fault = self._engine.fault(cause)
        if fault not in {None, Fault.BROKEN}:
            log.error("commit_refused", error=str(cause), fault=fault.name)
            try:
                if self._connection.in_transaction:
                    self._connection.rollback()
            except Exception as second:
                # With a connection that is lost, its transaction is undone as well.
                lost = not self._connection.in_transaction
                if not lost or self._engine.fault(second) in {None, Fault.BROKEN}:
                    cause, fault = second, Fault.BROKEN
        if fault is None or fault is Fault.BROKEN:
            log.critical("database_broken", exc_info=cause)
            self._is_broken = True
            self._broken(cause)
            return Fault.BROKEN
        return fault


def _all(jobs: Sequence[Job], error: Callable[[], DrinkError]) -> Sequence[JobResult]:
    return [JobResult(error=error()) for _ in jobs]


def _refusal() -> StorageUnavailableError:
    return StorageUnavailableError("the database did not take the change")


def _doubt() -> OutcomeUnknownError:
    return OutcomeUnknownError("nobody knows whether the database took the change")
