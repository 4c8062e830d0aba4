"""The engine for PostgreSQL: opening the database, and the meaning of its errors."""

import asyncio
import itertools
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager

import psycopg

from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.engine import Fault, Query, StorageError
from drink_frontend.storage.postgres_connection import (
    InDoubtError,
    PostgresConnection,
    RefusedError,
    UndoneError,
    UnreachableError,
)
from drink_frontend.storage.postgres_dial import GuardedConnection, Redial, Row, dial, said
from drink_frontend.storage.postgres_faults import fault_of
from drink_frontend.storage.postgres_listener import Listener
from drink_frontend.storage.postgres_server import (
    check_connections,
    check_rights,
    check_server,
    warn_of_loss,
)
from drink_frontend.storage.postgres_snapshot import SNAPSHOT
from drink_frontend.storage.schema import OLDEST, REVISION, check_revision
from drink_frontend.storage.settings import StorageSettings

_FORGET = """DELETE FROM writers
    WHERE seen_ms < extract(epoch FROM now() - interval '30 days') * 1000"""
"""Deletes the batch numbers of processes that ended long ago."""


class PostgresEngine:
    """A PostgreSQL database.

    Args:
        settings: Address of the database, and limits.
        serves: Whether a frontend opens it, not a command beside one.

    Attributes:
        redial: The time of the next attempt to connect, shared by its connections.
        writer: Unique name of this process in the table `writers`.

    Raises:
        SchemaError: there is no schema, or it is not compatible with this program.
        StorageError: the database cannot be reached or used.
    """

    shared = True

    def __init__(self, settings: StorageSettings, *, serves: bool = True) -> None:
        self._settings = settings
        self._serves = serves
        self.redial = Redial(settings)
        self.writer = secrets.token_hex(8)
        self._connections: dict[str, list[PostgresConnection]] = {"read": [], "write": []}
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
        """A new connection."""
        connection = PostgresConnection(
            self._settings, read_only=read_only, writer=self.writer, redial=self.redial
        )
        self._connections["read" if read_only else "write"].append(connection)
        return connection

    @property
    def round_trips(self) -> Mapping[str, int]:
        """Round trips to the server so far, of writers (`write`) and readers (`read`)."""
        return {
            work: sum(connection.round_trips for connection in connections)
            for work, connections in self._connections.items()
        }

    def fault(self, error: BaseException) -> Fault | None:
        """What a driver's error means; None for one that is a mistake of the program."""
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

    @property
    def batch_max(self) -> int:
        """Most units of work in one transaction: as many as the settings allow."""
        return self._settings.write_batch_max

    @contextmanager
    def reading(self) -> Iterator[Query]:
        """A snapshot of the whole database. What a query finds is fetched in parts."""
        with closing(_reach(self._settings, read_only=True)) as driver:
            # The limits of readers are for pages of lists; reading everything takes longer.
            driver.answer_limit_s = None
            driver.run("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
            driver.run(SNAPSHOT)
            with ExitStack() as cursors:

                def query(sql: str) -> Iterable[Row]:
                    name = f"books_{next(numbers)}"
                    cursor = cursors.enter_context(closing(driver.cursor(name)))
                    cursor.itersize = 1_000
                    return cursor.execute(sql.encode())

                numbers = itertools.count()
                yield query

    async def listen(
        self, heard: Callable[[ChangeSet | None], None], tried: asyncio.Event, /
    ) -> None:
        """Reports commits of other processes; for a frontend, not for a command beside one."""
        if self._serves:
            await Listener(self._settings, self.writer, heard, tried).run()
        tried.set()

    def close(self) -> None:
        """Does nothing: there is no lock to release."""


def _reach(settings: StorageSettings, *, read_only: bool = False) -> GuardedConnection:
    try:
        return dial(settings, read_only=read_only)
    except psycopg.Error as error:
        raise StorageError(f"the database cannot be reached: {said(error)}") from None


def _check_schema(driver: GuardedConnection) -> None:
    def ask(query: str) -> str | None:
        row = driver.run(query).fetchone()
        return None if row is None else str(row[0])

    has_schema = ask("SELECT 1 WHERE to_regclass('alembic_version') IS NOT NULL")
    revision = ask(REVISION) if has_schema else None
    check_revision("the database", revision, lambda: ask(OLDEST))
