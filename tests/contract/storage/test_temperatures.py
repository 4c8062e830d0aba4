"""The contract of `TemperatureTable`."""

import sqlite3
from dataclasses import replace

import psycopg
import pytest

from drink_frontend.domain.durations import HOUR_MS
from drink_frontend.domain.temperatures import STEP_MS, Temperature
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction

BEGIN = 1_800_000_000_000


def row(number: int, mean: float = 4.5, known_ms: int = STEP_MS) -> Temperature:
    return Temperature("d", STEP_MS, BEGIN + number * STEP_MS, mean - 1, mean, mean + 2, known_ms)


async def keep(house: Database, *rows: Temperature) -> None:
    def add(tx: Transaction) -> None:
        for each in rows:
            tx.temperatures.add(each)

    await house.write(add)


async def test_rows_are_read_as_they_were_stored(house: Database) -> None:
    await keep(house, row(0), row(1, 5.25), row(14))
    found = await house.read(lambda tx: tx.temperatures.get("d", STEP_MS, BEGIN + STEP_MS))
    assert found == row(1, 5.25)
    assert await house.read(lambda tx: tx.temperatures.get("d", HOUR_MS, BEGIN)) is None
    assert await house.read(lambda tx: tx.temperatures.oldest("d", STEP_MS)) == BEGIN
    assert await house.read(lambda tx: tx.temperatures.oldest("d", HOUR_MS)) is None
    hour = await house.read(
        lambda tx: tx.temperatures.between("d", STEP_MS, BEGIN, BEGIN + HOUR_MS - 1)
    )
    assert hour == [row(0), row(1, 5.25)]


async def test_rows_are_changed_and_removed(house: Database) -> None:
    await keep(house, row(0), row(1))
    await house.write(lambda tx: tx.temperatures.change(row(1, 7.0, 1_000)))
    await house.write(lambda tx: tx.temperatures.remove("d", STEP_MS, BEGIN, BEGIN))
    left = await house.read(lambda tx: tx.temperatures.between("d", STEP_MS, 0, BEGIN + HOUR_MS))
    assert left == [row(1, 7.0, 1_000)]


async def test_steps_join_rows_by_the_time_that_is_known_of_them(house: Database) -> None:
    old = Temperature("d", HOUR_MS, BEGIN - HOUR_MS, 1.0, 2.0, 3.0, HOUR_MS)
    await keep(house, old, row(0, 4.0), row(1, 10.0, STEP_MS // 2), row(12, 6.0))

    async def steps(step_ms: int, limit: int = 9, first_ms: int = 0) -> list[Temperature]:
        return list(
            await house.read(
                lambda tx: tx.temperatures.steps("d", step_ms, first_ms, BEGIN + HOUR_MS, limit)
            )
        )

    assert await steps(HOUR_MS) == [
        old,
        Temperature("d", HOUR_MS, BEGIN, 3.0, 6.0, 12.0, STEP_MS + STEP_MS // 2),
        Temperature("d", HOUR_MS, BEGIN + HOUR_MS, 5.0, 6.0, 8.0, STEP_MS),
    ]
    # What is kept by the hour is not shown by five minutes.
    assert await steps(STEP_MS) == [old, row(0, 4.0), row(1, 10.0, STEP_MS // 2), row(12, 6.0)]
    assert await steps(STEP_MS, limit=2, first_ms=BEGIN) == [
        row(0, 4.0),
        row(1, 10.0, STEP_MS // 2),
    ]
    (all_of_it,) = await steps(24 * HOUR_MS)
    assert (all_of_it.low, all_of_it.high) == (1.0, 12.0)
    assert all_of_it.span_ms == 24 * HOUR_MS


async def test_machines_are_named_in_order(house: Database) -> None:
    names = await house.read(lambda tx: tx.temperatures.machines_from(""))
    assert list(names) == sorted(names)
    assert names[0] == "d"
    assert await house.read(lambda tx: tx.temperatures.machines_from("d\0")) == names[1:]


@pytest.mark.parametrize(
    "wrong",
    [
        replace(row(0), known_ms=0),
        replace(row(0), known_ms=STEP_MS + 1),
        replace(row(0), from_ms=BEGIN + 1),
        replace(row(0), mean=99.0),
        replace(row(0), machine="nowhere"),
    ],
)
async def test_no_row_that_cannot_be_is_stored(house: Database, wrong: Temperature) -> None:
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        await keep(house, wrong)
