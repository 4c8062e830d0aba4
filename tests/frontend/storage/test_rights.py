"""What the service needs of each table, and that trying it changes nothing."""

import sqlite3
from pathlib import Path

import pytest

from drink_frontend.storage.opening import open_storage
from drink_frontend.storage.rights import rights_on
from drink_frontend.storage.settings import StorageSettings
from tests.fakes.books import drop, found, reserve
from tests.fakes.databases import fresh_sqlite
from tests.fakes.postgres import fresh_postgres


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_trying_everything_changes_nothing(engine: str, tmp_path: Path) -> None:
    settings = fresh_sqlite(tmp_path) if engine == "sqlite" else fresh_postgres()
    async with open_storage(settings) as storage:
        await storage.write(found)
        await storage.write(lambda tx: reserve(tx, drop(1)))
        before = await storage.read(lambda tx: (tx.accounts.list_users(), tx.drops.get(drop(1).id)))
        await storage.write(lambda tx: tx.exercise())
        after = await storage.read(lambda tx: (tx.accounts.list_users(), tx.drops.get(drop(1).id)))
        assert after == before
        assert await storage.verify() == []


async def test_a_table_that_is_gone_is_noticed(tmp_path: Path) -> None:
    settings: StorageSettings = fresh_sqlite(tmp_path)
    async with open_storage(settings) as storage:
        with sqlite3.connect(settings.path) as person:
            person.execute("DROP TABLE tokens")
        person.close()
        with pytest.raises(sqlite3.OperationalError, match="no such table: tokens"):
            await storage.write(lambda tx: tx.exercise())


def test_what_is_never_changed_needs_no_right_to_change_it() -> None:
    assert list(rights_on("transfers")) == ["SELECT", "INSERT"]
    assert list(rights_on("compatibility")) == ["SELECT"]
    assert list(rights_on("tokens")) == ["SELECT", "INSERT", "UPDATE", "DELETE"]
