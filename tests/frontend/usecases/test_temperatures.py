import asyncio
import contextlib
from collections.abc import Callable, Sequence

import pytest

from drink_frontend.domain.durations import HOUR_MS
from drink_frontend.domain.errors import (
    FieldInvalidError,
    MachineNotFoundError,
    OutcomeUnknownError,
    StorageUnavailableError,
)
from drink_frontend.domain.temperatures import STEP_MS, Temperature
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases import temperatures as module
from drink_frontend.usecases.settings import TemperatureSettings
from drink_frontend.usecases.temperatures import Place, TemperatureQuery, Temperatures
from tests.support.bench import Bench

DAY_S = 86_400
ALL = TemperatureQuery(from_ms=0, before_ms=2**50)


async def rows(bench: Bench, query: TemperatureQuery = ALL) -> Sequence[Temperature]:
    return await bench.temperatures.list(query, None, 1_000)


async def pass_minutes(bench: Bench, minutes: int) -> None:
    """Time passes, in which the frontend looks each minute."""
    for _ in range(minutes):
        bench.clock.pass_s(60)
        await bench.temperatures.keep()


async def show(bench: Bench, celsius: float | None, machine: str = "d") -> None:
    await bench.agents.keep_status(machine, await bench.epoch(machine), {}, celsius)


async def test_what_agents_report_is_stored_when_five_minutes_are_over(bench: Bench) -> None:
    begin = bench.clock.now_ms()
    await show(bench, 4.0)
    await pass_minutes(bench, 4)
    assert await rows(bench) == []
    await show(bench, 6.5)
    await pass_minutes(bench, 1)
    assert await rows(bench) == [Temperature("d", STEP_MS, begin, 4.0, 4.5, 6.5, STEP_MS)]


async def test_a_link_that_ends_is_no_temperature_from_then_on(bench: Bench) -> None:
    await show(bench, 4.0)
    await pass_minutes(bench, 2)
    bench.agents.link_ended("d", await bench.epoch())
    await pass_minutes(bench, 13)
    assert [each.known_ms for each in await rows(bench)] == [120_000]


async def test_two_frontends_do_not_both_write(bench: Bench) -> None:
    other = Temperatures(bench.storage, bench.clock, TemperatureSettings())
    await show(bench, 4.0)
    await pass_minutes(bench, 1)
    # The machine links to the other frontend, and this one does not notice yet.
    epoch = (await bench.link("d")).epoch
    other.saw("d", epoch, 8.0)
    bench.clock.pass_s(240)
    await bench.temperatures.keep()
    await other.keep()
    (row,) = await rows(bench)
    assert (row.low, row.high, row.known_ms) == (8.0, 8.0, 240_000)


async def test_what_two_processes_measure_one_after_the_other_is_joined(bench: Bench) -> None:
    await show(bench, 4.0)
    bench.clock.pass_s(60)
    await bench.temperatures.keep(unfinished=True)
    after = Temperatures(bench.storage, bench.clock, TemperatureSettings())
    after.saw("d", (await bench.link("d")).epoch, 9.0)
    bench.clock.pass_s(240)
    await after.keep()
    (row,) = await rows(bench)
    assert (row.low, row.mean, row.high, row.known_ms) == (4.0, 8.0, 9.0, STEP_MS)


async def test_rows_wait_for_a_database_that_does_not_answer(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise StorageUnavailableError("no answer")

    await show(bench, 4.0)
    bench.clock.pass_s(300)
    with monkeypatch.context() as patch:
        patch.setattr(bench.storage, "write", refuse)
        with pytest.raises(StorageUnavailableError):
            await bench.temperatures.keep()
    assert await rows(bench) == []
    await bench.temperatures.keep()
    assert len(await rows(bench)) == 1


async def test_rows_that_may_be_stored_are_not_stored_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = bench.storage.write

    async def store_and_fail(work: object) -> None:
        await write(work)  # type: ignore[arg-type]
        raise OutcomeUnknownError("lost at the commit")

    await show(bench, 4.0)
    bench.clock.pass_s(300)
    with monkeypatch.context() as patch:
        patch.setattr(bench.storage, "write", store_and_fail)
        with pytest.raises(OutcomeUnknownError):
            await bench.temperatures.keep()
    await bench.temperatures.keep()
    assert [each.known_ms for each in await rows(bench)] == [STEP_MS]


async def test_rows_wait_for_an_hour_at_most(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise StorageUnavailableError("no answer")

    await show(bench, 4.0)
    with monkeypatch.context() as patch:
        patch.setattr(bench.storage, "write", refuse)
        for _ in range(180):
            bench.clock.pass_s(60)
            with contextlib.suppress(StorageUnavailableError):
                await bench.temperatures.keep()
    await bench.temperatures.keep()
    assert len(await rows(bench)) == HOUR_MS // STEP_MS


def found(machine: str = "d") -> Callable[[Transaction], tuple[int, int]]:
    """How many rows of five minutes, and of an hour, a machine has."""

    def count(tx: Transaction) -> tuple[int, int]:
        fine, hours = (
            tx.temperatures.between(machine, span_ms, 0, 2**50) for span_ms in (STEP_MS, HOUR_MS)
        )
        return len(fine), len(hours)

    return count


async def test_old_rows_become_hours_and_are_deleted_at_last(bench: Bench) -> None:
    kept = TemperatureSettings(fine_days=1, keep_days=2)
    bench.temperatures = temperatures = Temperatures(bench.storage, bench.clock, kept)
    temperatures.saw("d", await bench.epoch(), 4.0)
    for hour in range(60):
        if hour == 30:
            # Half an hour is another temperature, so that hours are told apart.
            temperatures.saw("d", await bench.epoch(), 10.0)
            bench.clock.pass_s(1_800)
            temperatures.saw("d", await bench.epoch(), 4.0)
            bench.clock.pass_s(1_800)
        else:
            bench.clock.pass_s(3_600)
        await temperatures.keep()
    fine, hours = await bench.storage.read(found())
    assert 24 * 12 <= fine <= 26 * 12
    assert 23 <= hours <= 25
    by_hour = await rows(bench, TemperatureQuery("d", HOUR_MS, 0, 2**50))
    assert len(by_hour) in range(47, 51)
    assert [(each.low, each.mean, each.high) for each in by_hour if each.high > 4] == [
        (4.0, 7.0, 10.0)
    ]
    assert {each.known_ms for each in by_hour} == {HOUR_MS}


async def test_a_clock_that_jumps_costs_two_hours_of_rows_in_each_hour(bench: Bench) -> None:
    kept = TemperatureSettings(fine_days=1, keep_days=2)
    bench.temperatures = temperatures = Temperatures(bench.storage, bench.clock, kept)
    temperatures.saw("d", await bench.epoch(), 4.0)
    for _ in range(12):
        bench.clock.pass_s(3_600)
        await temperatures.keep()
    before, _ = await bench.storage.read(found())
    bench.clock.jump_s(10_000 * DAY_S)
    for _ in range(60):
        bench.clock.pass_s(60)
        await temperatures.keep()
    bench.clock.jump_s(-10_000 * DAY_S)
    fine, hours = await bench.storage.read(found())
    # Twelve rows are those of the hour in which the clock was wrong.
    assert fine >= before + 12 - 24
    assert hours <= 2


async def test_all_machines_are_listed_in_pages(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MACHINES_AT_ONCE", 1)
    monkeypatch.setattr("drink_frontend.storage.temperatures.MACHINES_AT_ONCE", 1)
    for machine, celsius in (("d", 4.0), ("ld", 5.0)):
        await show(bench, celsius, machine)
    await pass_minutes(bench, 15)
    every = await rows(bench)
    assert [each.machine for each in every] == ["d"] * 3 + ["ld"] * 3
    place: Place | None = None
    paged: list[Temperature] = []
    while some := await bench.temperatures.list(ALL, place, 2):
        paged += some
        place = (some[-1].machine, some[-1].from_ms + STEP_MS)
    assert paged == every


async def test_a_day_is_listed_without_a_time(bench: Bench) -> None:
    await show(bench, 4.0)
    await pass_minutes(bench, 5)
    assert len(await rows(bench, TemperatureQuery("d"))) == 1
    bench.clock.pass_s(2 * DAY_S)
    assert await rows(bench, TemperatureQuery("d")) == []


async def test_what_cannot_be_listed_is_refused(bench: Bench) -> None:
    with pytest.raises(MachineNotFoundError):
        await rows(bench, TemperatureQuery("nowhere"))
    with pytest.raises(FieldInvalidError):
        await rows(bench, TemperatureQuery("d", from_ms=2, before_ms=1))
    for step_ms in (0, STEP_MS + 1, STEP_MS - 1, DAY_S * 1000 + STEP_MS):
        with pytest.raises(FieldInvalidError):
            TemperatureQuery("d", step_ms)


async def test_no_error_ends_the_work(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = asyncio.Event()
    errors = [StorageUnavailableError("no answer"), RuntimeError("a fault of the program")]

    async def keep() -> None:
        if errors:
            raise errors.pop(0)
        looked.set()

    monkeypatch.setattr(module, "LOOK_S", 0)
    monkeypatch.setattr(bench.temperatures, "keep", keep)
    work = asyncio.create_task(bench.temperatures.run())
    await asyncio.wait_for(looked.wait(), 20)
    assert not work.done()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
