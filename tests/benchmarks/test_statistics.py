"""The benchmark of statistics: its sums are those of drops, and every question finds some."""

import dataclasses
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks import rows_statistics
from benchmarks.fill_statistics import PRICE, SALES, fill_statistics, parameters
from benchmarks.sizes import QUICK
from benchmarks.systems import Frontend
from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.statistics import Tally
from tests.support.books import drop

YEARS = range(2024, 2026)
BUYERS = 3


@pytest.fixture
def database(tmp_path: Path) -> Path:
    frontend = Frontend(tmp_path)
    frontend.install()
    return frontend.database


def counted() -> tuple[int, dict[tuple[object, ...], list[int]]]:
    """How many drops there are, and the sums that the service would make of them."""
    tally, number = Tally(), 0
    with closing(sqlite3.connect(":memory:")) as connection:
        for year in YEARS:
            for account, day, machine, item, hour, dispensed in connection.execute(
                SALES, parameters(YEARS, year, BUYERS)
            ):
                number += 1
                assert day // 10_000 == year
                outcome = State.DISPENSED if dispensed else State.NOT_DISPENSED
                sold = drop(
                    number,
                    account=account,
                    machine=machine,
                    item=item,
                    price=PRICE,
                    state=outcome,
                    cause=Cause.BOARD_ACK if dispensed else Cause.BOARD_REFUSED,
                )
                tally.count(sold, day, int(hour))
    return number, {tuple(key): numbers for key, numbers in tally.rows.items()}


def test_the_sums_are_those_of_the_drops(database: Path) -> None:
    filled = fill_statistics(database, YEARS, BUYERS)
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT * FROM statistics").fetchall()
    drops, sums = counted()
    assert {row[:5]: list(row[5:]) for row in rows} == sums
    assert (filled.drops, filled.rows) == (drops, len(sums))
    assert drops > 731 * BUYERS * 2
    assert filled.size > 0


async def test_every_question_is_answered(tmp_path: Path) -> None:
    sizes = dataclasses.replace(QUICK, statistics_years=1, statistics_buyers=11)
    size, *rows = await rows_statistics.questions(tmp_path, sizes)
    assert size.ours > 0
    assert all(row.ours > 0 and not row.note.startswith("0 ") for row in rows)
    found = {row.what.removeprefix("statistics, "): row.note for row in rows}
    assert found["by account, a month"] == "11 rows"
    assert found["by month, ever"] == "12 rows"
    assert found["by day and item, a year, second page"] == "1,000 rows"
    assert found["ranking of a year"] == "10 rows"
    assert found["of one account, week to ever and streak"] == "1 row"
