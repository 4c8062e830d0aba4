"""A bounded queue of jobs between the event loop and threads that carry them out in batches.

A thread takes all jobs that wait, up to a limit, carries them out together and hands all results
back in one call. The next batch gathers meanwhile: load makes batches larger, and no job is ever
delayed to wait for others.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Protocol, TypeVar

import structlog

from drink_frontend.domain.errors import (
    DrinkError,
    OutcomeUnknownError,
    StorageUnavailableError,
)
from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.needs import Needs
from drink_frontend.storage.transaction import Transaction

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Job:
    """A unit of work or a query.

    Attributes:
        call: The function to call with a transaction.
        future: Gets the value or error, on the event loop.
        needs: What it will read, as far as that is known; None if nothing is.
    """

    call: Callable[[Transaction], Any]
    future: "asyncio.Future[Any]"
    needs: Needs | None = None


@dataclass(slots=True)
class JobResult:
    """What a job returned or raised: the error if there is one, else the value."""

    value: Any = None
    error: BaseException | None = None


class BatchExecutor(Protocol):
    """Carries out batches of jobs, on one thread."""

    def carry_out(self, jobs: Sequence[Job]) -> tuple[Sequence[JobResult], ChangeSet]:
        """The jobs' results in order, and what the batch changed. Raises nothing."""

    def idle(self) -> ChangeSet:
        """Called when no job has come for a while; returns what others changed. Raises nothing."""

    def close(self) -> None:
        """Closes the connection; called on the same thread."""


class WorkerPool(Protocol):
    """Takes jobs from the event loop, in order, and has executors carry them out in batches."""

    def put(self, job: Job, /) -> None:
        """Adds a job; returns at once."""

    async def close(self) -> None:
        """Waits until all jobs are carried out, then ends the executors."""


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """Executors and how to run them. All callbacks are called on the event loop.

    Attributes:
        name: Of the threads.
        executors: Each carries out one batch at a time.
        batch_max: Most jobs in one batch.
        hand_back: Called with each batch, its results and what it changed.
        done: Called with what others changed, as an idle executor has found.
        idle_s: Seconds without a job after which an executor's `idle` is called; None: never.
        failed: Called with an exception that an executor raised although it must not.
    """

    name: str
    executors: Sequence[BatchExecutor]
    batch_max: int
    hand_back: Callable[[Sequence[Job], Sequence[JobResult], ChangeSet], None]
    done: Callable[[ChangeSet], None]
    idle_s: float | None
    failed: Callable[[BaseException], None]


class ThreadPool:
    """A `WorkerPool` with one thread for each executor."""

    def __init__(self, config: PoolConfig) -> None:
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self.put: Callable[[Job], None] = self._queue.put
        """Adds a job; returns at once."""
        self._ended = [asyncio.Event() for _ in config.executors]
        self._threads = [
            # Daemon threads: a process that ends without `close` must not wait for the queue.
            Thread(target=self._work, args=(executor, ended), name=config.name, daemon=True)
            for executor, ended in zip(config.executors, self._ended, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    async def close(self) -> None:
        """Waits until all jobs are carried out, then ends the threads."""
        for _ in self._threads:
            self._queue.put(None)
        for ended, thread in zip(self._ended, self._threads, strict=True):
            await ended.wait()
            thread.join()

    def _work(self, executor: BatchExecutor, ended: asyncio.Event) -> None:
        """Runs one executor until the pool is closed.

        After an exception the executor gets no more jobs: all of them fail.
        """
        carry_out, closing = executor.carry_out, False
        while not closing:
            try:
                jobs, closing = self._next_batch()
            except Empty:
                self._idle(executor)
                continue
            if jobs:
                try:
                    results, changes = carry_out(jobs)
                except BaseException as error:
                    self._on_loop(self._config.failed, error)
                    results, changes = _fail_all(jobs)
                    carry_out = _fail_all
                self._on_loop(self._config.hand_back, jobs, results, changes)
        executor.close()
        self._on_loop(ended.set)

    def _idle(self, executor: BatchExecutor) -> None:
        try:
            self._on_loop(self._config.done, executor.idle())
        except BaseException as error:
            self._on_loop(self._config.failed, error)

    def _next_batch(self) -> tuple[list[Job], bool]:
        """The jobs that wait, at least one, and whether they are the last ones.

        Raises:
            Empty: no job came for `idle_s`.
        """
        jobs: list[Job] = []
        job = self._queue.get(timeout=self._config.idle_s)
        while job is not None:
            jobs.append(job)
            if len(jobs) == self._config.batch_max:
                return jobs, False
            try:
                job = self._queue.get_nowait()
            except Empty:
                return jobs, False
        return jobs, True

    def _on_loop(self, call: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            # The loop was closed without `close`, so that no caller waits any more.
            log.warning("storage_abandoned")


def _fail_all(jobs: Sequence[Job]) -> tuple[Sequence[JobResult], ChangeSet]:
    """The results of jobs whose executor has failed: whether they were committed is unknown."""
    error = OutcomeUnknownError("nobody knows whether the database took the change")
    return [JobResult(error=error) for _ in jobs], ChangeSet(elsewhere=True)


class BatchQueue:
    """One bounded queue with its worker pool. All methods are called on the event loop.

    Args:
        name: Of the threads.
        executors: One for each thread.
        queue_max: Most unfinished jobs.
        batch_max: Most jobs in one batch.
        done: Called with what each batch changed, when the results of its jobs are set, and with
            what an idle executor has found.
        failed: Called with an exception that an executor raised although it must not.
        idle_s: Seconds without a job after which an executor's `idle` is called; None: never.
        pool_factory: Makes the worker pool.
    """

    def __init__(
        self,
        name: str,
        executors: Sequence[BatchExecutor],
        *,
        queue_max: int,
        batch_max: int,
        done: Callable[[ChangeSet], None],
        failed: Callable[[BaseException], None],
        idle_s: float | None = None,
        pool_factory: Callable[[PoolConfig], WorkerPool] = ThreadPool,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._unfinished = 0
        self._queue_max = queue_max
        self._done = done
        self._closing = False
        self._pool = pool_factory(
            PoolConfig(name, executors, batch_max, self._hand_back, done, idle_s, failed)
        )

    @property
    def unfinished(self) -> int:
        """Number of jobs that wait or are being carried out."""
        return self._unfinished

    async def do(self, call: Callable[[Transaction], T], needs: Needs | None = None) -> T:
        """Queues a job, waits for it, and returns its value or raises its error.

        Args:
            call: The function to call with a transaction.
            needs: What it will read, as far as that is known.

        Raises:
            StorageUnavailableError: the queue is full or closed.
        """
        if self._closing:
            raise StorageUnavailableError("the database is closed")
        if self._unfinished >= self._queue_max:
            raise StorageUnavailableError("too much waits for the database")
        future: asyncio.Future[T] = self._loop.create_future()
        self._unfinished += 1
        self._pool.put(Job(call, future, needs))
        return await future

    def refuse(self) -> None:
        """Accepts no more jobs."""
        self._closing = True

    async def close(self) -> None:
        """Accepts no more jobs, and waits until the queued ones are carried out."""
        self.refuse()
        await self._pool.close()

    def _hand_back(
        self, jobs: Sequence[Job], results: Sequence[JobResult], changes: ChangeSet
    ) -> None:
        self._unfinished -= len(jobs)
        for job, result in zip(jobs, results, strict=True):
            error = result.error
            if job.future.done():
                if error is not None and not isinstance(error, DrinkError):
                    log.error("storage_job_failed", exc_info=error)
            elif error is None:
                job.future.set_result(result.value)
            elif isinstance(error, StopIteration):
                # A future does not accept it.
                job.future.set_exception(RuntimeError("a unit of work raised StopIteration"))
            else:
                job.future.set_exception(error)
        self._done(changes)
