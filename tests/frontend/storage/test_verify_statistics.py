"""The check of statistics: silent about sound sums, wherever they are, and it finds wrong ones."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from drink_frontend.storage.verify_statistics import check_statistics
from drink_frontend.usecases.refunds import RefundOrder
from tests.support.bench import BenchDatabase
from tests.support.ids import BOB


@pytest.fixture
async def house(tmp_path: Path) -> Path:
    """The database of a house whose sums are behind a decision, a refund and a new drop."""
    database = BenchDatabase(tmp_path)
    async with database.open() as bench:
        await bench.furnish()
        sold = await bench.dispatched("r1")
        await bench.report(sold)
        await bench.report(await bench.dispatched("r2", slot=2))
        unknown = await bench.unknown("r3", account=BOB, machine="ld")
        database.clock.pass_s(40 * 86_400)
        await bench.report(await bench.dispatched("r4"))
        await bench.counting.catch_up()
        root = await bench.account("root")
        await bench.drops.decide("root", unknown.id, dispensed=False, why="looked")
        order = RefundOrder(request_id="back", drop_id=sold.id, reason="stale", credits_given=9)
        await bench.drops.refund(root, order)
        await bench.unknown("r5", account=BOB, machine="ld")
    return database.path


@pytest.fixture
def books(house: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(house)) as connection:
        yield connection


def problems(books: sqlite3.Connection) -> list[str]:
    return list(check_statistics(lambda sql: books.execute(sql).fetchall()))


def test_sums_that_are_behind_are_sound(books: sqlite3.Connection) -> None:
    assert problems(books) == []


@pytest.mark.parametrize(
    ("kind", "about"),
    [("DAY", "day "), ("HOUR", "hour "), ("ITEM", "Coke at machine"), ("ACCOUNT", "buyer ")],
)
@pytest.mark.parametrize(
    "number",
    ["dispensed", "failed", "cancelled", "unknown", "refunds", "spent", "held", "refunded"],
)
def test_a_wrong_sum_is_found(
    books: sqlite3.Connection, kind: str, about: str, number: str
) -> None:
    """Invariant 29."""
    books.execute(
        f"UPDATE statistics SET {number} = {number} + 1 WHERE owner = '' AND kind = '{kind}'"
    )
    assert any(about in each and each.startswith("29: ") for each in problems(books))


@pytest.mark.parametrize("kind", ["DAY", "ITEM", "HOUR"])
@pytest.mark.parametrize("owner", ["=", "<>"])
@pytest.mark.parametrize("period", ["< 10000", "BETWEEN 100000 AND 999999", "> 10000000"])
def test_a_row_too_few_is_found(
    books: sqlite3.Connection, kind: str, owner: str, period: str
) -> None:
    """Invariant 29: among those of days and those of months, of the house and of accounts."""
    gone = books.execute(
        f"DELETE FROM statistics WHERE owner {owner} '' AND kind = '{kind}' AND period {period}"
    ).rowcount
    assert bool(problems(books)) == bool(gone)


@pytest.mark.parametrize(
    "wrong",
    [
        "UPDATE statistics SET subject = '01' WHERE kind = 'HOUR' AND owner = ''",
        "UPDATE statistics SET period = period + 1 WHERE kind = 'DAY' AND period > 10000000",
        "UPDATE statistics SET subject = 'Mate' WHERE kind = 'ITEM' AND subject = 'Tea'",
        "UPDATE statistics_progress SET time_zone = 'Asia/Tokyo'",
        "UPDATE statistics_progress SET event_sequence = event_sequence + 2",
        "UPDATE statistics_progress SET phase = 'COUNTING', drop_sequence = 1",
        "DELETE FROM statistics_unknown",
        "INSERT INTO statistics_unknown VALUES ('no drop')",
    ],
)
def test_sums_in_a_wrong_place_are_found(books: sqlite3.Connection, wrong: str) -> None:
    """Invariant 29."""
    assert books.execute(wrong).rowcount
    found = problems(books)
    assert found
    assert all(each.startswith("29: ") for each in found)


def test_sums_that_are_deleted_are_not_compared(books: sqlite3.Connection) -> None:
    books.execute("UPDATE statistics_progress SET phase = 'CLEARING'")
    books.execute("DELETE FROM statistics WHERE kind = 'DAY'")
    assert problems(books) == []
