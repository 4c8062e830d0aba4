"""Whether this program can live with a database's schema, on every engine.

A schema is changed in two releases: the first expands it, so that programs of the release before
can run beside and after it; the second takes away what nobody uses any more. Each migration keeps,
in the table `compatibility`, the oldest program that can live with what it makes.
"""

from collections.abc import Callable

from drink_frontend.storage.errors import SchemaError
from drink_frontend.storage.tables import SCHEMA_REVISION

REVISION = "SELECT version_num FROM alembic_version"
"""Asks for the schema's revision."""

OLDEST = "SELECT oldest FROM compatibility JOIN alembic_version ON revision = version_num"
"""Asks for the oldest program, by its SCHEMA_REVISION, that can live with the schema."""


def check_revision(
    database: str, revision: str | None, oldest_program: Callable[[], str | None]
) -> None:
    """Refuses a schema that this program cannot live with.

    Args:
        database: What to call the database in a message.
        revision: Its schema's; None if it has none.
        oldest_program: Asks the database for OLDEST.

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
    """Whether this program can live with a schema of its own revision or a newer one."""
    if revision <= SCHEMA_REVISION:
        return True
    oldest = oldest_program()
    return oldest is not None and oldest <= SCHEMA_REVISION
