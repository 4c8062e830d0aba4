"""Migrates a database to this program's schema."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from drink_frontend.storage.database import require_postgres
from drink_frontend.storage.engine import SchemaError, StorageError
from drink_frontend.storage.schema import OLDEST, is_compatible
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.sqlite_engine import lock
from drink_frontend.storage.tables import SCHEMA_REVISION
from drink_frontend.storage.verify import remarks_on

_SCRIPTS = Path(__file__).parent

NEWEST = "head"
"""The newest schema, as Alembic names it."""

_CACHE_KIB = 262_144
"""Memory for pages of SQLite during a migration: 256 MiB. The indexes that a
migration changes are all over the file; with the 2 MiB that SQLite has by itself, most of its pages
would be read for each row."""


def migrate(settings: StorageSettings, revision: str = NEWEST) -> Sequence[str]:
    """Creates the tables if there are none, or migrates them to this program's schema.

    All migrations run in one transaction. A newer schema that this program can work with is left
    unchanged.

    Args:
        settings: Where the database is.
        revision: The schema to migrate to; the newest one unless a test or measurement needs an
            older one.

    Returns:
        The remarks of `remarks_on`; none for an older schema.

    Raises:
        DatabaseLockedError: a frontend has the database open, on SQLite.
        SchemaError: its schema is too new for this program, or frontends that run on it, on
            PostgreSQL, cannot live with the migrated one.
        StorageError: the file is no database, or the database cannot be reached or written.
    """
    if settings.url is None:
        settings.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = lock(settings.path)
        try:
            # Readable by its owner only from the first byte, because it holds password hashes.
            os.close(os.open(settings.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            return _migrate(_on_sqlite(settings), str(settings.path), revision)
        finally:
            os.close(descriptor)
    return _migrate(_on_postgres(settings), "the database", revision)


def _migrate(
    transaction: AbstractContextManager[Connection], database: str, revision: str
) -> Sequence[str]:
    try:
        with transaction as connection:
            if not _is_newer(connection):
                config = Config()
                config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
                config.attributes["connection"] = connection
                command.upgrade(config, revision)
            if revision != NEWEST:
                return []
            return remarks_on(lambda query: connection.exec_driver_sql(query).all())
    except DBAPIError as error:
        reason = " ".join(str(error.orig).split())
        raise StorageError(f"{database} cannot be migrated: {reason}") from error


def _is_newer(connection: Connection) -> bool:
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None or revision <= SCHEMA_REVISION:
        return False
    if is_compatible(revision, lambda: connection.exec_driver_sql(OLDEST).scalar()):
        return True
    raise SchemaError(
        f"the database has the newer schema revision {revision}; this program knows"
        f" {SCHEMA_REVISION}: use the program that migrated it, or a newer one"
    )


@contextmanager
def _on_sqlite(settings: StorageSettings) -> Iterator[Connection]:
    engine = create_engine(
        URL.create("sqlite", database=str(settings.path.absolute())),
        poolclass=NullPool,
        connect_args={"timeout": settings.busy_timeout_ms / 1000},
    )

    # The driver would commit before each change of the schema. Without an isolation level it begins
    # and ends no transactions itself.
    @event.listens_for(engine, "connect")
    def connected(connection: DBAPIConnection, _: object) -> None:
        assert isinstance(connection, sqlite3.Connection)
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def began(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    with engine.begin() as connection:
        connection.exec_driver_sql(f"PRAGMA cache_size = -{_CACHE_KIB}")
        yield connection
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        if broken:
            raise SchemaError(f"the migration would break references: {broken[:3]}")


@contextmanager
def _on_postgres(settings: StorageSettings) -> Iterator[Connection]:
    require_postgres()
    from drink_frontend.storage.postgres_server import connect_to_migrate  # noqa: PLC0415 - optional

    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: connect_to_migrate(settings), poolclass=NullPool
    )
    with engine.begin() as connection:
        # The advisory lock excludes other migrations, the table lock excludes the turns of running
        # frontends; before the first migration that table does not exist.
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATING})")
        former = MigrationContext.configure(connection).get_current_revision()
        if former is not None:
            connection.exec_driver_sql("LOCK TABLE alembic_version IN EXCLUSIVE MODE")
        yield connection
        oldest = connection.exec_driver_sql(OLDEST).scalar()
        if former is not None and oldest is not None and oldest > former:
            _check_alone(connection, oldest)


def _check_alone(connection: Connection, oldest: str) -> None:
    """Refuses, and so undoes, a migration that connected frontends cannot live with."""
    sessions = connection.exec_driver_sql(_SESSIONS).scalar()
    if sessions:
        raise SchemaError(
            f"{sessions} connections of frontends or their commands are open, and the schema needs"
            f" programs of revision {oldest} or newer: stop all of them first"
        )


_MIGRATING = 0x6472696E6B
"""Key of the advisory lock: the letters of 'drink' in ASCII."""
_SESSIONS = """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND application_name = current_setting('application_name') AND pid <> pg_backend_pid()"""
"""Counts the other connections of frontends: this program names all of its connections alike."""
