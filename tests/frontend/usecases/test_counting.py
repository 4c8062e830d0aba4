"""The task that keeps statistics behind the sales; what it stores is a contract of the storage."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from drink_frontend.domain.errors import StorageUnavailableError
from drink_frontend.domain.statistics import FIRST, Kind, Phase, Progress, cover
from drink_frontend.storage.statistics import Selection
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases import counting as counting_module
from drink_frontend.usecases.counting import Counting
from drink_frontend.usecases.settings import StatisticsSettings
from tests.support.bench import Bench, BenchDatabase

LIMIT_S = 20
EVER = Selection("", Kind.DAY, cover(10_000_101, 99_981_231))


async def dispensed(bench: Bench) -> int:
    rows = await bench.storage.read(lambda tx: tx.statistics.sums(EVER, FIRST, 1))
    return rows[0].numbers.dispensed if rows else 0


async def until(done: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not await done():  # noqa: ASYNC110 - nothing tells of what it waits for
            await asyncio.sleep(0.005)


async def until_dispensed(bench: Bench, wanted: int) -> None:
    async def is_so() -> bool:
        return await dispensed(bench) == wanted

    await until(is_so)


async def until_logged(logs: list[Any], event: str) -> None:
    async def is_so() -> bool:
        return any(line["event"] == event for line in logs)

    await until(is_so)


def counting(bench: Bench, zone: str = "UTC") -> Counting:
    return Counting(bench.storage, StatisticsSettings(time_zone=zone, interval_s=0.01))


async def test_the_task_follows_what_happens(bench: Bench) -> None:
    task = asyncio.create_task(counting(bench).run())
    await bench.report(await bench.dispatched())
    await until_dispensed(bench, 1)
    await bench.report(await bench.dispatched("r2"))
    await until_dispensed(bench, 2)
    task.cancel()


async def test_what_comes_meanwhile_is_left_to_the_next_interval(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a steady stream of sales would keep it at work without a pause."""
    sold, write = 1, bench.storage.write

    async def write_and_sell(work: Callable[[Transaction], Any], *needs: Any) -> Any:
        nonlocal sold
        stored = await write(work, *needs)
        if isinstance(stored, Progress) and sold < 10:
            sold += 1
            await bench.report(await bench.dispatched(f"r{sold}"))
        return stored

    await counting(bench).catch_up()
    await bench.report(await bench.dispatched("r1"))
    monkeypatch.setattr(bench.storage, "write", write_and_sell)
    for counted in (1, 2):
        await counting(bench).catch_up()
        assert (counted, sold) == (await dispensed(bench), counted + 1)


async def test_fault_38_a_database_that_is_away_is_waited_for(bench: Bench) -> None:
    await bench.report(await bench.dispatched())
    bench.storage.error = StorageUnavailableError("away")
    task = asyncio.create_task(counting(bench).run())
    with capture_logs() as logs:
        await until_logged(logs, "statistics_postponed")
    bench.storage.error = None
    await until_dispensed(bench, 1)
    task.cancel()


async def test_an_error_that_nobody_expects_ends_nothing_else(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting_module, "RETRY_S", 0.01)
    await bench.report(await bench.dispatched())
    bench.storage.error = RuntimeError("a mistake")
    with capture_logs() as logs:
        task = asyncio.create_task(counting(bench).run())
        await until_logged(logs, "statistics_failed")
    assert not task.done()
    bench.storage.error = None
    await until_dispensed(bench, 1)
    task.cancel()


async def test_another_zone_is_told_and_changes_nothing_until_a_rebuild(bench: Bench) -> None:
    await counting(bench).catch_up()
    with capture_logs() as logs:
        task = asyncio.create_task(counting(bench, "Asia/Tokyo").run())
        await bench.report(await bench.dispatched())
        await until_dispensed(bench, 1)
        task.cancel()
    (told,) = [line for line in logs if line["event"] == "statistics_zone_differs"]
    assert (told["counted_in"], told["setting"]) == ("UTC", "Asia/Tokyo")
    assert (await counting(bench).progress())[0].time_zone == "UTC"
    await counting(bench, "Asia/Tokyo").rebuild()
    assert (await counting(bench).progress())[0].time_zone == "Asia/Tokyo"


async def test_a_rebuild_that_was_interrupted_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting_module, "DROPS_AT_ONCE", 1)
    for number in range(3):
        await bench.report(await bench.dispatched(f"r{number}"))
    await counting(bench).catch_up()

    class InterruptedTestError(Exception):
        pass

    def interrupt(progress: object) -> None:
        if getattr(progress, "drop_sequence", 0) == 2:
            raise InterruptedTestError

    with pytest.raises(InterruptedTestError):
        await counting(bench).rebuild(interrupt)
    assert await dispensed(bench) == 2
    seen: list[Progress] = []
    await counting(bench).rebuild(seen.append)
    assert {progress.phase for progress in seen} == {Phase.COUNTING, Phase.FOLLOWING}
    assert await dispensed(bench) == 3


async def test_fault_36_a_restored_database_counts_on(tmp_path: Path) -> None:
    """Invariant 29: sums and their place are of one state, so they go back together."""
    database = BenchDatabase(tmp_path)
    async with database.open() as bench:
        await bench.furnish()
        await bench.report(await bench.dispatched("r1"))
        await bench.counting.catch_up()
        await bench.report(await bench.dispatched("r2"))
    copy = database.back_up()
    async with database.open() as bench:
        await bench.counting.catch_up()
        await bench.report(await bench.dispatched("r3"))
        await bench.counting.catch_up()
        assert await dispensed(bench) == 3
    database.restore(copy)
    async with database.open() as bench:
        assert await dispensed(bench) == 1
        await bench.counting.catch_up()
        assert await dispensed(bench) == 2
        await bench.events.end_cursors("other")
        await bench.report(await bench.dispatched("r4"))
        await bench.counting.catch_up()
        assert await dispensed(bench) == 3
