"""Statements on many rows: what is given is found or stored, whatever the number of rows."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import BigInteger, Double, select, update

from drink_frontend.storage.bulk import ROWS_MAX, Bulk, Numbers, given, insert_given
from drink_frontend.storage.columns import TEXT
from drink_frontend.storage.postgres_dial import dial
from drink_frontend.storage.postgres_executor import DIALECT as POSTGRES
from drink_frontend.storage.postgres_executor import PostgresExecutor
from drink_frontend.storage.sqlite_engine import DIALECT
from drink_frontend.storage.statements import Executor, constant
from drink_frontend.storage.tables import audit, items
from tests.support.databases import fresh_sqlite
from tests.support.postgres import fresh_postgres

ADD = insert_given(items, "number", "name", "price", "created_ms", "updated_ms")
_BY_NUMBER = given(items.c.number)
FIND = Bulk(
    _BY_NUMBER,
    select(items.c.number, items.c.name).select_from(
        _BY_NUMBER.join(items, items.c.number == _BY_NUMBER.c.number)
    ),
)
_PRICED = given(items.c.number, items.c.price)
PRICE = Bulk(
    _PRICED,
    update(items).where(items.c.number == _PRICED.c.number).values(price=_PRICED.c.price),
)


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[Executor]:
    with closing(sqlite3.connect(fresh_sqlite(tmp_path).path)) as connection:
        yield Executor(connection.cursor(), DIALECT)


@pytest.mark.parametrize("count", [1, 2, 3, ROWS_MAX - 1, ROWS_MAX, ROWS_MAX + 1, 500])
def test_any_number_of_rows_is_stored_changed_and_found(executor: Executor, count: int) -> None:
    rows = [(number, f"item {number}", 1, 0, 0) for number in range(1, count + 1)]
    prices = [(number, 2) for number in range(1, count + 1)]
    wanted = [(number,) for number in range(1, count + 2)]
    added, priced, found = executor.exchange([(ADD, rows), (PRICE, prices), (FIND, wanted)])
    assert (added, priced) == (count, count)
    assert sorted(found) == [(number, f"item {number}") for number in range(1, count + 1)]


def test_few_statements_are_prepared() -> None:
    texts = {
        text
        for count in range(1, 300)
        for text, _ in ADD.parts(DIALECT, [(1, "x", 1, 0, 0)] * count)
    }
    assert len(texts) == ROWS_MAX.bit_length()


def test_postgres_gets_an_array_for_each_column() -> None:
    ((text, parameters),) = PRICE.parts(POSTGRES, [(1, 5), (2, 6)])
    assert "unnest(%(number)s::bigint[], %(price)s::bigint[])" in text
    assert parameters == {"number": "{1,2}", "price": "{5,6}"}


def test_postgres_gets_all_values_as_they_are() -> None:
    texts = [
        *("", " ", "NULL", "null", '"', "\\", '\\"', "a,b", "{}", "{a}", "'", "%s", "\n\t", "ü🥤"),
        '{"a":"b\\\\c\\n\\u0000"}',
        None,
    ]
    rows = [
        (text, number, number / 3) if text else (text, None, None)
        for number, text in enumerate(texts)
    ]
    echo = given(name=TEXT, number=BigInteger(), celsius=Double())
    with dial(fresh_postgres(), read_only=False) as driver:
        executor = PostgresExecutor(driver, writes=True)
        (found,) = executor.exchange([(Bulk(echo, select(*echo.c)), rows)])
    assert found == rows


def test_numbers_follow_the_highest_one(executor: Executor) -> None:
    numbers = Numbers(audit)
    assert executor.exchange([(numbers, [(3, 0)])]) == [[(1,), (2,), (3,)]]
    # Those that were taken before in the transaction are not in the table yet.
    assert executor.exchange([(numbers, [(1, 3)])]) == [[(4,)]]


def test_a_value_in_a_statement_is_a_mistake() -> None:
    with pytest.raises(AssertionError):
        Bulk(_BY_NUMBER, select(items.c.name).where(items.c.price > 7)).text(DIALECT, 1)
    assert Bulk(_BY_NUMBER, select(items.c.name).where(items.c.price > constant(7)))
