"""The engine for SQLite: connections, the lock of the database, and errors.

A commit is durable when COMMIT returns, because `synchronous` is FULL: the write-ahead log (WAL) is
synced at each commit. After an I/O error the process writes nothing any more: the system's cache
may differ from the disk, and only a new process reads the disk again. A full disk is no such error:
SQLite undoes the transaction, and the next one may succeed.
"""

import asyncio
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from drink_frontend.storage.changes import NO_CHANGES, ChangeSet
from drink_frontend.storage.engine import (
    DatabaseLockedError,
    Fault,
    Query,
    SchemaError,
    StorageError,
)
from drink_frontend.storage.schema import OLDEST, REVISION, check_revision
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.statements import Call, Executor

DIALECT = SQLiteDialect_pysqlite(paramstyle="named")

_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_PROTOCOL,
}
_BROKEN = {
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CANTOPEN,
}
_STEPS_PER_LOOK = 50_000
"""Instructions of SQLite's virtual machine, about 1 ms, between two checks of a query's limit."""


class SqliteConnection:
    """A connection to an SQLite database.

    Args:
        driver: The driver's connection, in autocommit mode.
        read_only: Whether it is a reader's.
    """

    def __init__(self, driver: sqlite3.Connection, *, read_only: bool) -> None:
        self._driver = driver
        self._version = 0
        self._cursor = driver.cursor()
        self._run = self._cursor.execute
        self._begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"
        self._gives_up_at = float("inf")
        self.executor = Executor(self._cursor, DIALECT)
        if read_only:
            driver.set_progress_handler(self._over_limit, _STEPS_PER_LOOK)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._driver.in_transaction

    def begin(self, calls: Sequence[Call] = ()) -> Sequence[Any]:
        """Begins a transaction; a writer's locks the database at once."""
        self._run(self._begin)
        return self.executor.exchange(calls)

    def commit(self, _: ChangeSet = NO_CHANGES, /) -> None:
        """Makes the transaction durable: SQLite syncs its journal.

        Other processes detect changes of the file by themselves.
        """
        self._run("COMMIT")

    def rollback(self) -> None:
        """Undoes the transaction; ends a reader's snapshot."""
        self._run("ROLLBACK")

    def announce(self, _query: object, /, *, is_last: bool) -> None:
        """Does nothing: there are no round trips to save."""

    def limit(self, seconds: float) -> None:
        """Interrupts a query after that time, counted from now."""
        self._gives_up_at = time.monotonic() + seconds

    def changed_elsewhere(self) -> bool:
        """Whether another process has committed since the last call."""
        before = self._version
        # data_version counts the commits of other connections; readers commit nothing.
        (self._version,) = self._run("PRAGMA data_version").fetchone()
        return before not in (0, self._version)

    def close(self) -> None:
        """Closes the connection."""
        # The cursor too: SQLite keeps the files open as long as it has a statement.
        self._cursor.close()
        self._driver.close()

    def _over_limit(self) -> bool:
        return time.monotonic() > self._gives_up_at


class SqliteEngine:
    """An SQLite database file.

    Args:
        settings: Path of the file, and limits.
        exclusive: Whether to lock the database against other frontends while it is open.

    Raises:
        DatabaseLockedError: another frontend has it open.
        SchemaError: there is no database, or its schema is not compatible with this program.
        StorageError: it cannot be read or written.
    """

    shared = False
    round_trips: Mapping[str, int] = MappingProxyType({})
    """None: it is a file."""

    def __init__(self, settings: StorageSettings, *, exclusive: bool) -> None:
        self._settings = settings
        self._lock = lock(settings.path) if exclusive else None
        try:
            _check_schema(settings)
        except BaseException:
            self.close()
            raise

    def connect(self, *, read_only: bool) -> SqliteConnection:
        """A new connection."""
        return SqliteConnection(open_file(self._settings, read_only=read_only), read_only=read_only)

    @property
    def batch_max(self) -> int:
        """Most units of work in one transaction: as many as the settings allow."""
        return self._settings.write_batch_max

    def fault(self, error: BaseException) -> Fault | None:
        """What a driver's error means; None for one that is a mistake of the program."""
        code = getattr(error, "sqlite_errorcode", None)
        if not isinstance(error, sqlite3.Error) or code is None:
            return None
        primary = code & 0xFF
        if primary in _BROKEN:
            return Fault.BROKEN
        return Fault.UNAVAILABLE if primary in _UNAVAILABLE else None

    @contextmanager
    def reading(self) -> Iterator[Query]:
        """A snapshot of the whole database."""
        with reading(self._settings) as connection:
            yield connection.execute

    async def listen(
        self, _heard: Callable[[ChangeSet | None], None], tried: asyncio.Event, /
    ) -> None:
        """Returns at once: `SqliteConnection.changed_elsewhere` asks the file."""
        tried.set()

    def close(self) -> None:
        """Closes the connection."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def open_file(settings: StorageSettings, *, read_only: bool) -> sqlite3.Connection:
    """Opens an existing database file with the settings that durability and constraints need."""
    mode = "ro" if read_only else "rw"
    pragmas = {} if read_only else {"journal_mode": "WAL"}
    pragmas |= {
        "synchronous": "FULL",
        "foreign_keys": "ON",
        # Without it REPLACE deletes rows without running the triggers that forbid that.
        "recursive_triggers": "ON",
        "trusted_schema": "OFF",
        "cache_size": str(-settings.cache_kib),
        "wal_autocheckpoint": str(settings.checkpoint_pages),
        # While readers prevent a checkpoint the WAL grows; then it is truncated afterwards.
        "journal_size_limit": str(4 * 4_096 * settings.checkpoint_pages),
        "query_only": "ON" if read_only else "OFF",
        # Temporary results would be in files, for which descriptors may be missing.
        "temp_store": "MEMORY",
    }
    with ExitStack() as undo:
        try:
            connection = sqlite3.connect(
                f"file:{quote(str(settings.path.absolute()))}?mode={mode}",
                uri=True,
                timeout=settings.busy_timeout_ms / 1000,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=512,
            )
            undo.callback(connection.close)
            for name, value in pragmas.items():
                connection.execute(f"PRAGMA {name} = {value}").close()
            (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
        except sqlite3.Error as error:
            raise _unusable(settings, error) from error
        if not read_only and journal != "wal":
            raise StorageError(f"the file system of {settings.path} cannot share memory")
        undo.pop_all()
    return connection


@contextmanager
def reading(settings: StorageSettings) -> Iterator[sqlite3.Connection]:
    """A read-only connection of the driver, beside a frontend that has the database open.

    All its queries see one snapshot, taken by the first: what a frontend commits between two of
    them would look like a broken invariant.

    Raises:
        SchemaError: there is no database, or its schema is not compatible with this program.
    """
    _check_schema(settings)
    connection = open_file(settings, read_only=True)
    connection.execute("BEGIN")
    try:
        yield connection
    finally:
        connection.close()


def lock(path: Path) -> int:
    """Locks the database against other frontends until the returned descriptor is closed.

    The lock is on a separate file: SQLite loses its locks on the database file when the process
    closes any other descriptor of that file.

    Raises:
        DatabaseLockedError: another process holds it.
        StorageError: the folder does not exist or cannot be written.
    """
    try:
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(f"{path} cannot be locked: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise DatabaseLockedError(
            f"{path} is in use by another frontend (process {holder})"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _unusable(settings: StorageSettings, error: sqlite3.Error) -> StorageError:
    return StorageError(f"{settings.path} cannot be used: {error}")


def _check_schema(settings: StorageSettings) -> None:
    if not settings.path.is_file():
        raise SchemaError(f"there is no database at {settings.path}; migrate makes it")
    connection = open_file(settings, read_only=True)

    def ask(query: str) -> str | None:
        row = connection.execute(query).fetchone()
        return None if row is None else str(row[0])

    try:
        has_schema = ask("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'")
        revision = ask(REVISION) if has_schema else None
        check_revision(str(settings.path), revision, lambda: ask(OLDEST))
    except sqlite3.Error as error:
        raise _unusable(settings, error) from error
    finally:
        connection.close()
