"""Runs statements of SQLAlchemy Core on the database driver directly.

A statement is built when its module is loaded and compiled once for each dialect. Core's own
`execute` would need more CPU time than the rest of a unit of work.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

from sqlalchemy import Dialect, bindparam, literal_column
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.elements import ColumnClause, ColumnElement

Row = tuple[Any, ...]

SEQUENCE_MAX = 2**63 - 1
"""The upper limit of the sequence in a list without a `before`."""


def constant(value: int | str) -> ColumnClause[Any]:
    """A literal in the statement's text. Never for strings that come from outside."""
    assert isinstance(value, int) or "'" not in value
    return literal_column(str(value) if isinstance(value, int) else f"'{value}'")


NOTHING = constant(0)
"""The offset of every page: without one SQLite's dialect would add a parameter."""


class OneOf:
    """The condition that a column has one of some values, with a number of parameters that stays.

    So one statement serves every selection.

    Args:
        column: The column.
        values: All values that it can have.
        name: Of the parameters, each with a number behind it.

    Attributes:
        condition: For the statement.
    """

    __slots__ = ("_names", "_values", "condition")

    def __init__(self, column: ColumnElement[Any], values: Iterable[StrEnum], name: str) -> None:
        self._values = tuple(values)
        self._names = tuple(f"{name}_{number}" for number in range(len(self._values)))
        self.condition = column.in_([bindparam(name) for name in self._names])

    def parameters(self, wanted: Iterable[StrEnum]) -> dict[str, object]:
        """The parameters for the wanted values; for all values if none is wanted."""
        values = list(dict.fromkeys(wanted)) or list(self._values)
        padded = values + values[-1:] * (len(self._values) - len(values))
        return {name: value.value for name, value in zip(self._names, padded, strict=True)}


class Statement:
    """One statement with named parameters.

    Args:
        described: The statement in SQLAlchemy Core.

    Attributes:
        changes: Whether it changes rows.
        table: Name of the table whose rows it changes; empty if it changes none.
    """

    __slots__ = ("_compiled", "_described", "changes", "table")

    def __init__(self, described: ClauseElement) -> None:
        self._described = described
        self.changes = isinstance(described, UpdateBase)
        self.table: str = (
            described.entity_description["name"] if isinstance(described, UpdateBase) else ""
        )
        self._compiled: dict[str, str] = {}

    def text(self, dialect: Dialect) -> str:
        """The statement compiled for `dialect`."""
        text = self._compiled.get(dialect.name)
        if text is None:
            compiled = self._described.compile(dialect=dialect)
            # A value in the statement would become a parameter, which is not passed.
            assert not any(value is not None for value in compiled.params.values())
            text = self._compiled[dialect.name] = str(compiled)
        return text


class ManyRows(Protocol):
    """What an executor can carry out for many rows."""

    @property
    def changes(self) -> bool:
        """Whether it changes rows."""

    def parts(self, dialect: Dialect, rows: Sequence[Row]) -> Sequence[tuple[str, Any]]:
        """The statements to run, each with its parameters.

        Args:
            dialect: The database's.
            rows: What is given, at least one row.
        """


Call = tuple[ManyRows, Sequence[Row]]
"""A statement and the rows that it is given."""


Query = tuple[Statement, Mapping[str, object]]
"""A statement that changes nothing, and its parameters."""


class Cursor(Protocol):
    """A cursor of either driver (PEP 249)."""

    @property
    def connection(self) -> Any:
        """The driver's connection."""

    @property
    def rowcount(self) -> int:
        """Number of rows that the last statement changed."""

    def execute(self, sql: str, parameters: Any = ..., /) -> object:
        """Runs a statement."""

    def fetchall(self) -> Sequence[Any]:
        """All rows of the last statement."""


class Executor:
    """Runs statements on one cursor.

    Args:
        cursor: A cursor of the driver.
        dialect: The database's dialect, with named parameters.
    """

    __slots__ = ("_cursor", "_dialect")

    def __init__(self, cursor: Cursor, dialect: Dialect) -> None:
        self._cursor = cursor
        self._dialect = dialect

    def all(self, statement: Statement, **parameters: object) -> Sequence[Row]:
        """Runs a statement and returns all its rows."""
        self._cursor.execute(statement.text(self._dialect), parameters)
        return self._cursor.fetchall()

    def several(self, *queries: Query) -> Sequence[Sequence[Row]]:
        """Runs queries in order, in one round trip, and returns all rows of each."""
        return [self.all(statement, **parameters) for statement, parameters in queries]

    def one(self, statement: Statement, **parameters: object) -> Row | None:
        """Runs a statement and returns its first row, or None."""
        # All rows are fetched: a statement that is not read to its end stays open.
        rows = self.all(statement, **parameters)
        return rows[0] if rows else None

    def run(self, statement: Statement, **parameters: object) -> int:
        """Runs a statement and returns the number of rows that it changed."""
        self._cursor.execute(statement.text(self._dialect), parameters)
        return self._cursor.rowcount

    def exchange(self, calls: Iterable[Call]) -> Sequence[Any]:
        """Runs statements on many rows, in order.

        Returns:
            For each of them its rows, or the number of rows that it changed.
        """
        return [self._call(statement, rows) for statement, rows in calls]

    def _call(self, statement: ManyRows, rows: Sequence[Row]) -> Any:
        cursor = self._cursor
        if statement.changes:
            before = cursor.connection.total_changes
            for sql, parameters in statement.parts(self._dialect, rows):
                cursor.execute(sql, parameters)
            # The driver counts no changes of a statement that begins with WITH.
            return cursor.connection.total_changes - before
        found: list[Row] = []
        for sql, parameters in statement.parts(self._dialect, rows):
            cursor.execute(sql, parameters)
            found += cursor.fetchall()
        return found
