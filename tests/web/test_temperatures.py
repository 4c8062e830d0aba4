import asyncio
import time
from pathlib import Path

from drink_frontend.domain.durations import HOUR_MS
from drink_frontend.domain.temperatures import STEP_MS, Temperature
from drink_frontend.storage.transaction import Transaction
from drink_web.temperatures import SPANS, draw
from tests.web.visitor import LIMIT_S, House, running_house


def hours_ago(hours: int) -> int:
    return (int(time.time() * 1000) // HOUR_MS - hours) * HOUR_MS


async def keep(house: House, *rows: Temperature) -> None:
    def add(tx: Transaction) -> None:
        for row in rows:
            tx.temperatures.add(row)

    await house.bench.storage.write(add)


async def warm_day(house: House, machine: str = "d") -> None:
    """A machine that was at 4 degrees for a day, and two hours ago at 9 for five minutes."""
    rows = [
        Temperature(machine, STEP_MS, hours_ago(hour), 3.5, 4.0, 4.5, STEP_MS)
        for hour in range(1, 20)
    ]
    rows.append(Temperature(machine, STEP_MS, hours_ago(2) + STEP_MS, 9, 9, 9, STEP_MS))
    await keep(house, *rows)


async def test_a_time_is_drawn_with_its_numbers(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        await warm_day(house)
        api = house.site.api
        day, week, *_ = SPANS
        drawn = await draw(api, "machines/d", day, api.caller())
        assert drawn.curve is not None
        assert (drawn.curve.low, drawn.curve.high) == (3.5, 9)
        assert round(drawn.mean, 3) == 4.25
        assert drawn.end.seconds - drawn.begin.seconds == day.length_s
        assert len(drawn.rows) == 19
        assert len((await draw(api, "machines/d", week, api.caller())).rows) in (10, 11)
        nothing = await draw(api, "machines/ld", day, api.caller())
        assert nothing.curve is None
        assert nothing.rows == []


async def test_the_first_page_has_a_drawing_beside_the_temperature(tmp_path: Path) -> None:
    async with running_house(tmp_path, frontend={"temperatures_s": 1}) as house:
        await house.bench.agents.keep_status("d", await house.bench.epoch(), {}, 4.0)
        known = house.site.house
        await warm_day(house)
        async with asyncio.timeout(LIMIT_S):
            while not known.sparks.known:
                await known.changed(known.version)
        text = (await house.visitor().get("/")).text
        assert 'id="spark-d" viewBox' in text
        assert "In the last day between 3.5 °C and 9.0 °C" in text
        # The other one has no thermometer.
        assert '<span class="spark" id="spark-ld"></span>' in text
        same = known.sparks.known
        assert not await known.sparks.refresh()
        assert known.sparks.known is same


async def test_a_machine_that_was_measured_for_a_moment_has_no_drawing(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        rows = [Temperature("d", STEP_MS, hours_ago(hour), 4, 4, 4, STEP_MS) for hour in (3, 2)]
        await keep(house, *rows)
        assert not await house.site.house.sparks.refresh()
        await keep(house, Temperature("d", STEP_MS, hours_ago(1), 4, 4, 4, STEP_MS))
        assert await house.site.house.sparks.refresh()


async def test_a_new_drawing_is_told_alone(tmp_path: Path) -> None:
    async with running_house(tmp_path, frontend={"temperatures_s": 1}) as house:
        page = "0123456789012345678901"
        async with (
            house.visitor().stream(f"/events?page={page}") as stream,
            asyncio.timeout(LIMIT_S),
        ):
            while "machine-ld" not in await stream.get():
                pass
            await warm_day(house)
            while "spark-d" not in (told := await stream.get()):
                pass
            assert "<svg" in told
            assert "machine-d" not in told
