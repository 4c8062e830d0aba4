"""Reads and writes the dataclasses of the domain as rows, by equal names of fields and columns.

A new column is named in the dataclass, in `tables.py` and in a migration; the statements that read
and insert whole rows follow from these.
"""

import json
from collections.abc import Callable
from dataclasses import fields
from enum import StrEnum
from functools import cache
from operator import attrgetter
from typing import Any, Generic, TypeVar, get_type_hints

from sqlalchemy import Insert, Select, Table, bindparam, func, insert, select
from sqlalchemy.sql.elements import ColumnElement

from drink_frontend.storage.statements import Row

T = TypeVar("T")

SEQUENCE = "sequence"
"""Name of the columns that the database counts up itself, so that no insert names one."""

_to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class RowMapping(Generic[T]):
    """The rows of a dataclass.

    Its leading fields are mapped: each to the column of its name, or to the expression given for
    it. Fields after the first that has neither keep their defaults or are given to `read`. Columns
    that no field is named after are neither read nor written. Enums are texts, truth values are 0
    or 1, and dictionaries are JSON.

    Args:
        kind: The dataclass.
        table: Its table.
        expressions: What a field is read from, by its name, if not from a column of its name.
            These fields are not written.

    Attributes:
        columns: What `read` expects in a row, in this order.
        written: Names of the fields that are written, in this order.
    """

    def __init__(self, kind: type[T], table: Table, **expressions: ColumnElement[Any]) -> None:
        names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
        known = expressions.keys() | table.c.keys()
        mapped = names[: next((i for i, name in enumerate(names) if name not in known), None)]
        hints = get_type_hints(kind)
        self.columns = tuple(
            expressions[name] if name in expressions else table.c[name] for name in mapped
        )
        self._kind = kind
        self._table = table
        codecs = [(number, _codec(hints[name])) for number, name in enumerate(mapped)]
        self._readers = [(number, codec[0]) for number, codec in codecs if codec is not None]
        self.written = tuple(name for name in mapped if name not in {*expressions, SEQUENCE})
        self._hints = hints
        self._values = attrgetter(*self.written)
        self._writers = [
            (name, codec[1]) for name in self.written if (codec := _codec(hints[name])) is not None
        ]

    def select(self) -> Select[Any]:
        """Selects `columns`."""
        return select(*self.columns)

    def insert(self, **constants: Any) -> Insert:
        """Inserts a row with the parameters that `parameters` returns.

        Args:
            constants: Columns with a fixed value, by their names; in place of their parameters.
        """
        parameters: dict[str, Any] = {name: bindparam(name) for name in self.written}
        return insert(self._table).inline().values(parameters | constants)

    def read(self, row: Row, *more: object) -> T:
        """The value of a row of `columns`.

        Args:
            row: The row.
            more: Values of the fields after the mapped ones.
        """
        values = list(row)
        for number, reader in self._readers:
            values[number] = reader(values[number])
        return self._kind(*values, *more)

    def read_one(self, row: Row | None) -> T | None:
        """The same, None for no row."""
        return None if row is None else self.read(row)

    def parameters(self, value: T) -> dict[str, object]:
        """The value's columns by name, as parameters of a statement."""
        parameters = dict(zip(self.written, self._values(value), strict=True))
        for name, writer in self._writers:
            parameters[name] = writer(parameters[name])
        return parameters

    def row_of(self, *names: str) -> Callable[[T], Row]:
        """A function that returns the columns of these fields, at least two, as they are stored."""
        values = attrgetter(*names)
        writers = [
            (number, codec[1])
            for number, name in enumerate(names)
            if (codec := _codec(self._hints[name])) is not None
        ]

        def row_of(value: T) -> Row:
            row = list(values(value))
            for number, writer in writers:
                row[number] = writer(row[number])
            return tuple(row)

        return row_of


@cache
def _copier_of(kind: type) -> Callable[[Any], Any]:
    """What copies a dataclass with slots: a function without a loop, as `dataclasses` makes."""
    names = [field.name for field in fields(kind)]
    known: dict[str, Any] = {f"set_{name}": getattr(kind, name).__set__ for name in names}
    known |= {"new": object.__new__, "kind": kind}
    lines = "".join(f"    set_{name}(made, value.{name})\n" for name in names)
    exec(f"def copy(value):\n    made = new(kind)\n{lines}    return made", known)  # noqa: S102
    copier: Callable[[Any], Any] = known["copy"]
    return copier


def evolved(value: T, **changes: object) -> T:
    """A copy of a dataclass with slots in which some fields have other values.

    It takes half the time of `dataclasses.replace`, and does not run `__post_init__`.
    """
    kind: Any = type(value)
    made: T = _copier_of(kind)(value)
    for name, field_value in changes.items():
        object.__setattr__(made, name, field_value)
    return made


def plain(value: object) -> object:
    """A value as a driver takes it: a truth value as 0 or 1, an enum as its text."""
    if isinstance(value, StrEnum):
        return value.value
    return int(value) if isinstance(value, bool) else value


def if_given(*columns: ColumnElement[Any]) -> dict[Any, ColumnElement[Any]]:
    """Sets each column to the parameter of its name, unless that is None; for an update."""
    return {column: func.coalesce(bindparam(column.name), column) for column in columns}


def _codec(hint: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]] | None:
    """Makes a field's value of a column's, and the reverse; None if they are the same."""
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return {member.value: member for member in hint}.__getitem__, attrgetter("value")
    if hint is bool:
        return bool, int
    return (json.loads, _to_json) if hint == dict[str, Any] else None
