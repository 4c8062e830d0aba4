"""An SQLite engine whose writer fails as scripted, at the calls where a real disk fails it."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from drink_frontend.storage.changes import NO_CHANGES, ChangeSet
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.sqlite_engine import SqliteConnection, SqliteEngine
from drink_frontend.storage.statements import Call


def driver_error(code: int) -> sqlite3.OperationalError:
    """What SQLite's driver raises for a result code."""
    error = sqlite3.OperationalError(f"SQLite says {code}")
    error.sqlite_errorcode = code
    return error


class FlakyConnection(SqliteConnection):
    """A writer's connection with a script of failures.

    Attributes:
        failures: Calls that fail, by name; each failure happens once. A failing COMMIT leaves what
            SQLite leaves: an open transaction after BUSY, none after other errors.
    """

    failures: dict[str, sqlite3.Error]

    def begin(self, calls: Sequence[Call] = ()) -> Sequence[Any]:
        self._fail("begin")
        return super().begin(calls)

    def commit(self, changes: ChangeSet = NO_CHANGES, /) -> None:
        error = self.failures.pop("commit", None)
        if error is not None:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                super().rollback()
            raise error
        super().commit(changes)

    def rollback(self) -> None:
        self._fail("rollback")
        super().rollback()

    def changed_elsewhere(self) -> bool:
        self._fail("changed_elsewhere")
        return super().changed_elsewhere()

    def _fail(self, call: str) -> None:
        if call in self.failures:
            raise self.failures.pop(call)


class FlakyEngine(SqliteEngine):
    """A real engine, whose writer is flaky.

    Args:
        settings: Of the database.
    """

    def __init__(self, settings: StorageSettings) -> None:
        super().__init__(settings, exclusive=True)
        self.failures: dict[str, sqlite3.Error] = {}

    def connect(self, *, read_only: bool) -> SqliteConnection:
        connection = super().connect(read_only=read_only)
        if not read_only:
            connection.__class__ = FlakyConnection
            assert isinstance(connection, FlakyConnection)
            connection.failures = self.failures
        return connection
