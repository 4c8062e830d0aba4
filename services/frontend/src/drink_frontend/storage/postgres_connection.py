"""One connection to PostgreSQL, which comes back when it was lost.

A writer's transaction is a turn: it first locks a table that readers never lock, and so sees the
work of every turn before its own. It is also SERIALIZABLE, so that whoever writes without a turn,
such as a person at a prompt, is noticed. The turn is there for speed: each batch touches a
machine's sales account, its slots and the newest page of several indexes, so that two at a time
would mostly undo each other.

A connection may be lost at the very commit. Each batch leaves its number in the table `writers`;
whoever has the next turn knows that the lost transaction has ended, and sees by the number how.
Transaction ids would not tell: after a crash or a failover they are given out again.
"""

import time
from collections.abc import Mapping, Sequence

import psycopg
import structlog
from psycopg import pq
from sqlalchemy.dialects.postgresql.base import PGDialect

from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.engine import StorageError
from drink_frontend.storage.postgres_dial import GuardedConnection, Redial, Row, dial, said
from drink_frontend.storage.postgres_faults import Answer, rule_of
from drink_frontend.storage.postgres_listener import CHANNEL, note
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.statements import Executor, Statement

log = structlog.get_logger(__name__)

SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
"""Begins a reader's transaction."""

_TURN = """BEGIN ISOLATION LEVEL SERIALIZABLE; LOCK TABLE alembic_version IN EXCLUSIVE MODE"""
"""A migration writes to that table, so that it has its turn too; vacuum passes it by."""

_LEAVE_NUMBER = """INSERT INTO writers (id, batch, seen_ms)
    SELECT %(writer)s, %(batch)s, extract(epoch FROM now()) * 1000
    WHERE pg_current_xact_id_if_assigned() IS NOT NULL
    ON CONFLICT (id) DO UPDATE SET batch = excluded.batch, seen_ms = excluded.seen_ms"""
"""A batch that changed nothing leaves nothing either, so that its commit need not be synced."""

_TELL = f"WITH number AS ({_LEAVE_NUMBER}) SELECT pg_notify('{CHANNEL}', %(note)s)"

_NUMBER = b"SELECT batch FROM writers WHERE id = %s"

DIALECT = PGDialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]

_OPEN = (pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR)


class UnreachableError(Exception):
    """There is no connection to be had now."""


class UndoneError(Exception):
    """The transaction was not carried out, and may be repeated."""


class RefusedError(Exception):
    """The server refused a statement that is the same for every unit of work."""


class InDoubtError(Exception):
    """The connection was lost at the commit, and its outcome could not be found out."""


class PostgresExecutor(Executor):
    """An executor whose errors tell nothing of what rows hold. See `Executor`.

    Args:
        cursor: The driver's.
        writes: Whether it is a writer's.

    Attributes:
        stale: Whether an error has shown that the session is not as it was set up any more.
    """

    __slots__ = ("_writes", "stale")

    def __init__(self, cursor: psycopg.Cursor[Row], *, writes: bool) -> None:
        super().__init__(cursor, DIALECT)
        self._writes = writes
        self.stale = False

    def all(self, statement: Statement, **parameters: object) -> Sequence[Row]:
        """See `Executor`."""
        try:
            return super().all(statement, **parameters)
        except psycopg.Error as error:
            if isinstance(error, psycopg.DataError) and _has_nul(parameters):
                # No text here can have one, so that nothing is like it.
                return []
            raise self.seen(error) from None

    def run(self, statement: Statement, **parameters: object) -> int:
        """See `Executor`."""
        try:
            return super().run(statement, **parameters)
        except psycopg.Error as error:
            raise self.seen(error) from None

    def seen(self, error: psycopg.Error) -> Exception:
        """What is to be raised for a driver's error on this session."""
        if isinstance(error, psycopg.errors.ReadOnlySqlTransaction) and not self._writes:
            # No fault of the server: a reader's transaction is read-only by its own BEGIN.
            return RuntimeError("a query tried to write in a read-only transaction")
        self.stale |= rule_of(error.sqlstate).renew
        return redact(error)


def _has_nul(parameters: Mapping[str, object]) -> bool:
    return any(isinstance(value, str) and "\0" in value for value in parameters.values())


def redact(error: psycopg.Error) -> psycopg.Error:
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
        redial: When it may be made again.
    """

    def __init__(
        self, settings: StorageSettings, *, read_only: bool, writer: str, redial: Redial
    ) -> None:
        self._settings = settings
        self._read_only = read_only
        self._writer = writer
        self._batch = 0
        self._driver: GuardedConnection | None = None
        self._executor: PostgresExecutor | None = None
        self._redial = redial

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
        first = SNAPSHOT if self._read_only else _TURN
        if self._executor is not None and self._executor.stale:
            self.close()
        if self._driver is not None and self._was_lost(first):
            log.warning("database_lost", reader=self._read_only)
            self.close()
        if self._driver is None:
            self._dial()
            self._run(first)

    def announce(self, touched: ChangeSet) -> None:
        """See `Connection`."""
        self._batch += 1
        facts = {"writer": self._writer, "batch": self._batch}
        if touched.drops or touched.machines or touched.accounts:
            self._run(_TELL, facts | {"note": note(self._writer, touched)})
        else:
            self._run(_LEAVE_NUMBER, facts)

    def commit(self) -> None:
        """See `Connection`."""
        driver = self._open()
        try:
            done = driver.run("COMMIT").statusmessage
        except psycopg.Error as error:
            # An error that ends the connection says nothing of a commit that was under way.
            if not (driver.closed or rule_of(error.sqlstate).doubt):
                raise self._refusal(error) from None
            log.warning("database_lost_at_commit", error=said(error))
            self._find_out()
        else:
            if done != "COMMIT":
                raise UndoneError("the server undid a transaction that had failed")

    def rollback(self) -> None:
        """See `Connection`."""
        # With a rollback the driver forgets all prepared statements, and a snapshot needs none.
        self._run("COMMIT" if self._read_only else "ROLLBACK")

    def savepoint(self) -> None:
        """See `Connection`."""
        self._run("SAVEPOINT unit")

    def release(self) -> None:
        """See `Connection`."""
        self._run("RELEASE unit")

    def undo(self) -> None:
        """See `Connection`."""
        self._run("ROLLBACK TO unit; RELEASE unit")

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

    def _open(self) -> GuardedConnection:
        assert self._driver is not None, "no transaction has begun"
        return self._driver

    def _run(self, statement: str, parameters: dict[str, object] | None = None) -> None:
        driver = self._open()
        try:
            if parameters is None:
                driver.run(statement)
            else:
                driver.execute(statement.encode(), parameters)
        except psycopg.Error as error:
            raise self._refusal(error) from None

    def _refusal(self, error: psycopg.Error) -> Exception:
        """What is to be raised for an error of a statement that is the same for every unit.

        It was right before, so that it is no mistake of the program if it is refused.
        """
        seen = self.executor.seen(error)
        if rule_of(error.sqlstate).answer is Answer.MISTAKE:
            return RefusedError(str(seen))
        return seen

    def _was_lost(self, first: str) -> bool:
        """Begins a transaction; whether there is no connection any more on which it could."""
        driver = self._open()
        try:
            driver.run(first)
        except psycopg.Error as error:
            if not driver.closed:
                raise self._refusal(error) from None
            return True
        # The server says unasked when it takes no changes any more; a failover may have another.
        status = driver.pgconn.parameter_status(b"default_transaction_read_only")
        return status == b"on" and not self._read_only

    def _dial(self) -> GuardedConnection:
        """A new connection, unless one was in vain a moment ago."""
        self.close()
        if not self._redial.is_due:
            raise UnreachableError("the database cannot be reached")
        try:
            driver = dial(self._settings, read_only=self._read_only)
        except (psycopg.Error, StorageError) as error:
            self._redial.failed()
            raise UnreachableError(f"the database cannot be reached: {said(error)}") from error
        self._redial.succeeded()
        self._driver = driver
        self._executor = PostgresExecutor(driver.cursor(), writes=not self._read_only)
        return driver

    def _find_out(self) -> None:
        """Returns if the commit was carried out on which the connection was lost.

        Raises:
            UndoneError: it was not.
            InDoubtError: nobody could tell within the limit.
        """
        gives_up_at = time.monotonic() + self._settings.doubt_limit_ms / 1000
        while time.monotonic() < gives_up_at:
            try:
                driver = self._dial()
                # Whoever has the turn knows that the lost transaction has none any more.
                driver.run(_TURN)
                row = driver.execute(_NUMBER, (self._writer,)).fetchone()
                driver.run("ROLLBACK")
            except (UnreachableError, psycopg.Error):
                time.sleep(self._settings.reconnect_ms / 1000)
                continue
            if row is None or row[0] != self._batch:
                raise UndoneError("the connection was lost, and the commit not carried out")
            log.warning("commit_found")
            return
        raise InDoubtError("the connection was lost at the commit")
