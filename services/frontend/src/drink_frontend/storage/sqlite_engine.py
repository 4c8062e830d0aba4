"""SQLite as an engine: its connections, its lock, its errors.

A commit is durable when COMMIT returns: the journal (WAL) is synced at each one, `synchronous` is
FULL. After an I/O error the process stops writing for good: what the system's cache then holds may
not be what the disk holds, and only a new process, which reads the disk, can tell. A full disk is
no such error: SQLite undoes the transaction and the next one may succeed.
"""

import asyncio
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.engine import (
    DatabaseLockedError,
    Fault,
    Query,
    SchemaError,
    StorageError,
)
from drink_frontend.storage.schema import OLDEST, REVISION, check_revision
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.statements import Executor

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
"""Steps of SQLite's machine, about a millisecond of them, between two looks at a query's limit."""


class SqliteConnection:
    """One connection. See `Connection`.

    Args:
        driver: The driver's connection, in autocommit mode.
        read_only: Whether it is a reader.
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
        """See `Connection`."""
        return self._driver.in_transaction

    def begin(self) -> None:
        """See `Connection`."""
        self._run(self._begin)

    def announce(self, touched: ChangeSet) -> None:
        """See `Connection`: each process asks the file itself whether another changed it."""

    def commit(self) -> None:
        """See `Connection`."""
        self._run("COMMIT")

    def rollback(self) -> None:
        """See `Connection`."""
        self._run("ROLLBACK")

    def savepoint(self) -> None:
        """See `Connection`."""
        self._run("SAVEPOINT unit")

    def release(self) -> None:
        """See `Connection`."""
        self._run("RELEASE unit")

    def undo(self) -> None:
        """See `Connection`."""
        self._run("ROLLBACK TO unit")
        self._run("RELEASE unit")

    def limit(self, seconds: float) -> None:
        """See `Connection`."""
        self._gives_up_at = time.monotonic() + seconds

    def changed_elsewhere(self) -> bool:
        """See `Connection`."""
        before = self._version
        # It counts what other connections commit; readers commit nothing.
        (self._version,) = self._run("PRAGMA data_version").fetchone()
        return before not in (0, self._version)

    def close(self) -> None:
        """See `Connection`."""
        # With its statement; otherwise SQLite keeps the files open until that is collected.
        self._cursor.close()
        self._driver.close()

    def _over_limit(self) -> bool:
        return time.monotonic() > self._gives_up_at


class SqliteEngine:
    """One SQLite database. See `Engine`.

    Args:
        settings: Where it is.
        exclusive: Whether to keep every other frontend out as long as it is open.

    Raises:
        DatabaseLockedError: another frontend has it.
        SchemaError: there is no database, or not one of this program's schema.
        StorageError: it cannot be read or written.
    """

    shared = False

    def __init__(self, settings: StorageSettings, *, exclusive: bool) -> None:
        self._settings = settings
        self._lock = lock(settings.path) if exclusive else None
        try:
            _check_schema(settings)
        except BaseException:
            self.close()
            raise

    def connect(self, *, read_only: bool) -> SqliteConnection:
        """See `Engine`."""
        return SqliteConnection(open_file(self._settings, read_only=read_only), read_only=read_only)

    @property
    def batch_max(self) -> int:
        """Most units of work in one transaction: as many as the settings allow."""
        return self._settings.write_batch_max

    def fault(self, error: BaseException) -> Fault | None:
        """See `Engine`."""
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
            connection.execute("BEGIN")
            yield connection.execute

    async def listen(
        self, _heard: Callable[[ChangeSet | None], None], tried: asyncio.Event, /
    ) -> None:
        """Returns at once: `SqliteConnection.changed_elsewhere` asks the file."""
        tried.set()

    def close(self) -> None:
        """See `Engine`."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def open_file(settings: StorageSettings, *, read_only: bool) -> sqlite3.Connection:
    """A driver's connection to an existing database file, set up as the promise needs it."""
    mode = "ro" if read_only else "rw"
    pragmas = {} if read_only else {"journal_mode": "WAL"}
    pragmas |= {
        "synchronous": "FULL",
        "foreign_keys": "ON",
        # Without it REPLACE deletes rows past the triggers that forbid it.
        "recursive_triggers": "ON",
        "trusted_schema": "OFF",
        "cache_size": str(-settings.cache_kib),
        "wal_autocheckpoint": str(settings.checkpoint_pages),
        # Readers may keep the journal from being emptied in time; then it is cut back later.
        "journal_size_limit": str(4 * 4_096 * settings.checkpoint_pages),
        "query_only": "ON" if read_only else "OFF",
        # What a unit's savepoint undoes would else be a file, for which there may be no descriptor.
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
    """A driver's connection that only reads, beside whoever has the database open.

    Raises:
        SchemaError: there is no database, or not one of this program's schema.
    """
    _check_schema(settings)
    connection = open_file(settings, read_only=True)
    try:
        yield connection
    finally:
        connection.close()


def lock(path: Path) -> int:
    """Locks the database against other frontends until the returned descriptor is closed.

    The lock is on a file of its own: SQLite loses its locks on the database file when any other
    descriptor of it is closed.

    Raises:
        DatabaseLockedError: another process holds it.
        StorageError: there is no such folder, or it cannot be written.
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
