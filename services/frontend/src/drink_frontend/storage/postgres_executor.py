"""Runs statements on PostgreSQL."""

from collections.abc import Mapping, Sequence

import psycopg
from sqlalchemy.dialects.postgresql.base import PGDialect

from drink_frontend.storage.postgres_faults import rule_of
from drink_frontend.storage.statements import Executor, Row, Statement

DIALECT = PGDialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]


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
        return discreet(error)


def _has_nul(parameters: Mapping[str, object]) -> bool:
    return any(isinstance(value, str) and "\0" in value for value in parameters.values())


def discreet(error: psycopg.Error) -> psycopg.Error:
    """The error without the server's details, which quote rows: a password's hash, say."""
    if error.diag.message_primary is not None:
        error.args = (error.diag.message_primary,)
    return error
