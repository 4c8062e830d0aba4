"""What guards the books in the database itself: constraints, unique indexes and triggers."""

from sqlalchemy import (
    CheckConstraint,
    Constraint,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    UniqueConstraint,
)

from drink_frontend.storage.tables import metadata
from drink_frontend.storage.triggers import TRIGGERS


def guards() -> dict[str, str]:
    """The name of everything that guards the books, and what SQLite says when it refuses."""
    said = {name: name for name in TRIGGERS}
    for table in metadata.tables.values():
        for constraint in table.constraints:
            assert isinstance(constraint.name, str)
            said[constraint.name] = _says(table.name, constraint)
        for index in table.indexes:
            if index.unique:
                assert isinstance(index.name, str)
                said[index.name] = _says(table.name, index)
    return said


def _says(table: str, guard: Constraint | Index) -> str:
    if isinstance(guard, CheckConstraint):
        return f"CHECK constraint failed: {guard.name}"
    if isinstance(guard, ForeignKeyConstraint):
        return "FOREIGN KEY constraint failed"
    assert isinstance(guard, PrimaryKeyConstraint | UniqueConstraint | Index)
    columns = ", ".join(f"{table}.{column.name}" for column in guard.columns)
    return f"UNIQUE constraint failed: {columns}"
