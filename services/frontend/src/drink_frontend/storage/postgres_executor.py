"""Runs statements on PostgreSQL."""

from collections.abc import Mapping, Sequence

import psycopg
from sqlalchemy.dialects.postgresql.base import PGDialect

from drink_frontend.storage.statements import Executor, Row, Statement

DIALECT = PGDialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]


class UndoneError(Exception):
    """The transaction was not carried out, and may be repeated."""


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

    def _said(self, error: psycopg.Error) -> Exception:
        """What is to be raised for a driver's error."""
        if self._writes and isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
            return UndoneError("the server takes no changes now")
        return discreet(error)


def _has_nul(parameters: Mapping[str, object]) -> bool:
    return any(isinstance(value, str) and "\0" in value for value in parameters.values())


def discreet(error: psycopg.Error) -> psycopg.Error:
    """The error without the server's details, which quote rows: a password's hash, say."""
    if error.diag.message_primary is not None:
        error.args = (error.diag.message_primary,)
    return error
