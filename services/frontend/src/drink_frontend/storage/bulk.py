"""Statements on many rows at once: what is given is a table of the statement, `given`.

SQLite gets the rows as VALUES, PostgreSQL as an array for each column. A statement is carried out
in parts where a driver limits its parameters.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Column, Dialect, Double, Integer, Table, column, insert, select, table
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.expression import TableClause

from drink_frontend.storage.statements import Row

ROWS_MAX = 64
"""Most rows of one statement on SQLite, which allows 32,766 parameters."""

SIZES = tuple(2**power for power in range(ROWS_MAX.bit_length() - 1, -1, -1))
"""Numbers of rows that SQLite has a statement for, so that few statements are prepared."""


# PostgreSQL counts beside the table: numbers that are not used are never given again.
_NUMBERS_ON_POSTGRES = "SELECT nextval('{table}_sequence_seq') FROM generate_series(1, %(count)s)"
_NUMBERS_ON_SQLITE = """WITH RECURSIVE numbers (number, further) AS (
    SELECT max(?, (SELECT coalesce(max(sequence), 0) FROM {table})) + 1, ? - 1
    UNION ALL SELECT number + 1, further - 1 FROM numbers WHERE further > 0)
    SELECT number FROM numbers"""


def given(*columns: Column[Any], **others: Any) -> TableClause:
    """The rows that a statement is given.

    Args:
        columns: Their columns, with the names and types of these.
        others: Further columns: the type of each by its name.
    """
    return table(
        "given",
        *(column(each.name, each.type) for each in columns),
        *(column(name, kind) for name, kind in others.items()),
    )


class Bulk:
    """A statement on given rows.

    Args:
        rows: The given rows, as `given` returns them.
        described: The statement in SQLAlchemy Core, without parameters.

    Attributes:
        changes: Whether it changes rows.
    """

    __slots__ = ("_compiled", "_described", "_names", "_types", "changes")

    def __init__(self, rows: TableClause, described: ClauseElement) -> None:
        self._described = described
        self._names = [each.name for each in rows.c]
        self._types = [_array_of(each) for each in rows.c]
        self._compiled: dict[tuple[str, int], str] = {}
        self.changes = isinstance(described, UpdateBase)

    def parts(self, dialect: Dialect, rows: Sequence[Row]) -> Iterator[tuple[str, Any]]:
        """The statements to run, each with its parameters; see `ManyRows`."""
        if dialect.name == "postgresql":
            columns = [list(values) for values in zip(*rows, strict=True)]
            yield self.text(dialect, 1), dict(zip(self._names, columns, strict=True))
            return
        begin = 0
        while begin < len(rows):
            left = len(rows) - begin
            if self.changes:
                size = next(size for size in SIZES if size <= left)
                part = rows[begin : begin + size]
            else:
                # A row that is given twice is found twice.
                size = min((size for size in SIZES if size >= left), default=ROWS_MAX)
                part = rows[begin : begin + size]
                part = [*part, *[part[-1]] * (size - len(part))]
            yield self.text(dialect, size), [value for row in part for value in row]
            begin += size

    def text(self, dialect: Dialect, size: int) -> str:
        """The statement compiled for `dialect` and for that many rows."""
        key = dialect.name, size
        text = self._compiled.get(key)
        if text is None:
            compiled = self._described.compile(dialect=dialect)
            assert not compiled.params, "a value would become a parameter"
            if dialect.name == "postgresql":
                arrays = ", ".join(
                    f"%({name})s::{kind}[]"
                    for name, kind in zip(self._names, self._types, strict=True)
                )
                source = f"SELECT * FROM unnest({arrays})"  # noqa: S608 - names of columns
            else:
                row = f"({', '.join('?' * len(self._names))})"
                source = f"VALUES {', '.join([row] * size)}"
            text = f"WITH given ({', '.join(self._names)}) AS ({source}) {compiled}"
            self._compiled[key] = text
        return text


def insert_given(into: Table, *names: str) -> Bulk:
    """Inserts the given rows, in their order.

    Args:
        into: The table.
        names: Its columns that are given; the others have their defaults.
    """
    rows = given(*(into.c[name] for name in names))
    return Bulk(rows, insert(into).from_select(list(names), select(*rows.c)))


class Numbers:
    """The next numbers of a table's sequence, for rows that are added later in the transaction.

    It is given one row: how many are needed, and the highest number that was taken before in the
    transaction.

    Args:
        of: The table.
    """

    changes = False

    def __init__(self, of: Table) -> None:
        self._postgres = _NUMBERS_ON_POSTGRES.format(table=of.name)
        self._sqlite = _NUMBERS_ON_SQLITE.format(table=of.name)

    def parts(self, dialect: Dialect, rows: Sequence[Row]) -> Iterator[tuple[str, Any]]:
        """The statement to run, with its parameters; see `ManyRows`."""
        ((count, highest),) = rows
        if dialect.name == "postgresql":
            yield self._postgres, {"count": count}
        else:
            yield self._sqlite, [highest, count]


def _array_of(each: Any) -> str:
    """PostgreSQL's type of a column's values."""
    if isinstance(each.type, Double):
        return "float8"
    return "bigint" if isinstance(each.type, Integer) else "text"
