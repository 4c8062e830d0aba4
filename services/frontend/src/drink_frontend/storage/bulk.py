"""Statements on many rows at once: what is given is a table of the statement, `given`.

SQLite gets the rows as VALUES, PostgreSQL as an array for each column. A statement is carried out
in parts where a driver limits its parameters.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    Dialect,
    Double,
    Integer,
    Table,
    Update,
    bindparam,
    column,
    insert,
    select,
    table,
)
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.elements import ColumnClause
from sqlalchemy.sql.expression import TableClause
from sqlalchemy.sql.visitors import replacement_traverse

from drink_frontend.storage.statements import Row, Statement

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
        is_early: Whether it only loads early what else is loaded when it is asked for. SQLite
            does not carry it out: it has no round trips to save.
        one: The same for one row on SQLite, whose columns are parameters with `new_` before their
            names; None to make it of a change.

    Attributes:
        changes: Whether it changes rows.
    """

    __slots__ = (
        "_compiled",
        "_described",
        "_is_early",
        "_names",
        "_new",
        "_one",
        "_types",
        "changes",
    )

    def __init__(
        self,
        rows: TableClause,
        described: ClauseElement,
        *,
        is_early: bool = False,
        one: Statement | None = None,
    ) -> None:
        self._described = described
        self._is_early = is_early
        self._names = [each.name for each in rows.c]
        self._types = [_array_of(each) for each in rows.c]
        self._compiled: dict[tuple[str, int], str] = {}
        self._one = one or _for_one(rows, described)
        self._new = [f"new_{name}" for name in self._names]
        self.changes = isinstance(described, UpdateBase)

    def parts(self, dialect: Dialect, rows: Sequence[Row]) -> Sequence[tuple[str, Any]]:
        """The statements to run, each with its parameters; see `ManyRows`."""
        if dialect.name == "postgresql":
            columns = zip(self._names, self._types, zip(*rows, strict=True), strict=True)
            arrays = {name: _array(kind, values) for name, kind, values in columns}
            return ((self.text(dialect, 1), arrays),)
        if self._is_early:
            return ()
        if len(rows) == 1:
            return (self._part(dialect, rows),)
        return [self._part(dialect, part) for part in self._divided(rows)]

    def _divided(self, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
        """The rows in parts of those sizes that SQLite has statements for."""
        begin = 0
        while begin < len(rows):
            left = len(rows) - begin
            if self.changes:
                size = next(size for size in SIZES if size <= left)
                yield rows[begin : begin + size]
            else:
                size = min((size for size in SIZES if size >= left), default=ROWS_MAX)
                part = rows[begin : begin + size]
                # NULL equals no key; a key that is given twice would find its rows twice.
                no_key = (None,) * len(self._names)
                yield [*part, *[no_key] * (size - len(part))]
            begin += size

    def _part(self, dialect: Dialect, rows: Sequence[Row]) -> tuple[str, Any]:
        if len(rows) > 1:
            return self.text(dialect, len(rows)), [value for row in rows for value in row]
        if self._one is None:
            return self.text(dialect, 1), rows[0]
        return self._one.text(dialect), dict(zip(self._new, rows[0], strict=True))

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


def _for_one(rows: TableClause, described: ClauseElement) -> Statement | None:
    """A change for one given row, whose columns are parameters: SQLite needs half the time."""
    if not isinstance(described, Update):
        return None

    def parameter(element: Any, **_: object) -> Any:
        is_given = isinstance(element, ColumnClause) and element.table is rows
        return bindparam(f"new_{element.name}") if is_given else None

    replaced = replacement_traverse(described, {}, parameter)
    assert isinstance(replaced, Update)
    return Statement(replaced)


def insert_given(into: Table, *names: str) -> Bulk:
    """Inserts the given rows, in their order.

    Args:
        into: The table.
        names: Its columns that are given; the others have their defaults.
    """
    rows = given(*(into.c[name] for name in names))
    one = insert(into).inline().values({name: bindparam(f"new_{name}") for name in names})
    return Bulk(rows, insert(into).from_select(list(names), select(*rows.c)), one=Statement(one))


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

    def parts(self, dialect: Dialect, rows: Sequence[Row]) -> Sequence[tuple[str, Any]]:
        """The statement to run, with its parameters; see `ManyRows`."""
        ((count, highest),) = rows
        if dialect.name == "postgresql":
            return ((self._postgres, {"count": count}),)
        return ((self._sqlite, [highest, count]),)


def _array(kind: str, values: Iterable[Any]) -> str:
    """PostgreSQL's text of an array; the driver's own takes ten times as long for texts of JSON.

    https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
    """
    if kind == "text":
        values = (
            None if value is None else '"' + value.replace("\\", r"\\").replace('"', r"\"") + '"'
            for value in values
        )
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def _array_of(each: Any) -> str:
    """PostgreSQL's type of a column's values."""
    if isinstance(each.type, Double):
        return "float8"
    return "bigint" if isinstance(each.type, Integer) else "text"
