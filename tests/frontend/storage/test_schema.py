"""Which schemas the program can work with, and what it needs of each table."""

import sqlite3
from pathlib import Path

import pytest

from drink_frontend.storage.database import Database
from drink_frontend.storage.engine import SchemaError
from drink_frontend.storage.schema import check_revision, is_compatible
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.tables import SCHEMA_REVISION
from tests.support.books import drop, open_house, reserve
from tests.support.databases import fresh_sqlite
from tests.support.postgres import fresh_postgres


def test_its_own_schema_is_taken_without_a_question() -> None:
    check_revision("drink.db", SCHEMA_REVISION, lambda: pytest.fail("asked"))


@pytest.mark.parametrize(
    ("revision", "oldest", "message"),
    [
        (None, None, "drink.db has no schema; .*: migrate makes it"),
        ("0000", "0000", "drink.db has the older schema revision 0000; .*: migrate brings"),
        ("9999", "9999", "drink.db has the newer schema revision 9999; .* a newer one"),
        ("9999", None, "drink.db has the newer schema revision 9999"),
    ],
)
def test_fault_39_what_it_cannot_live_with_is_refused(
    revision: str | None, oldest: str | None, message: str
) -> None:
    with pytest.raises(SchemaError, match=message):
        check_revision("drink.db", revision, lambda: oldest)


@pytest.mark.parametrize("oldest", ["0000", SCHEMA_REVISION])
def test_fault_39_a_newer_schema_that_only_adds_is_taken(oldest: str) -> None:
    check_revision("drink.db", "9999", lambda: oldest)
    assert is_compatible("9999", lambda: oldest)


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_trying_everything_changes_nothing(engine: str, tmp_path: Path) -> None:
    settings = fresh_sqlite(tmp_path) if engine == "sqlite" else fresh_postgres()
    async with open_house(settings) as storage:
        await storage.write(lambda tx: reserve(tx, drop(1)))
        before = await storage.read(lambda tx: (tx.accounts.list_users(), tx.drops.get(drop(1).id)))
        await storage.write(lambda tx: tx.exercise())
        after = await storage.read(lambda tx: (tx.accounts.list_users(), tx.drops.get(drop(1).id)))
        assert after == before
        assert await storage.verify() == []


async def test_a_table_that_is_gone_is_noticed(tmp_path: Path) -> None:
    settings: StorageSettings = fresh_sqlite(tmp_path)
    async with Database.open(settings) as storage:
        with sqlite3.connect(settings.path) as person:
            person.execute("DROP TABLE tokens")
        person.close()
        with pytest.raises(sqlite3.OperationalError, match="no such table: tokens"):
            await storage.write(lambda tx: tx.exercise())
