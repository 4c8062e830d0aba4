"""What runs statements on PostgreSQL: several of them in one round trip."""

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import bindparam, delete, select

from drink_frontend.storage.postgres_dial import GuardedConnection, dial
from drink_frontend.storage.postgres_executor import PostgresExecutor
from drink_frontend.storage.statements import Statement
from drink_frontend.storage.tables import items
from tests.support.postgres import fresh_postgres

NAMED = Statement(select(items.c.number, items.c.name).where(items.c.name == bindparam("name")))
REMOVE = Statement(delete(items).where(items.c.name == bindparam("name")))
ADD = "INSERT INTO items (name, price, created_ms, updated_ms) VALUES ('Coke', 50, 0, 0)"


@pytest.fixture
def driver() -> Iterator[GuardedConnection]:
    with dial(fresh_postgres(), read_only=False) as driver:
        yield driver


@pytest.fixture
def executor(driver: GuardedConnection) -> PostgresExecutor:
    driver.run(ADD)
    return PostgresExecutor(driver, writes=True)


def test_several_queries_take_one_round_trip(
    driver: GuardedConnection, executor: PostgresExecutor
) -> None:
    trips: list[None] = []
    driver.on_round_trip = lambda: trips.append(None)
    (coke, none) = executor.several((NAMED, {"name": "Coke"}), (NAMED, {"name": "Tea"}))
    assert [name for _, name in coke] == ["Coke"]
    assert none == []
    assert len(trips) == 1


def test_what_is_run_before_and_after_travels_with_the_statements(
    driver: GuardedConnection, executor: PostgresExecutor
) -> None:
    trips: list[None] = []
    driver.on_round_trip = lambda: trips.append(None)
    assert executor.exchange((), before=("BEGIN", ADD), after=("ROLLBACK",)) == []
    assert len(trips) == 1
    assert len(executor.all(NAMED, name="Coke")) == 1


def test_changed_rows_are_counted(executor: PostgresExecutor) -> None:
    assert executor.run(REMOVE, name="Tea") == 0
    assert executor.run(REMOVE, name="Coke") == 1


def test_no_row_is_like_a_text_with_a_nul_and_none_can_be_changed_by_it(
    executor: PostgresExecutor,
) -> None:
    assert executor.all(NAMED, name="Co\0ke") == []
    with pytest.raises(psycopg.DataError):
        executor.run(REMOVE, name="Co\0ke")
