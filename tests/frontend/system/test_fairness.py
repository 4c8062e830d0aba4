"""Turns lane by lane."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from drink_frontend.domain.errors import RateLimitedError
from drink_frontend.system.fairness import FairTurns, Lane


class Work:
    """Takes turns, and notes in which order they came; each lasts until `finish`."""

    def __init__(self, at_once: int = 1, users_max: int = 100) -> None:
        self.turns = FairTurns(at_once, users_max)
        self.begun: list[str] = []
        self._end = asyncio.Semaphore(0)

    def start(self, name: str, group: str = "") -> "asyncio.Task[None]":
        return asyncio.create_task(self._run(name, (group, name[0])))

    async def _run(self, name: str, lane: Lane) -> None:
        async with self.turns.turn(lane):
            self.begun.append(name)
            await self._end.acquire()

    async def finish(self, count: int = 1) -> None:
        for _ in range(count):
            self._end.release()
            await settled()


async def settled() -> None:
    """Lets every task run as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_lane_waits_for_one_turn_of_each_other_lane() -> None:
    work = Work()
    tasks = [work.start(f"a{number}") for number in range(5)]
    tasks += [work.start("b0"), work.start("c0"), work.start("b1")]
    await settled()
    await work.finish(8)
    await asyncio.gather(*tasks)
    assert work.begun == ["a0", "a1", "b0", "c0", "a2", "b1", "a3", "a4"]


async def test_a_group_waits_for_one_turn_of_each_other_group_however_many_lanes_it_has() -> None:
    work = Work()
    tasks = [work.start(f"{lane}{number}", "new") for number in range(2) for lane in "abcdefgh"]
    tasks += [work.start(f"z{number}", "known") for number in range(3)]
    await settled()
    assert work.turns.waiting == 18
    await work.finish(len(tasks))
    await asyncio.gather(*tasks)
    assert work.begun[:8] == ["a0", "b0", "z0", "c0", "z1", "d0", "z2", "e0"]
    assert work.turns.waiting == 0


async def test_so_many_have_a_turn_at_once() -> None:
    work = Work(at_once=2)
    tasks = [work.start(f"a{number}") for number in range(3)]
    await settled()
    assert work.begun == ["a0", "a1"]
    await work.finish(3)
    await asyncio.gather(*tasks)
    work.start("a3")
    work.start("a4")
    await settled()
    assert work.begun[-2:] == ["a3", "a4"]
    await work.finish(2)


async def test_above_the_limit_the_longest_lane_gives_way() -> None:
    work = Work(users_max=4)
    crowd = [work.start(f"a{number}") for number in range(4)]
    await settled()
    one_more = work.start("a4")
    other = work.start("b0")
    await settled()
    with pytest.raises(RateLimitedError):
        await one_more
    with pytest.raises(RateLimitedError):
        await crowd[3]
    await work.finish(4)
    await asyncio.gather(*crowd[:3], other)
    assert work.begun == ["a0", "a1", "b0", "a2"]


async def _cancel_waiting(work: Work, task: "asyncio.Task[None]") -> None:
    task.cancel()
    await settled()


async def _cancel_with_turn(work: Work, task: "asyncio.Task[None]") -> None:
    work._end.release()
    await asyncio.sleep(0)
    task.cancel()
    await settled()


@pytest.mark.parametrize("cancel", [_cancel_waiting, _cancel_with_turn])
async def test_who_gives_up_takes_no_turn_along(
    cancel: Callable[[Work, "asyncio.Task[None]"], Awaitable[None]],
) -> None:
    work = Work()
    first, second, third = (work.start(name) for name in ("a0", "b0", "c0"))
    await settled()
    await cancel(work, second)
    await work.finish(3)
    await asyncio.gather(first, third)
    with pytest.raises(asyncio.CancelledError):
        await second
    assert work.begun[-1] == "c0"
    last = work.start("d0")
    await settled()
    assert work.begun[-1] == "d0"
    await work.finish()
    await last
