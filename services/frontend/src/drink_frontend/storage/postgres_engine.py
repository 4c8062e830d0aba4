"""PostgreSQL as an engine: its connections, its errors, and how its writers stay right together.

Frontends take turns: a writer's transaction first locks a table that readers never lock, and so
sees the work of every turn before its own. It is also SERIALIZABLE, so that whoever writes without
a turn, such as a person at a prompt, is noticed, and the batch is carried out again. The turn is
there for speed: each batch touches a machine's sales account, its slots and the newest page of
several indexes, so that two at a time would mostly undo each other.

A connection may be lost at the very commit. Each batch leaves its number in the table `writers`;
whoever has the next turn knows that the lost transaction has ended, and sees by the number how.
Transaction ids would not tell: after a crash or a failover they are given out again.
"""

import random
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager

import psycopg
import structlog
from psycopg import pq
from sqlalchemy.dialects.postgresql.base import PGDialect

from drink_frontend.storage.changes import Touched
from drink_frontend.storage.engine import Fault
from drink_frontend.storage.errors import StorageError
from drink_frontend.storage.postgres_dial import Driver, dial, warn_of_loss
from drink_frontend.storage.postgres_listener import CHANNEL, note
from drink_frontend.storage.schema import OLDEST, REVISION, check_revision
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.statements import Executor, Row, Statement
from drink_frontend.storage.verify import DriverConnection

log = structlog.get_logger(__name__)

DIALECT = PGDialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]

SERVER_VERSION_MIN = 140_000
"""The first that says unasked when it takes no changes any more, and is still maintained."""

_TURN = """BEGIN ISOLATION LEVEL SERIALIZABLE; LOCK TABLE alembic_version IN EXCLUSIVE MODE;
    SAVEPOINT unit"""
"""A migration writes to that table, so that it has its turn too; vacuum passes it by."""

_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

_LEAVE_NUMBER = """INSERT INTO writers (id, batch, seen_ms)
    SELECT %(writer)s, %(batch)s, extract(epoch FROM now()) * 1000
    WHERE pg_current_xact_id_if_assigned() IS NOT NULL
    ON CONFLICT (id) DO UPDATE SET batch = excluded.batch, seen_ms = excluded.seen_ms"""
"""A batch that changed nothing leaves nothing either, so that its commit need not be synced."""

_TELL = f"WITH number AS ({_LEAVE_NUMBER}) SELECT pg_notify('{CHANNEL}', %(note)s)"

_NUMBER = "SELECT batch FROM writers WHERE id = %(writer)s"

_FORGET = """DELETE FROM writers
    WHERE seen_ms < extract(epoch FROM now() - interval '30 days') * 1000"""
"""Of processes that are gone; long after the last of them could be in doubt."""

_OPEN = (pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR)


class _UnreachableError(Exception):
    """There is no connection to be had now."""


class _UndoneError(Exception):
    """The transaction was not carried out, and may be repeated."""


class _InDoubtError(Exception):
    """The connection was lost at the commit, and its outcome could not be found out."""


class PostgresExecutor(Executor):
    """An executor whose errors tell nothing of what rows hold. See `Executor`.

    Args:
        cursor: The driver's.
        writes: Whether it is a writer's.
    """

    __slots__ = ("_writes",)

    def __init__(self, cursor: psycopg.Cursor[Row], *, writes: bool) -> None:
        super().__init__(cursor, DIALECT)
        self._writes = writes

    def all(self, statement: Statement, **parameters: object) -> Sequence[Row]:
        """See `Executor`."""
        try:
            return super().all(statement, **parameters)
        except psycopg.Error as error:
            if isinstance(error, psycopg.DataError) and _has_nul(parameters):
                # No text here can have one, so that nothing is like it.
                return []
            raise self._said(error) from None

    def run(self, statement: Statement, **parameters: object) -> int:
        """See `Executor`."""
        try:
            return super().run(statement, **parameters)
        except psycopg.Error as error:
            raise self._said(error) from None

    def number(self, writer: str) -> int | None:
        """The number of the last batch that a writer committed."""
        self._cursor.execute(_NUMBER, {"writer": writer})
        rows = self._cursor.fetchall()
        return rows[0][0] if rows else None

    def _said(self, error: psycopg.Error) -> Exception:
        if self._writes and isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
            return _UndoneError("the server takes no changes now")
        return _discreet(error)


def _has_nul(parameters: Mapping[str, object]) -> bool:
    return any(isinstance(value, str) and "\0" in value for value in parameters.values())


def _discreet(error: psycopg.Error) -> psycopg.Error:
    """The error without the server's details, which quote rows: a password's hash, say."""
    if error.diag.message_primary is not None:
        error.args = (error.diag.message_primary,)
    return error


class PostgresConnection:
    """One connection, made when it is first needed, and again when it was lost. See `Connection`.

    Args:
        settings: Where the database is, and bounds.
        read_only: Whether it is a reader.
        writer: Names the process among all that write.
    """

    def __init__(self, settings: StorageSettings, *, read_only: bool, writer: str) -> None:
        self._settings = settings
        self._read_only = read_only
        self._writer = writer
        self._batch = 0
        self._driver: Driver | None = None
        self._executor: PostgresExecutor | None = None
        self._failed_dials = 0
        self._next_dial = 0.0
        self._savepoint_is_new = False

    @property
    def executor(self) -> PostgresExecutor:
        """See `Connection`."""
        assert self._executor is not None, "no transaction has begun"
        return self._executor

    @property
    def in_transaction(self) -> bool:
        """See `Connection`."""
        return self._driver is not None and self._driver.pgconn.transaction_status in _OPEN

    def begin(self) -> None:
        """See `Connection`."""
        first = _SNAPSHOT if self._read_only else _TURN
        if self._driver is not None and self._was_lost(first):
            log.warning("database_lost", reader=self._read_only)
            self.close()
        if self._driver is None:
            self._dial().run(first)
        self._savepoint_is_new = True

    def _was_lost(self, first: str) -> bool:
        """Begins a transaction; whether there is no connection any more on which it could."""
        driver = self._open_driver()
        try:
            driver.run(first)
        except psycopg.OperationalError:
            if not driver.closed:
                raise
            return True
        # The server says unasked when it takes no changes any more; a failover may have another.
        status = driver.pgconn.parameter_status(b"default_transaction_read_only")
        return status == b"on" and not self._read_only

    def announce(self, touched: Touched) -> None:
        """See `Connection`."""
        self._batch += 1
        number = {"writer": self._writer, "batch": self._batch}
        if touched.drops or touched.machines:
            self._run(_TELL, number | {"note": note(self._writer, touched)})
        else:
            self._run(_LEAVE_NUMBER, number)

    def commit(self) -> None:
        """See `Connection`."""
        driver = self._open_driver()
        try:
            done = driver.run("COMMIT").statusmessage
        except psycopg.OperationalError as error:
            if not driver.closed:
                raise
            log.warning("database_lost_at_commit", error=str(error))
            self._find_out()
        else:
            assert done == "COMMIT", "a failed transaction cannot be committed"

    def rollback(self) -> None:
        """See `Connection`."""
        self._run("ROLLBACK")

    def savepoint(self) -> None:
        """See `Connection`."""
        # One that is still as it was set serves the next unit too.
        if not self._savepoint_is_new:
            self._run("RELEASE unit; SAVEPOINT unit")
        self._savepoint_is_new = False

    def release(self) -> None:
        """See `Connection`; the next savepoint or the commit does it."""

    def undo(self) -> None:
        """See `Connection`."""
        self._run("ROLLBACK TO unit")
        self._savepoint_is_new = True

    def limit(self, seconds: float) -> None:
        """See `Connection`: the server limits each statement of a reader's session."""

    def changed_elsewhere(self) -> bool:
        """See `Connection`: the listener hears of it."""
        return False

    def close(self) -> None:
        """See `Connection`."""
        if self._driver is not None:
            self._driver.close()
            self._driver = self._executor = None

    def _open_driver(self) -> Driver:
        assert self._driver is not None, "no transaction has begun"
        return self._driver

    def _run(self, statement: str, parameters: Mapping[str, object] | None = None) -> None:
        driver = self._open_driver()
        try:
            if parameters is None:
                driver.run(statement)
            else:
                driver.execute(statement.encode(), parameters)
        except psycopg.Error as error:
            raise _discreet(error) from None

    def _dial(self) -> Driver:
        """A new connection, unless one was in vain a moment ago."""
        self.close()
        if time.monotonic() < self._next_dial:
            raise _UnreachableError("the database cannot be reached")
        try:
            driver = dial(self._settings, read_only=self._read_only)
        except (psycopg.Error, StorageError) as error:
            longest_ms = min(
                self._settings.reconnect_max_ms,
                self._settings.reconnect_ms * 2**self._failed_dials,
            )
            self._failed_dials = min(self._failed_dials + 1, 20)
            # Not a secret.
            wait_s = random.uniform(longest_ms / 2, longest_ms) / 1000  # noqa: S311
            self._next_dial = time.monotonic() + wait_s
            raise _UnreachableError(f"the database cannot be reached: {error}") from error
        self._failed_dials, self._next_dial = 0, 0.0
        self._driver = driver
        self._executor = PostgresExecutor(driver.cursor(), writes=not self._read_only)
        return driver

    def _find_out(self) -> None:
        """Returns if the commit was carried out on which the connection was lost.

        Raises:
            _UndoneError: it was not.
            _InDoubtError: nobody could tell within the limit.
        """
        gives_up_at = time.monotonic() + self._settings.doubt_limit_ms / 1000
        while time.monotonic() < gives_up_at:
            try:
                self._dial().run(_TURN)
                number = self.executor.number(self._writer)
                self.rollback()
            except (_UnreachableError, psycopg.Error) as error:
                log.warning("commit_in_doubt", error=str(error))
                time.sleep(self._settings.reconnect_ms / 1000)
                continue
            if number != self._batch:
                raise _UndoneError("the connection was lost, and the commit not carried out")
            log.warning("commit_found")
            return
        raise _InDoubtError("the connection was lost at the commit")


class PostgresEngine:
    """One PostgreSQL database. See `Engine`.

    Args:
        settings: Where it is, and bounds.
        serves: Whether it is a frontend that opens it, and not a command beside one.

    Attributes:
        writer: Names this process among all that write.

    Raises:
        SchemaError: it has no schema, or not one of this program's.
        StorageError: it cannot be reached.
    """

    shared = True

    def __init__(self, settings: StorageSettings, *, serves: bool = True) -> None:
        self._settings = settings
        self.writer = secrets.token_hex(8)
        with closing(_reach(settings)) as driver:
            if driver.info.server_version < SERVER_VERSION_MIN:
                raise StorageError("the database needs PostgreSQL 14 or newer")
            _check_schema(driver)
            if serves:
                warn_of_loss(driver)
                driver.run(_FORGET)

    def connect(self, *, read_only: bool) -> PostgresConnection:
        """See `Engine`."""
        return PostgresConnection(self._settings, read_only=read_only, writer=self.writer)

    def fault(self, error: BaseException) -> Fault | None:
        """See `Engine`."""
        match error:
            case _UndoneError():
                return Fault.UNDONE
            case _InDoubtError():
                return Fault.IN_DOUBT
            case _UnreachableError():
                return Fault.UNAVAILABLE
            case psycopg.Error():
                return _fault(error.sqlstate)
            case _:
                return None

    @contextmanager
    def reading(self) -> Iterator[DriverConnection]:
        """See `Engine`."""
        with closing(_reach(self._settings, read_only=True)) as driver:
            # A reader's limit is for pages, and whoever looks at everything takes longer.
            driver.answer_limit_s = None
            driver.run("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
            driver.run(_SNAPSHOT)
            with closing(_Snapshot(driver)) as snapshot:
                yield snapshot

    def close(self) -> None:
        """See `Engine`."""


_UNDONE = ("40", "08", "57P", "25P03")
"""SQLSTATEs, by their beginnings: another transaction was in the way, or the connection is lost."""

_UNAVAILABLE = ("53", "54", "55", "57", "58", "XX")
"""SQLSTATEs, by their beginnings: no resources, a lock that is held, a query over its limit."""


def _fault(sqlstate: str | None) -> Fault | None:
    # The driver's own errors, which have none, are those of a connection that is gone.
    if sqlstate is None or sqlstate.startswith(_UNDONE):
        return Fault.UNDONE
    return Fault.UNAVAILABLE if sqlstate.startswith(_UNAVAILABLE) else None


class _Snapshot:
    """See `DriverConnection`; what a query finds is fetched in parts."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._cursors: list[psycopg.ServerCursor[Row]] = []

    def cursor(self) -> psycopg.ServerCursor[Row]:
        """A new cursor."""
        cursor = self._driver.cursor(f"books_{len(self._cursors)}")
        cursor.itersize = 1_000
        self._cursors.append(cursor)
        return cursor

    def close(self) -> None:
        """Closes every cursor."""
        for cursor in self._cursors:
            cursor.close()


def _reach(settings: StorageSettings, *, read_only: bool = False) -> Driver:
    try:
        return dial(settings, read_only=read_only)
    except psycopg.Error as error:
        raise StorageError(f"the database cannot be reached: {error}") from None


def _check_schema(driver: Driver) -> None:
    def ask(query: str) -> str | None:
        row = driver.run(query).fetchone()
        return None if row is None else str(row[0])

    try:
        has_schema = ask("SELECT 1 WHERE to_regclass('alembic_version') IS NOT NULL")
        revision = ask(REVISION) if has_schema else None
        check_revision("the database", revision, lambda: ask(OLDEST))
    except psycopg.Error as error:
        raise StorageError(f"the database cannot be used: {error}") from None
