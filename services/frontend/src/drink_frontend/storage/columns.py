"""How tables are declared: types, constraints and the rights that the service needs on them."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    Table,
    Text,
    cast,
    null,
    text,
)
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import TypeEngine

WHOLE = BigInteger().with_variant(Integer(), "sqlite")
"""Type of a column of whole numbers."""

# Texts are compared by their bytes, not by the rules of the server's locale.
TEXT = Text().with_variant(Text(collation="C"), "postgresql")
"""Type of a column of texts."""

NO_NUMBER: ColumnElement[Any] = cast(null(), WHOLE)
"""NULL in place of a whole number, in a union."""

NO_TEXT: ColumnElement[Any] = cast(null(), TEXT)
"""NULL in place of a text, in a union."""

READ_ONLY = ("SELECT",)
APPEND_ONLY = ("SELECT", "INSERT")
EXPIRING = ("SELECT", "INSERT", "DELETE")
KEPT = ("SELECT", "INSERT", "UPDATE")
REMOVABLE = ("SELECT", "INSERT", "UPDATE", "DELETE")


def column(
    name: str, kind: TypeEngine[Any] = WHOLE, *, key: bool = False, null: bool = False
) -> Column[Any]:
    """A column, of whole numbers unless another type is given."""
    return Column(name, kind, primary_key=key, nullable=null)


def text_column(name: str, *, key: bool = False, null: bool = False) -> Column[Any]:
    """A column of texts."""
    return column(name, TEXT, key=key, null=null)


def among(*values: StrEnum) -> str:
    """The values as the list of SQL's IN."""
    return "(" + ", ".join(f"'{value.value}'" for value in values) + ")"


def check(name: str, rule: str) -> CheckConstraint:
    """A constraint of each row; its name gets the table's before it."""
    return CheckConstraint(text(rule), name=name)


def partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index on the rows of which a condition is true."""
    rule = text(where)
    return Index(name, *columns, unique=unique, sqlite_where=rule, postgresql_where=rule)


def strict(rights: Sequence[str], *, by_key: bool = True) -> dict[str, Any]:
    """Options of a table.

    Args:
        rights: The rights that the service needs on it, as SQL names them.
        by_key: Whether SQLite stores its rows by their key, without a row number.
    """
    return {
        "sqlite_strict": True,
        "sqlite_with_rowid": not by_key,
        "info": {"rights": tuple(rights)},
    }


def rights_on(table: Table) -> Sequence[str]:
    """The rights that the service needs on one of its tables."""
    rights: Sequence[str] = table.info["rights"]
    return rights
