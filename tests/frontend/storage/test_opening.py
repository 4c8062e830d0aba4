"""The settings say which engine is opened."""

import sys
from pathlib import Path

import pytest

from drink_frontend.storage.errors import StorageError
from drink_frontend.storage.opening import open_storage
from drink_frontend.storage.postgres import PostgresStorage
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.sqlite import SqliteStorage
from tests.fakes.databases import fresh_sqlite
from tests.fakes.postgres import fresh_postgres


async def test_without_an_address_it_is_sqlite(tmp_path: Path) -> None:
    async with open_storage(fresh_sqlite(tmp_path)) as storage:
        assert isinstance(storage, SqliteStorage)


async def test_with_an_address_it_is_postgresql() -> None:
    async with open_storage(fresh_postgres()) as storage:
        assert isinstance(storage, PostgresStorage)


async def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StorageError, match=r"install drink-frontend\[postgres\]"):
        open_storage(StorageSettings(url="postgresql://127.0.0.1/drink"))
