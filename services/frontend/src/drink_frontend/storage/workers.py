"""Threads that carry out what the event loop hands them, several jobs at a time.

Jobs wait in one bounded queue. A thread takes all that wait, up to a limit, carries them out
together and hands all outcomes back in one call: while one batch is under way the next one gathers,
so that load makes batches larger instead of callers wait longer, and nothing is ever delayed to
wait for company.
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
from drink_frontend.storage.transaction import Transaction

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Job:
    """Something to carry out.

    Attributes:
        call: What.
        future: Where its value or error goes, on the loop.
    """

    call: Callable[[Transaction], Any]
    future: "asyncio.Future[Any]"


@dataclass(slots=True)
class Outcome:
    """What a job came to: an error, or else a value."""

    value: Any = None
    error: BaseException | None = None


class Crew(Protocol):
    """Carries out batches, on one thread."""

    def carry_out(self, jobs: Sequence[Job]) -> tuple[Sequence[Outcome], ChangeSet]:
        """The jobs' outcomes in order, and what they changed. Raises nothing."""

    def idle(self) -> ChangeSet:
        """What others changed while nothing was asked. Raises nothing."""

    def close(self) -> None:
        """Ends its work."""


class Hands(Protocol):
    """Takes jobs off the event loop, in order, and has a crew carry them out in batches."""

    def put(self, job: Job) -> None:
        """Adds a job; returns at once."""

    async def close(self) -> None:
        """Has what waits carried out, then ends the crews."""


@dataclass(frozen=True, slots=True)
class Team:
    """Crews and how they work. What they are to be told on the loop is a plain call there.

    Attributes:
        name: Of their threads.
        crews: Who carries out; each one batch at a time.
        batch_max: Jobs that are carried out together.
        hand_back: Told each batch, its outcomes and what it changed.
        done: Told what others changed while a crew was idle.
        idle_s: Seconds without a job after which a crew is told that it is idle; None: never.
        failed: Told the error of a crew that raised one although it must not.
    """

    name: str
    crews: Sequence[Crew]
    batch_max: int
    hand_back: Callable[[Sequence[Job], Sequence[Outcome], ChangeSet], None]
    done: Callable[[ChangeSet], None]
    idle_s: float | None
    failed: Callable[[BaseException], None]


class Threads:
    """A thread for each crew. See `Hands`.

    Args:
        team: The crews.
    """

    def __init__(self, team: Team) -> None:
        self._team = team
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._ended = [asyncio.Event() for _ in team.crews]
        self._threads = [
            # Daemons: a process that dies without `close` must not wait for its queue.
            Thread(target=self._work, args=(crew, ended), name=team.name, daemon=True)
            for crew, ended in zip(team.crews, self._ended, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, job: Job) -> None:
        """See `Hands`."""
        self._queue.put(job)

    async def close(self) -> None:
        """See `Hands`."""
        for _ in self._threads:
            self._queue.put(None)
        for ended, thread in zip(self._ended, self._threads, strict=True):
            await ended.wait()
            thread.join()

    def _work(self, crew: Crew, ended: asyncio.Event) -> None:
        """Carries out until it is closed. A crew that fails gets no more jobs: all are refused."""
        carry_out, closing = crew.carry_out, False
        while not closing:
            try:
                jobs, closing = self._next_batch()
            except Empty:
                self._idle(crew)
                continue
            if jobs:
                try:
                    outcomes, touched = carry_out(jobs)
                except BaseException as error:
                    self._on_loop(self._team.failed, error)
                    outcomes, touched = _doubt(jobs)
                    carry_out = _doubt
                self._on_loop(self._team.hand_back, jobs, outcomes, touched)
        crew.close()
        self._on_loop(ended.set)

    def _idle(self, crew: Crew) -> None:
        try:
            self._on_loop(self._team.done, crew.idle())
        except BaseException as error:
            self._on_loop(self._team.failed, error)

    def _next_batch(self) -> tuple[list[Job], bool]:
        """The jobs that wait, at least one, and whether they are the last; Empty when idle."""
        jobs: list[Job] = []
        job = self._queue.get(timeout=self._team.idle_s)
        while job is not None:
            jobs.append(job)
            if len(jobs) == self._team.batch_max:
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
            # The loop was closed without `close`: nobody is left to be answered.
            log.warning("storage_abandoned")


def _doubt(jobs: Sequence[Job]) -> tuple[Sequence[Outcome], ChangeSet]:
    """Nobody knows what became of the jobs of a crew that failed."""
    error = OutcomeUnknownError("nobody knows whether the database took the change")
    return [Outcome(error=error) for _ in jobs], ChangeSet(elsewhere=True)


class Workers:
    """One bounded queue and who works on it. All methods run on the event loop.

    Args:
        name: Of the threads.
        crews: One per thread.
        queue_max: Jobs that may be unfinished.
        batch_max: Jobs that are carried out together.
        done: Told on the loop what each batch changed, after its jobs' callers were answered.
        failed: Told on the loop the error of a crew that raised one although it must not.
        idle_s: Seconds without a job after which a crew is told that it is idle; None: never.
        hire: Makes the hands of a team.
    """

    def __init__(
        self,
        name: str,
        crews: Sequence[Crew],
        *,
        queue_max: int,
        batch_max: int,
        done: Callable[[ChangeSet], None],
        failed: Callable[[BaseException], None],
        idle_s: float | None = None,
        hire: Callable[[Team], Hands] = Threads,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._unfinished = 0
        self._queue_max = queue_max
        self._done = done
        self._closing = False
        self._hands = hire(Team(name, crews, batch_max, self._hand_back, done, idle_s, failed))

    async def do(self, call: Callable[[Transaction], T]) -> T:
        """Has a job carried out, and returns its value or raises its error.

        Raises:
            StorageUnavailableError: the queue is full or closed.
        """
        if self._closing:
            raise StorageUnavailableError("the database is closed")
        if self._unfinished >= self._queue_max:
            raise StorageUnavailableError("too much waits for the database")
        future: asyncio.Future[T] = self._loop.create_future()
        self._unfinished += 1
        self._hands.put(Job(call, future))
        return await future

    def refuse(self) -> None:
        """Takes no more jobs."""
        self._closing = True

    async def close(self) -> None:
        """Takes no more jobs, and ends when what waits is carried out."""
        self.refuse()
        await self._hands.close()

    def _hand_back(
        self, jobs: Sequence[Job], outcomes: Sequence[Outcome], touched: ChangeSet
    ) -> None:
        self._unfinished -= len(jobs)
        for job, outcome in zip(jobs, outcomes, strict=True):
            error = outcome.error
            if job.future.done():
                if error is not None and not isinstance(error, DrinkError):
                    log.error("storage_job_failed", exc_info=error)
            elif error is None:
                job.future.set_result(outcome.value)
            elif isinstance(error, StopIteration):
                # A future cannot hold it.
                job.future.set_exception(RuntimeError("a unit of work raised StopIteration"))
            else:
                job.future.set_exception(error)
        self._done(touched)
