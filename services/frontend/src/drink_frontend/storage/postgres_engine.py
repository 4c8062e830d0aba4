"""PostgreSQL as an engine: how it is opened, and what its errors mean."""

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg

from drink_frontend.storage.engine import Fault
from drink_frontend.storage.errors import StorageError
from drink_frontend.storage.postgres_connection import (
    SNAPSHOT,
    InDoubtError,
    PostgresConnection,
    Redial,
    RefusedError,
    UndoneError,
    UnreachableError,
)
from drink_frontend.storage.postgres_dial import Driver, Row, dial, said
from drink_frontend.storage.postgres_faults import fault_of
from drink_frontend.storage.postgres_server import (
    check_connections,
    check_rights,
    check_server,
    warn_of_loss,
)
from drink_frontend.storage.schema import OLDEST, REVISION, check_revision
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.verify import DriverConnection

_FORGET = """DELETE FROM writers
    WHERE seen_ms < extract(epoch FROM now() - interval '30 days') * 1000"""
"""Of processes that are gone; long after the last of them could be in doubt."""


class PostgresEngine:
    """One PostgreSQL database. See `Engine`.

    Args:
        settings: Where it is, and bounds.
        serves: Whether it is a frontend that opens it, and not a command beside one.

    Attributes:
        redial: When its connections that were lost are made again.
        writer: Names this process among all that write.

    Raises:
        SchemaError: it has no schema, or not one of this program's.
        StorageError: it cannot be reached.
    """

    shared = True

    def __init__(self, settings: StorageSettings, *, serves: bool = True) -> None:
        self._settings = settings
        self.redial = Redial(settings)
        self.writer = secrets.token_hex(8)
        try:
            with closing(_reach(settings)) as driver:
                check_server(driver, settings)
                _check_schema(driver)
                check_rights(driver)
                if serves:
                    check_connections(driver, settings)
                    warn_of_loss(driver)
                    driver.run(_FORGET)
        except psycopg.Error as error:
            raise StorageError(f"the database cannot be used: {said(error)}") from None

    def connect(self, *, read_only: bool) -> PostgresConnection:
        """See `Engine`."""
        return PostgresConnection(
            self._settings, read_only=read_only, writer=self.writer, redial=self.redial
        )

    def fault(self, error: BaseException) -> Fault | None:
        """See `Engine`."""
        match error:
            case UndoneError():
                return Fault.UNDONE
            case InDoubtError():
                return Fault.IN_DOUBT
            case UnreachableError() | RefusedError():
                return Fault.UNAVAILABLE
            case psycopg.Error():
                return fault_of(error.sqlstate)
            case _:
                return None

    @contextmanager
    def reading(self) -> Iterator[DriverConnection]:
        """See `Engine`."""
        with closing(_reach(self._settings, read_only=True)) as driver:
            # A reader's limit is for pages, and whoever looks at everything takes longer.
            driver.answer_limit_s = None
            driver.run("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
            driver.run(SNAPSHOT)
            with closing(_Snapshot(driver)) as snapshot:
                yield snapshot

    def close(self) -> None:
        """See `Engine`."""


class _Snapshot:
    """See `DriverConnection`; what a query finds is fetched in parts."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._cursors: list[psycopg.ServerCursor[Row]] = []

    def cursor(self) -> psycopg.ServerCursor[Row]:
        """A new cursor."""
        cursor = self._driver.cursor(f"books_{len(self._cursors)}")
        cursor.itersize = 1_000
        self._cursors.append(cursor)
        return cursor

    def close(self) -> None:
        """Closes every cursor."""
        for cursor in self._cursors:
            cursor.close()


def _reach(settings: StorageSettings, *, read_only: bool = False) -> Driver:
    try:
        return dial(settings, read_only=read_only)
    except psycopg.Error as error:
        raise StorageError(f"the database cannot be reached: {said(error)}") from None


def _check_schema(driver: Driver) -> None:
    def ask(query: str) -> str | None:
        row = driver.run(query).fetchone()
        return None if row is None else str(row[0])

    has_schema = ask("SELECT 1 WHERE to_regclass('alembic_version') IS NOT NULL")
    revision = ask(REVISION) if has_schema else None
    check_revision("the database", revision, lambda: ask(OLDEST))
