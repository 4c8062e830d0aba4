"""What the program needs of a database: a schema that it can work with.

A schema is changed in two releases: the first expands it, so that programs of the release before
can run beside and after it; the second removes what is no longer used. Each migration stores, in
the table `compatibility`, the oldest program that can work with the schema that it makes.
"""

from collections.abc import Callable

from drink_frontend.storage.engine import SchemaError
from drink_frontend.storage.tables import SCHEMA_REVISION

REVISION = "SELECT version_num FROM alembic_version"
"""Selects the schema's revision."""

OLDEST = "SELECT oldest FROM compatibility JOIN alembic_version ON revision = version_num"
"""Selects the oldest program, by its SCHEMA_REVISION, that can work with the schema."""


def check_revision(
    database: str, revision: str | None, oldest_program: Callable[[], str | None]
) -> None:
    """Checks that this program can work with a database's schema.

    Args:
        database: What to call the database in a message.
        revision: Its schema's; None if it has none.
        oldest_program: Returns the result of OLDEST.

    Raises:
        SchemaError: there is no schema, an older one, or one too new.
    """
    if revision is None:
        raise SchemaError(
            f"{database} has no schema; this program needs revision {SCHEMA_REVISION}:"
            " migrate makes it"
        )
    if revision < SCHEMA_REVISION:
        raise SchemaError(
            f"{database} has the older schema revision {revision}; this program needs"
            f" {SCHEMA_REVISION}: migrate brings it there"
        )
    if not is_compatible(revision, oldest_program):
        raise SchemaError(
            f"{database} has the newer schema revision {revision}; this program knows"
            f" {SCHEMA_REVISION}: use the program that migrated it, or a newer one"
        )


def is_compatible(revision: str, oldest_program: Callable[[], str | None]) -> bool:
    """Whether this program can work with a schema of its own revision or a newer one."""
    if revision <= SCHEMA_REVISION:
        return True
    oldest = oldest_program()
    return oldest is not None and oldest <= SCHEMA_REVISION
