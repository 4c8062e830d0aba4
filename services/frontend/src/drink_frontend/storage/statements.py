"""Runs statements that Core describes by the plain driver.

A statement is built once when its module is loaded and compiled once per dialect; after that it is
a string. Core's own `execute` would cost more CPU than all the rest of a unit of work.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy import Dialect, literal_column
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.elements import ColumnClause

Row = tuple[Any, ...]

SEQUENCE_MAX = 2**63 - 1
"""Above every sequence: where a list without a `before` starts."""


def constant(value: int | str) -> ColumnClause[Any]:
    """A value that is part of the statement's text. Strings must be names of this program's."""
    assert isinstance(value, int) or "'" not in value
    return literal_column(str(value) if isinstance(value, int) else f"'{value}'")


NOTHING = constant(0)
"""The offset of every page: SQLite's dialect would write one as a parameter."""


class Statement:
    """One statement with named parameters.

    Args:
        described: What Core says of it.

    Attributes:
        changes: Whether it changes rows.
    """

    __slots__ = ("_compiled", "_described", "changes")

    def __init__(self, described: ClauseElement) -> None:
        self._described = described
        self.changes = isinstance(described, UpdateBase)
        self._compiled: dict[str, str] = {}

    def text(self, dialect: Dialect) -> str:
        """It in the dialect's SQL."""
        text = self._compiled.get(dialect.name)
        if text is None:
            compiled = self._described.compile(dialect=dialect)
            # A value in the description would be a parameter that nobody passes.
            assert not any(value is not None for value in compiled.params.values())
            text = self._compiled[dialect.name] = str(compiled)
        return text


class Cursor(Protocol):
    """What is used of a driver's cursor (PEP 249)."""

    @property
    def rowcount(self) -> int:
        """Rows that the last statement changed."""

    def execute(self, sql: str, parameters: Any = ..., /) -> object:
        """Runs a statement."""

    def fetchall(self) -> Sequence[Any]:
        """All rows of the last statement."""


class Executor:
    """Runs statements on one cursor.

    Args:
        cursor: The driver's.
        dialect: What the driver's database speaks, with named parameters.

    Attributes:
        changed: Whether a statement that changes rows was run since somebody last set it to False.
    """

    __slots__ = ("_cursor", "_dialect", "changed")

    def __init__(self, cursor: Cursor, dialect: Dialect) -> None:
        self._cursor = cursor
        self._dialect = dialect
        self.changed = False

    def all(self, statement: Statement, **parameters: object) -> Sequence[Row]:
        """Every row."""
        self.changed |= statement.changes
        self._cursor.execute(statement.text(self._dialect), parameters)
        return self._cursor.fetchall()

    def one(self, statement: Statement, **parameters: object) -> Row | None:
        """The only row, or None."""
        # All are fetched, since a statement that is not read to its end stays open.
        rows = self.all(statement, **parameters)
        return rows[0] if rows else None

    def run(self, statement: Statement, **parameters: object) -> int:
        """How many rows it changed."""
        self.changed = True
        self._cursor.execute(statement.text(self._dialect), parameters)
        return self._cursor.rowcount
