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
from drink_frontend.storage.identity_map import IdentityMap
from drink_frontend.storage.loaded_rows import calls_for
from drink_frontend.storage.needs import Needs, together
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


class _UnitFailedError(Exception):
    """A unit of work failed, and its changes cannot be taken back alone.

    Args:
        error: What it raised.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


class _DivideError(Exception):
    """The units of a batch must be carried out in smaller ones, since one of them is at fault.

    Args:
        parts: The units of each smaller batch, in order.
    """

    def __init__(self, *parts: Sequence[Job]) -> None:
        super().__init__()
        self.parts = [part for part in parts if part]


class Writer:
    """Carries out batches of units of work on one connection, each batch in one transaction.

    A batch is carried out in three steps. What its units of work have named is loaded. Each unit
    decides, and sees in the identity map what the ones before it decided. What has changed is
    stored, in few statements, and committed.

    A unit that raises takes back only its own changes. If it cannot, since it has changed the
    database itself, or if the database refuses what is stored, the batch is undone and divided:
    the one at fault is then in a batch of its own, and the others are not hurt. Each batch that is
    tried has its own number, by which the outcome of a commit can be found out.

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
        self._changed_elsewhere = False
        self.stats = Stats()

    def carry_out(self, jobs: Sequence[Job]) -> tuple[Sequence[JobResult], ChangeSet]:
        """Runs the units of work in one transaction and commits it; in several if one fails."""
        results: list[JobResult] = []
        changes, waiting = ChangeSet(), [jobs]
        while waiting:
            part = waiting.pop()
            try:
                part_results, part_changes = self._carry_out_part(part)
            except _DivideError as error:
                waiting += reversed(error.parts)
            else:
                results += part_results
                changes.merge(part_changes)
        changes.elsewhere |= self._changed_elsewhere
        self._changed_elsewhere = False
        return results, changes

    def _carry_out_part(self, jobs: Sequence[Job]) -> tuple[Sequence[JobResult], ChangeSet]:
        """Runs the units of work in one transaction and commits it.

        Raises:
            _DivideError: they must be carried out in smaller batches.
        """
        if self._is_broken:
            return _all(jobs, _refusal), ChangeSet()
        fault = Fault.UNDONE
        for attempt in range(self._settings.write_tries_max):
            if attempt:
                self._pause(attempt)
            changes = ChangeSet()
            try:
                results = self._commit_batch(jobs, changes)
            except _DivideError:
                raise
            except Exception as error:
                fault = self._recover(error)
            else:
                self.stats.units += len(jobs)
                return results, changes
            if fault is not Fault.UNDONE:
                break
        self.stats.failed_commits += 1
        if fault is Fault.IN_DOUBT:
            # The commit may have happened: wake all subscribers.
            return _all(jobs, _outcome_unknown), ChangeSet(elsewhere=True)
        return _all(jobs, _refusal), ChangeSet()

    def _commit_batch(self, jobs: Sequence[Job], changes: ChangeSet) -> Sequence[JobResult]:
        """Loads, decides, stores and commits."""
        rows = self._load(jobs)
        transaction = Transaction(rows, self._settings.tokens_per_account)
        results: list[JobResult] = []
        for number, job in enumerate(jobs):
            try:
                results.append(self._decide(job, transaction, rows, changes))
            except _UnitFailedError as failed:
                self._connection.rollback()
                if len(jobs) > 1:
                    raise _DivideError(jobs[:number], [job], jobs[number + 1 :]) from failed.error
                changes.clear()
                return [self._refused(failed.error)]
        try:
            if changes.events:
                EventTable(rows).add(changes.events, self._now_ms())
            rows.store()
        except Exception as error:
            self._check_alone(error)
            self._connection.rollback()
            if len(jobs) > 1:
                raise self._division(jobs, error) from error
            changes.clear()
            return [self._refused(error)]
        self._connection.commit(changes)
        self.stats.commits += 1
        return results

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

    def _load(self, jobs: Sequence[Job]) -> IdentityMap:
        """Begins the transaction, and loads what the units of work have named."""
        needs = together(job.needs for job in jobs)
        calls = calls_for(needs)
        try:
            answers = self._connection.begin(calls)
        except Exception as error:
            if not calls or self._engine.fault(error) is not None:
                raise
            # One of the keys cannot be asked for: the unit that named it will fail by itself.
            if self._connection.in_transaction:
                self._connection.rollback()
            needs = Needs()
            answers = self._connection.begin()
        self._changed_elsewhere |= self._connection.changed_elsewhere()
        rows = IdentityMap(self._connection.executor)
        rows.take(needs, answers)
        return rows

    def _division(self, jobs: Sequence[Job], error: Exception) -> _DivideError:
        """How to go on after the database has refused what units of work have decided."""
        if self._engine.fault(error) is None:
            half = len(jobs) // 2
            return _DivideError(jobs[:half], jobs[half:])
        # Each attempt may wait for as long as a lock is waited for.
        return _DivideError(*([job] for job in jobs))

    def _decide(
        self, job: Job, transaction: Transaction, rows: IdentityMap, changes: ChangeSet
    ) -> JobResult:
        """Runs a unit of work.

        Raises:
            _UnitFailedError: it failed, and what it did cannot be taken back alone.
        """
        rows.begin_unit()
        transaction.touched.clear()
        try:
            value = job.call(transaction)
        except BaseException as error:
            self._check_alone(error)
            if rows.is_sent or not isinstance(error, DrinkError):
                raise _UnitFailedError(error) from error
            rows.undo()
            return JobResult(error=error)
        changes.add(transaction.touched)
        return JobResult(value)

    def _check_alone(self, error: BaseException) -> None:
        """Raises an error after which the whole transaction cannot go on."""
        if not self._connection.in_transaction:
            raise _BatchLostError from error
        if self._engine.fault(error) in {Fault.BROKEN, Fault.UNDONE}:
            raise error

    def _refused(self, error: BaseException) -> JobResult:
        """The result of the unit of work that is at fault."""
        if self._engine.fault(error) is None:
            return JobResult(error=error)
        log.warning("unit_refused", error=str(error))
        return JobResult(error=_refusal())

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
