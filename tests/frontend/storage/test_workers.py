"""The queue between the event loop and the storage's threads."""

import asyncio
from collections.abc import Sequence
from threading import Event

import pytest
from structlog.testing import capture_logs

from drink_frontend.domain.errors import OutcomeUnknownError
from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.workers import BatchQueue, Job, JobResult, ThreadPool
from tests.support.gates import LIMIT_S


class CountingCrew:
    """Answers each job with the size of its batch."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.idles, self.closed = 0, Event()
        self.may_go_on = Event()
        self.may_go_on.set()

    def carry_out(self, jobs: Sequence[Job]) -> tuple[Sequence[JobResult], ChangeSet]:
        assert self.may_go_on.wait(LIMIT_S)
        self.batches.append(len(jobs))
        return [JobResult(len(jobs)) for _ in jobs], ChangeSet(machines={f"{len(jobs)}"})

    def idle(self) -> ChangeSet:
        self.idles += 1
        return ChangeSet(elsewhere=True)

    def close(self) -> None:
        self.closed.set()


class FailingCrew(CountingCrew):
    """Raises what it must not."""

    def carry_out(self, jobs: Sequence[Job]) -> tuple[Sequence[JobResult], ChangeSet]:
        super().carry_out(jobs)
        raise SystemError("broken")


def unexpected(error: BaseException) -> None:
    raise AssertionError from error


def job(_: object) -> None:
    """A job; the crew does not look at it."""


async def test_callers_are_answered_before_others_are_told() -> None:
    told: list[tuple[set[str], bool]] = []
    crew = CountingCrew()

    async def ask() -> object:
        return await workers.do(job)

    workers = BatchQueue(
        "test",
        [crew],
        queue_max=9,
        batch_max=9,
        done=lambda touched: told.append((touched.machines, asking.done())),
        failed=unexpected,
    )
    asking = asyncio.ensure_future(ask())
    assert await asking == 1
    assert told == [({"1"}, False)]
    await workers.close()


async def test_a_closed_queue_ends_all_its_threads() -> None:
    crews = [CountingCrew() for _ in range(3)]
    workers = BatchQueue(
        "test", crews, queue_max=9, batch_max=9, done=lambda _: None, failed=unexpected
    )
    await workers.do(job)
    await workers.close()
    assert all(crew.closed.is_set() for crew in crews)


async def test_fault_64_a_crew_that_fails_is_told_of_and_leaves_nobody_waiting() -> None:
    crew, told = FailingCrew(), list[str]()
    workers = BatchQueue(
        "test",
        [crew],
        queue_max=9,
        batch_max=9,
        done=lambda _: None,
        failed=lambda error: told.append(str(error)),
    )
    async with asyncio.timeout(LIMIT_S):
        for _ in range(3):
            with pytest.raises(OutcomeUnknownError):
                await workers.do(job)
        await workers.close()
    assert told == ["broken"]
    assert crew.batches == [1], "it gets no more jobs"
    assert crew.closed.is_set()


async def test_fault_64_a_crew_that_fails_while_it_is_idle_is_told_of() -> None:
    class BatchExecutor(CountingCrew):
        def idle(self) -> ChangeSet:
            raise SystemError("broken")

    told: asyncio.Queue[BaseException] = asyncio.Queue()
    workers = BatchQueue(
        "test",
        [BatchExecutor()],
        queue_max=9,
        batch_max=9,
        done=lambda _: None,
        failed=told.put_nowait,
        idle_s=0.001,
    )
    async with asyncio.timeout(LIMIT_S):
        assert str(await told.get()) == "broken"
    await workers.close()


async def test_a_crew_without_jobs_is_told_so_again_and_again() -> None:
    crew, told = CountingCrew(), asyncio.Event()

    def done(touched: ChangeSet) -> None:
        assert touched.elsewhere
        if crew.idles >= 3:
            told.set()

    workers = BatchQueue(
        "test", [crew], queue_max=9, batch_max=9, done=done, failed=unexpected, idle_s=0.001
    )
    async with asyncio.timeout(LIMIT_S):
        await told.wait()
    await workers.close()


def test_a_loop_that_is_gone_stops_nobody() -> None:
    crew = CountingCrew()
    crew.may_go_on.clear()

    async def leave() -> BatchQueue:
        workers = BatchQueue(
            "test", [crew], queue_max=9, batch_max=9, done=lambda _: None, failed=unexpected
        )
        asking = asyncio.ensure_future(workers.do(job))
        await asyncio.sleep(0)
        asking.cancel()
        return workers

    with capture_logs() as logs:
        workers = asyncio.run(leave())
        crew.may_go_on.set()
        threads = workers._pool
        assert isinstance(threads, ThreadPool)
        threads._queue.put(None)
        assert crew.closed.wait(LIMIT_S)
        for thread in threads._threads:
            thread.join(LIMIT_S)
    assert {entry["event"] for entry in logs} == {"storage_abandoned"}
