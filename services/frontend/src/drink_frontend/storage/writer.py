"""The executor of units of work, with group commit: those that wait share one commit."""

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
from drink_frontend.storage.events import EventTable
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.transaction import Transaction
from drink_frontend.storage.workers import Job, JobResult

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Stats:
    """Counts since the database was opened. Written by the writer's thread, read by any.

    Attributes:
        units: Units of work that were carried out, including undone ones.
        commits: Successful commits; each syncs the disk once.
        failed_commits: Batches that were refused as a whole.
        retries: Repetitions of batches.
    """

    units: int = 0
    commits: int = 0
    failed_commits: int = 0
    retries: int = 0


class _BatchLostError(Exception):
    """The engine undid the whole transaction because of one unit's error."""


class _SavepointMissingError(Exception):
    """A unit of work failed and must be undone, but there is no savepoint before it."""


class Writer:
    """Carries out batches of units of work on one connection, each batch in one transaction.

    A unit of work that raises is undone without the others of its batch. Most units that raise have
    changed nothing, so that there is nothing to undo; batches therefore run without savepoints. If
    a unit raises after a change, the whole batch is undone and carried out again with a savepoint
    before each unit.

    No caller is answered before the commit, because a unit may have read changes of another unit
    that are not durable yet. A batch that the engine undid for a temporary reason is repeated a few
    times. After an error of Fault.BROKEN the writer refuses all further units of work.

    What a batch changed that somebody may see is stored with it, as one row of events.

    Args:
        engine: The database.
        settings: Limits and delays.
        broken: Called, on the writer's thread, with the error after which nothing is written.
        now_ms: Milliseconds since the epoch, for the time of events.
    """

    def __init__(
        self,
        engine: Engine,
        settings: StorageSettings,
        broken: Callable[[BaseException], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._engine = engine
        self._connection: DatabaseConnection = engine.connect(read_only=False)
        self._settings = settings
        self._broken = broken
        self._now_ms = now_ms
        self._is_broken = False
        self.stats = Stats()

    def carry_out(self, jobs: Sequence[Job]) -> tuple[Sequence[JobResult], ChangeSet]:
        """Runs the units of work in one transaction and commits it."""
        if self._is_broken:
            return _all(jobs, _refusal), ChangeSet()
        changes, fault = ChangeSet(), Fault.UNDONE
        for attempt in range(self._settings.write_tries_max):
            if attempt:
                self._pause(attempt)
            changes = ChangeSet()
            try:
                results = self._commit_batch(jobs, changes)
            except Exception as error:
                fault = self._recover(error)
            else:
                self.stats.commits += 1
                self.stats.units += len(jobs)
                return results, changes
            if fault is not Fault.UNDONE:
                break
        self.stats.failed_commits += 1
        if fault is Fault.IN_DOUBT:
            # The commit may have happened: wake all subscribers.
            return _all(jobs, _outcome_unknown), ChangeSet(elsewhere=True)
        return _all(jobs, _refusal), ChangeSet(elsewhere=changes.elsewhere)

    def _commit_batch(
        self, jobs: Sequence[Job], changes: ChangeSet, *, savepoints: bool = False
    ) -> Sequence[JobResult]:
        """Runs all jobs in one transaction; with savepoints only if a job has to be undone."""
        try:
            self._connection.begin()
            changes.elsewhere |= self._connection.changed_elsewhere()
            results = [self._carry_out(job, changes, savepoints=savepoints) for job in jobs]
            if changes.events:
                EventTable(self._connection.executor).add(changes.events, self._now_ms())
            self._connection.announce(changes)
            self._connection.commit()
        except _SavepointMissingError:
            self._connection.rollback()
            changes.clear()
        else:
            return results
        return self._commit_batch(jobs, changes, savepoints=True)

    def _pause(self, attempt: int) -> None:
        """Waits before another attempt: longer each time, with jitter between processes."""
        self.stats.retries += 1
        longest_s = self._settings.write_retry_ms / 1000 * 2**attempt
        # Jitter; no secret depends on it.
        time.sleep(random.uniform(longest_s / 2, longest_s))  # noqa: S311

    def idle(self) -> ChangeSet:
        """Returns what other processes have changed."""
        changes = ChangeSet()
        if not self._is_broken:
            try:
                changes.elsewhere = self._connection.changed_elsewhere()
            except Exception as error:
                self._recover(error)
        return changes

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def _carry_out(self, job: Job, changes: ChangeSet, *, savepoints: bool) -> JobResult:
        executor = self._connection.executor
        executor.changed = False
        transaction = Transaction(executor, self._settings.tokens_per_account)
        if savepoints:
            self._connection.savepoint()
        try:
            value = job.call(transaction)
        except BaseException as error:
            if not self._connection.in_transaction:
                raise _BatchLostError from error
            fault = self._engine.fault(error)
            if fault in {Fault.BROKEN, Fault.UNDONE}:
                raise
            if savepoints:
                self._connection.undo()
            elif executor.changed or not isinstance(error, DrinkError):
                raise _SavepointMissingError from error
            if fault is None:
                return JobResult(error=error)
            log.warning("unit_refused", error=str(error))
            return JobResult(error=_refusal())
        if savepoints:
            self._connection.release()
        changes.add(transaction.touched)
        return JobResult(value)

    def _recover(self, error: Exception) -> Fault:
        """Makes the connection ready for the next transaction, or marks the database as broken."""
        cause = error.__cause__ or error if isinstance(error, _BatchLostError) else error
        fault = self._engine.fault(cause)
        if fault not in {None, Fault.BROKEN}:
            log.error("commit_refused", error=str(cause), fault=fault.name)
            try:
                if self._connection.in_transaction:
                    self._connection.rollback()
            except Exception as second:
                # If the connection is lost, the server undoes its transaction.
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


def _outcome_unknown() -> OutcomeUnknownError:
    return OutcomeUnknownError("nobody knows whether the database took the change")
