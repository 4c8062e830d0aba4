"""What the service does with each table: the rights that it needs, and statements to try them."""

from collections.abc import Sequence
from functools import cache

from sqlalchemy import Table, delete, false, insert, select, update
from sqlalchemy.sql import ClauseElement

from drink_frontend.storage.statements import Executor, Statement
from drink_frontend.storage.tables import metadata

_APPEND_ONLY = frozenset({"audit", "transfers"})
_ONLY_READ = frozenset({"compatibility"})
_SHRINKING = frozenset({"frontends", "tokens", "writers"})


def rights_on(table: str) -> Sequence[str]:
    """The rights that the service needs on one of its tables, as SQL names them."""
    rights = ["SELECT"]
    if table not in _ONLY_READ:
        rights.append("INSERT")
        if table not in _APPEND_ONLY:
            rights.append("UPDATE")
    if table in _SHRINKING:
        rights.append("DELETE")
    return rights


def exercise(executor: Executor) -> None:
    """Runs, on no row at all, one statement of each kind that the service runs on each table.

    A database refuses them as it refuses the service's own: for want of a right, a table or a
    column, or because it takes no changes.
    """
    for statement in _statements():
        if statement.changes:
            executor.run(statement)
        else:
            executor.all(statement)


@cache
def _statements() -> Sequence[Statement]:
    return [
        Statement(_on_no_row(table, right))
        for table in metadata.tables.values()
        for right in rights_on(table.name)
    ]


def _on_no_row(table: Table, right: str) -> ClauseElement:
    nothing = select(*table.columns).where(false())
    match right:
        case "SELECT":
            return nothing
        case "INSERT":
            return insert(table).from_select(list(table.columns), nothing)
        case "UPDATE":
            return update(table).where(false()).values({column: column for column in table.columns})
        case _:
            return delete(table).where(false())
