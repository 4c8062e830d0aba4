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

import random
import time

import psycopg
import structlog
from psycopg import pq

from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.errors import StorageError
from drink_frontend.storage.postgres_dial import Driver, dial, said
from drink_frontend.storage.postgres_executor import PostgresExecutor
from drink_frontend.storage.postgres_faults import Answer, rule_of
from drink_frontend.storage.postgres_listener import CHANNEL, note
from drink_frontend.storage.settings import StorageSettings

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

_OPEN = (pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR)


class UnreachableError(Exception):
    """There is no connection to be had now."""


class UndoneError(Exception):
    """The transaction was not carried out, and may be repeated."""


class RefusedError(Exception):
    """The server refused a statement that is the same for every unit of work."""


class InDoubtError(Exception):
    """The connection was lost at the commit, and its outcome could not be found out."""


class Redial:
    """When a server that could not be reached is tried again, by all connections of a process.

    The first that gets through lets the others through: readers share their work, and one that
    waited longer than the rest would refuse what they could answer.

    Args:
        settings: How long to wait.

    Attributes:
        not_before: Monotonic seconds before which it is not tried.
    """

    def __init__(self, settings: StorageSettings) -> None:
        self._settings = settings
        self._failures = 0
        self.not_before = 0.0

    @property
    def is_due(self) -> bool:
        """Whether it may be tried now."""
        return time.monotonic() >= self.not_before

    def failed(self) -> None:
        """It was tried in vain; the next time is later, each time more."""
        settings = self._settings
        longest_ms = min(settings.reconnect_max_ms, settings.reconnect_ms * 2**self._failures)
        self._failures = min(self._failures + 1, 20)
        # Not a secret.
        wait_s = random.uniform(longest_ms / 2, longest_ms) / 1000  # noqa: S311
        self.not_before = time.monotonic() + wait_s

    def succeeded(self) -> None:
        """It was reached."""
        self._failures, self.not_before = 0, 0.0


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
        self._driver: Driver | None = None
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

    def _open(self) -> Driver:
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

    def _dial(self) -> Driver:
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
