"""Runs statements on a connection to PostgreSQL, several of them in one round trip."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import Dialect
from sqlalchemy.dialects.postgresql.base import PGDialect

from drink_frontend.storage.postgres_dial import GuardedConnection, Row
from drink_frontend.storage.postgres_faults import rule_of
from drink_frontend.storage.statements import Call, Executor, ManyRows, Query, Statement

DIALECT = PGDialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class _Named:
    """A statement with named parameters, as one that is given a row of their values."""

    statement: Statement
    names: Sequence[str]
    changes: bool

    def parts(self, dialect: Dialect, rows: Sequence[Row]) -> Sequence[tuple[str, Any]]:
        """See `ManyRows`."""
        (row,) = rows
        return ((self.statement.text(dialect), dict(zip(self.names, row, strict=True))),)


class ExchangingExecutor(Executor):
    """An executor that runs everything by `exchange`."""

    __slots__ = ()

    def __init__(self) -> None:
        """Takes no cursor: each statement has its own."""

    def all(self, statement: Statement, **parameters: object) -> Sequence[Row]:
        """Runs a statement and returns all its rows."""
        (rows,) = self.several((statement, parameters))
        return rows

    def several(self, *queries: Query) -> Sequence[Sequence[Row]]:
        """Runs queries in order, in one round trip, and returns all rows of each."""
        return self.exchange([_call(*query, changes=False) for query in queries])

    def run(self, statement: Statement, **parameters: object) -> int:
        """Runs a statement and returns the number of rows that it changed."""
        (changed,) = self.exchange([_call(statement, parameters, changes=True)])
        return int(changed)


def _call(statement: Statement, parameters: Mapping[str, object], *, changes: bool) -> Call:
    return _Named(statement, tuple(parameters), changes), [tuple(parameters.values())]


class PostgresExecutor(ExchangingExecutor):
    """An executor whose errors do not quote the contents of rows.

    Args:
        driver: The driver's connection.
        writes: Whether it belongs to a writer.

    Attributes:
        stale: Whether an error has shown that the session must be replaced by a new one.
    """

    __slots__ = ("_driver", "_writes", "stale")

    def __init__(self, driver: GuardedConnection, *, writes: bool) -> None:
        super().__init__()
        self._driver = driver
        self._writes = writes
        self.stale = False

    def exchange(
        self, calls: Iterable[Call], before: Sequence[str] = (), after: Sequence[str] = ()
    ) -> Sequence[Any]:
        """Runs statements, in order and in one round trip.

        Args:
            calls: The statements.
            before: Statements without parameters that are run before them, without an answer.
            after: The same, behind them.
        """
        waiting = list(calls)
        try:
            if len(waiting) + len(before) + len(after) <= 1:
                return self._receive(self._send(waiting))
            with self._driver.pipeline():
                self._send_alone(before)
                sent = self._send(waiting)
                self._send_alone(after)
            return self._receive(sent)
        except psycopg.Error as error:
            raise self.seen(error) from None

    def _send_alone(self, statements: Iterable[str]) -> None:
        for statement in statements:
            self._driver.execute(statement.encode(), prepare=False)

    def _send(self, calls: Iterable[Call]) -> "Sequence[_Sent]":
        """Sends statements; returns where their answers will be, after the pipeline if in one."""
        return [self._send_one(statement, rows) for statement, rows in calls]

    def _send_one(self, statement: ManyRows, rows: Sequence[Row]) -> "_Sent":
        if not statement.changes:
            # No stored text contains NUL, so no row can match.
            rows = [row for row in rows if not _has_nul(row)]
        cursors = [
            self._driver.execute(sql.encode(), parameters)
            for sql, parameters in (statement.parts(DIALECT, rows) if rows else ())
        ]
        return statement, cursors

    def _receive(self, sent: "Sequence[_Sent]") -> Sequence[Any]:
        """The answers to what was sent, after the pipeline."""
        return [
            sum(cursor.rowcount for cursor in cursors)
            if statement.changes
            else [row for cursor in cursors for row in cursor.fetchall()]
            for statement, cursors in sent
        ]

    def seen(self, error: psycopg.Error) -> Exception:
        """The exception to raise for a driver's error on this session."""
        if isinstance(error, psycopg.errors.ReadOnlySqlTransaction) and not self._writes:
            # Not the server's state: a reader begins its transactions as read-only.
            return RuntimeError("a query tried to write in a read-only transaction")
        self.stale |= rule_of(error.sqlstate).renew
        return redact(error)


_Sent = tuple[ManyRows, Sequence[psycopg.Cursor[Row]]]
"""A statement that was sent, and the cursors that get its answers."""


def _has_nul(values: Iterable[object]) -> bool:
    return any(isinstance(value, str) and "\0" in value for value in values)


def redact(error: psycopg.Error) -> psycopg.Error:
    """Removes the server's details from an error: they quote rows, such as password hashes."""
    if error.diag.message_primary is not None:
        error.args = (error.diag.message_primary,)
    return error
