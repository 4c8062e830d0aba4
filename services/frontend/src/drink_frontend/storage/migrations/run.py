"""Brings a database to this program's schema."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from drink_frontend.storage.errors import SchemaError, StorageError
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.sqlite_engine import lock
from drink_frontend.storage.tables import SCHEMA_REVISION

_SCRIPTS = Path(__file__).parent


def migrate(settings: StorageSettings) -> None:
    """Makes the database if there is none, and brings its schema to this program's.

    It is done whole or, if interrupted at any point, not at all.

    Raises:
        DatabaseLockedError: a frontend has it open.
        SchemaError: its schema is newer than this program.
        StorageError: it is no database, or cannot be written.
    """
    settings.path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = lock(settings.path)
    try:
        # It holds password hashes, so that it is its owner's only from the first byte.
        os.close(os.open(settings.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with _transaction(settings) as connection:
            _refuse_newer(connection)
            config = Config()
            config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DBAPIError as error:
        raise StorageError(f"{settings.path} cannot be migrated: {error.orig}") from error
    finally:
        os.close(descriptor)


def _refuse_newer(connection: Connection) -> None:
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is not None and revision > SCHEMA_REVISION:
        raise SchemaError(
            f"the database has the newer schema revision {revision}; this program knows"
            f" {SCHEMA_REVISION}: use the program that migrated it, or a newer one"
        )


@contextmanager
def _transaction(settings: StorageSettings) -> Iterator[Connection]:
    engine = create_engine(
        URL.create("sqlite", database=str(settings.path.absolute())),
        poolclass=NullPool,
        connect_args={"timeout": settings.busy_timeout_ms / 1000},
    )

    # The driver would commit before each change of the schema; so it is told to leave transactions
    # alone, and they are begun here.
    @event.listens_for(engine, "connect")
    def connected(connection: DBAPIConnection, _: object) -> None:
        assert isinstance(connection, sqlite3.Connection)
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def began(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    with engine.begin() as connection:
        yield connection
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        if broken:
            raise SchemaError(f"the migration would break references: {broken[:3]}")
