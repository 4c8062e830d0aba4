"""The thread for calls that block."""

import asyncio
import threading

import pytest

from drink_agent.runtime.worker import Worker

LIMIT_S = 20


async def test_calls_are_carried_out_in_order_on_one_thread_beside_the_loop() -> None:
    worker, loop = Worker("journal"), asyncio.get_running_loop()
    done: list[tuple[int, str]] = []

    def work(number: int) -> int:
        done.append((number, threading.current_thread().name))
        return number * 2

    calls = [loop.run_in_executor(worker, work, number) for number in range(20)]
    async with asyncio.timeout(LIMIT_S):
        assert await asyncio.gather(*calls) == [number * 2 for number in range(20)]
    assert done == [(number, "journal") for number in range(20)]
    worker.shutdown()


async def test_an_error_reaches_who_waits_and_the_thread_goes_on() -> None:
    worker, loop = Worker("journal"), asyncio.get_running_loop()

    def fail() -> None:
        raise OSError("no space")

    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(OSError, match="no space"):
            await loop.run_in_executor(worker, fail)
        assert await loop.run_in_executor(worker, len, "abc") == 3
    worker.shutdown()


async def test_a_call_that_nobody_waits_for_any_more_is_carried_out() -> None:
    worker, loop = Worker("journal"), asyncio.get_running_loop()
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(LIMIT_S)

    call = loop.run_in_executor(worker, work)
    assert await asyncio.to_thread(begun.wait, LIMIT_S)
    call.cancel()
    go_on.set()
    async with asyncio.timeout(LIMIT_S):
        assert await loop.run_in_executor(worker, len, "ab") == 2
    assert call.cancelled()
    worker.shutdown()


def test_shutdown_waits_for_the_calls_that_were_made_even_after_the_loop() -> None:
    worker = Worker("journal")
    go_on, done = threading.Event(), threading.Event()

    def work() -> None:
        go_on.wait(LIMIT_S)
        done.set()

    async def begin() -> None:
        asyncio.get_running_loop().run_in_executor(worker, work)

    asyncio.run(begin())
    threading.Timer(0.05, go_on.set).start()
    worker.shutdown()
    assert done.is_set()


def test_a_worker_without_a_call_has_no_thread() -> None:
    before = threading.active_count()
    worker = Worker("journal")
    assert threading.active_count() == before
    worker.shutdown()
