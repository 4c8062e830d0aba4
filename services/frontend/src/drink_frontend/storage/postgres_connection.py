"""A connection to PostgreSQL, opened again after it was lost, and the statements that run on it.

Writers take turns: each transaction of a writer first locks a table that readers never lock, so
that it sees all commits of the turns before it. Transactions are SERIALIZABLE too, so that
conflicts with writers that take no turn, such as a person at a prompt, are detected. Turns are for
speed: all batches update the same sales accounts, slots and index pages, so that concurrent
transactions would mostly abort each other.

The connection may be lost during COMMIT. Each batch stores its number in the table `writers`. The
next turn begins after the lost transaction has ended, and the number shows whether it was
committed. Transaction ids would not show it: they are reused after a crash or a failover.
"""

import time
from collections.abc import Sequence
from typing import Any

import psycopg
import structlog
from psycopg import pq

from drink_frontend.storage.changes import NO_CHANGES, ChangeSet
from drink_frontend.storage.engine import StorageError
from drink_frontend.storage.postgres_dial import GuardedConnection, Redial, dial, said
from drink_frontend.storage.postgres_executor import PostgresExecutor
from drink_frontend.storage.postgres_faults import ErrorAction, rule_of
from drink_frontend.storage.postgres_listener import CHANNEL, note
from drink_frontend.storage.postgres_snapshot import SnapshotExecutor
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.statements import Call, Executor

log = structlog.get_logger(__name__)

_TURN = (
    "BEGIN ISOLATION LEVEL SERIALIZABLE",
    "LOCK TABLE alembic_version IN EXCLUSIVE MODE",
)
"""Takes the turn. Migrations write to that table and so take turns too; vacuum skips it. LOCK takes
no snapshot: the first statement after it does, so that no snapshot is older than the turn."""

_LEAVE_NUMBER = """INSERT INTO writers (id, batch, seen_ms)
    SELECT %(writer)s, %(batch)s, extract(epoch FROM now()) * 1000
    WHERE pg_current_xact_id_if_assigned() IS NOT NULL
    ON CONFLICT (id) DO UPDATE SET batch = excluded.batch, seen_ms = excluded.seen_ms"""
"""A batch without changes stores no number, so that its commit needs no sync."""

_TELL = f"WITH number AS ({_LEAVE_NUMBER}) SELECT pg_notify('{CHANNEL}', %(note)s)"

_NUMBER = b"SELECT batch FROM writers WHERE id = %s"

_OPEN = (pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR)


class UnreachableError(Exception):
    """The server cannot be reached now."""


class UndoneError(Exception):
    """The transaction was not committed, and may be repeated."""


class RefusedError(Exception):
    """The server refused a statement that is the same for every unit of work."""


class InDoubtError(Exception):
    """The connection was lost at the commit, and its outcome could not be found out."""


class PostgresConnection:
    """A connection that is made at the first transaction, and again when it was lost.

    Args:
        settings: Address of the database, and limits.
        read_only: Whether it is a reader's.
        writer: Unique name of this process in the table `writers`.
        redial: The time of the next attempt to connect.

    Attributes:
        round_trips: Round trips to the server so far, without those that log in. Counted by the
            thread that uses the connection, read by any.
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
        self._snapshot = SnapshotExecutor(self._ask)
        self._redial = redial
        self.round_trips = 0

    @property
    def executor(self) -> Executor:
        """Runs statements on this connection."""
        return self._snapshot if self._read_only else self._connected()

    def _connected(self) -> PostgresExecutor:
        assert self._executor is not None, "no transaction has begun"
        return self._executor

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._driver is not None and self._driver.pgconn.transaction_status in _OPEN

    def begin(self, calls: Sequence[Call] = ()) -> Sequence[Any]:
        """Begins a transaction, on a new connection if this one was lost or must be replaced.

        A reader's begins with its first statement, so that a connection that is lost meanwhile is
        found out then.
        """
        if self._executor is not None and self._executor.stale:
            self.close()
        if self._read_only:
            return self._begin_snapshot(calls)
        if self._driver is not None:
            answers = self._begin_on_old(calls)
            if answers is not None:
                return answers
            self._lost()
        self._dial()
        try:
            return self._begin(calls)
        except psycopg.Error as error:
            raise self._refusal_of_first(error, calls) from None

    def _begin(self, calls: Sequence[Call]) -> Sequence[Any]:
        """Takes the turn and loads rows, in one round trip."""
        if calls:
            return self._connected().exchange(calls, before=_TURN)
        self._open().run("; ".join(_TURN))
        return ()

    def _begin_snapshot(self, calls: Sequence[Call]) -> Sequence[Any]:
        if self._driver is not None and self._driver.closed:
            self._lost()
        if self._driver is None:
            self._dial()
        self._snapshot.begin()
        return self._snapshot.exchange(calls) if calls else ()

    def announce(self, query: object, *, is_last: bool) -> None:
        """Lets the snapshot end with the last statement of its last query."""
        self._snapshot.announce(query, is_last=is_last)

    def _ask(
        self, calls: Sequence[Call], before: Sequence[str], after: Sequence[str], *, is_first: bool
    ) -> Sequence[Any]:
        """Runs statements of a snapshot; the first ones on a new connection if this one is lost."""
        driver = self._open()
        try:
            return self._connected().exchange(calls, before, after)
        except psycopg.Error:
            if not (is_first and driver.closed):
                raise
        self._lost()
        self._dial()
        return self._connected().exchange(calls, before, after)

    def _lost(self) -> None:
        log.warning("database_lost", reader=self._read_only)
        self.close()

    def commit(self, changes: ChangeSet = NO_CHANGES) -> None:
        """Makes the transaction durable; if the connection is lost, finds out its outcome.

        The number of the batch and the note to other processes travel with the commit. In a
        transaction without an error the server takes neither of them alone.
        """
        driver = self._open()
        self._batch += 1
        facts: dict[str, object] = {"writer": self._writer, "batch": self._batch}
        last = _LEAVE_NUMBER
        if changes.drops or changes.machines or changes.accounts or changes.events:
            last, facts = _TELL, facts | {"note": note(self._writer, changes)}
        try:
            with driver.pipeline():
                driver.execute(last.encode(), facts)
                committed = driver.execute(b"COMMIT", prepare=False)
            done = committed.statusmessage
        except psycopg.Error as error:
            # If the error ended the connection, the commit may have been carried out.
            if not (driver.closed or rule_of(error.sqlstate).doubt):
                raise self._refusal(error) from None
            log.warning("database_lost_at_commit", error=said(error))
            self._find_out()
        else:
            if done != "COMMIT":
                raise UndoneError("the server undid a transaction that had failed")

    def rollback(self) -> None:
        """Undoes the transaction; ends a reader's snapshot."""
        if not self._read_only:
            self._run("ROLLBACK")
        elif self.in_transaction:
            # A rollback makes the driver drop its prepared statements; a snapshot needs none.
            self._run("COMMIT")

    def limit(self, seconds: float) -> None:
        """Does nothing: statement_timeout limits each statement of a reader's session."""

    def changed_elsewhere(self) -> bool:
        """Always False: the listener reports other processes' commits."""
        return False

    def close(self) -> None:
        """Closes the connection."""
        if self._driver is not None:
            self._driver.close()
            self._driver = self._executor = None

    def _open(self) -> GuardedConnection:
        assert self._driver is not None, "no transaction has begun"
        return self._driver

    def _run(self, statement: str) -> None:
        try:
            self._open().run(statement)
        except psycopg.Error as error:
            raise self._refusal(error) from None

    def _refusal_of_first(self, error: psycopg.Error, calls: Sequence[Call]) -> Exception:
        """The exception to raise if a transaction with these statements did not begin."""
        return self._connected().seen(error) if calls else self._refusal(error)

    def _refusal(self, error: psycopg.Error) -> Exception:
        """The exception to raise for an error of a statement of this class itself.

        Such a statement has worked before, so that its refusal is not a mistake of the program.
        """
        seen = self._connected().seen(error)
        if rule_of(error.sqlstate).action is ErrorAction.MISTAKE:
            return RefusedError(str(seen))
        return seen

    def _begin_on_old(self, calls: Sequence[Call]) -> Sequence[Any] | None:
        """Begins a transaction; returns None if the connection was lost."""
        driver = self._open()
        try:
            answers = self._begin(calls)
        except psycopg.Error as error:
            if not driver.closed:
                raise self._refusal_of_first(error, calls) from None
            return None
        # The server reports when it becomes read-only; after a failover another one is the primary.
        status = driver.pgconn.parameter_status(b"default_transaction_read_only")
        return None if status == b"on" else answers

    def _dial(self) -> GuardedConnection:
        """Connects, unless the next attempt is not due yet."""
        self.close()
        if not self._redial.is_due:
            raise UnreachableError("the database cannot be reached")
        try:
            driver = dial(self._settings, read_only=self._read_only)
        except (psycopg.Error, StorageError) as error:
            self._redial.failed()
            raise UnreachableError(f"the database cannot be reached: {said(error)}") from error
        self._redial.succeeded()
        driver.on_round_trip = self._count
        self._driver = driver
        self._executor = PostgresExecutor(driver, writes=not self._read_only)
        return driver

    def _count(self) -> None:
        self.round_trips += 1

    def _find_out(self) -> None:
        """Finds out the outcome of a commit during which the connection was lost.

        Returns if the transaction was committed.

        Raises:
            UndoneError: it was not committed.
            InDoubtError: its outcome could not be found out within `storage.doubt_limit_ms`.
        """
        gives_up_at = time.monotonic() + self._settings.doubt_limit_ms / 1000
        while time.monotonic() < gives_up_at:
            try:
                driver = self._dial()
                # With the turn taken, the lost transaction has ended.
                driver.run("; ".join(_TURN))
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
