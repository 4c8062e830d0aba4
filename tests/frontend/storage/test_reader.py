"""The reader when a query is too slow or the database fails it."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from drink_frontend.domain.errors import StorageUnavailableError
from drink_frontend.storage.database import Database
from drink_frontend.storage.reader import Reader
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.sqlite_engine import SqliteConnection, SqliteEngine
from drink_frontend.storage.statements import Call, Statement
from drink_frontend.storage.transaction import Transaction
from tests.fakes.engines import driver_error
from tests.support.databases import fresh_sqlite


class FlakyReads(SqliteEngine):
    """A real engine whose readers cannot begin while `fails` is set."""

    def __init__(self, settings: StorageSettings) -> None:
        super().__init__(settings, exclusive=False)
        self.fails = False

    def connect(self, *, read_only: bool) -> SqliteConnection:
        """A connection that looks at the engine before it begins."""
        connection = super().connect(read_only=read_only)
        begin = connection.begin

        def begin_or_fail(calls: Sequence[Call] = ()) -> Sequence[Any]:
            if self.fails:
                raise driver_error(sqlite3.SQLITE_BUSY)
            return begin(calls)

        connection.begin = begin_or_fail  # type: ignore[method-assign]
        return connection


ENDLESS = Statement(
    text(
        "WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted)"
        " SELECT COUNT(*) FROM counted"
    )
)


def endless(tx: Transaction) -> None:
    tx.accounts._executor.all(ENDLESS)


async def test_a_query_that_does_not_end_is_given_up(tmp_path: Path) -> None:
    settings = fresh_sqlite(tmp_path, readers=1, read_limit_ms=500)
    async with Database.open(settings) as storage:
        for _ in range(2):
            with pytest.raises(StorageUnavailableError):
                await storage.read(endless)
        assert await storage.read(lambda tx: tx.accounts.list_users()) == []


@pytest.mark.parametrize("code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR_READ])
async def test_a_query_that_the_database_fails_is_refused(tmp_path: Path, code: int) -> None:
    def fail(_: Transaction) -> None:
        raise driver_error(code)

    async with Database.open(fresh_sqlite(tmp_path)) as storage:
        with pytest.raises(StorageUnavailableError):
            await storage.read(fail)
        assert await storage.read(lambda tx: tx.accounts.list_users()) == []


async def test_a_mistaken_query_raises_its_own_error(tmp_path: Path) -> None:
    mistaken = Statement(text("SELECT 1 FROM nowhere"))
    async with Database.open(fresh_sqlite(tmp_path)) as storage:
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            await storage.read(lambda tx: tx.accounts._executor.all(mistaken))


async def test_an_idle_reader_finds_out_that_the_database_is_away_and_back(tmp_path: Path) -> None:
    settings = fresh_sqlite(tmp_path)
    engine = FlakyReads(settings)
    reader = Reader(engine, 1)
    reader.idle()
    assert reader.able
    engine.fails = True
    reader.idle()
    assert not reader.able
    engine.fails = False
    reader.idle()
    assert reader.able
    reader.close()
    engine.close()
