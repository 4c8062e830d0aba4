"""The database as the use cases see it, on either engine."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Self, TypeVar

from drink_frontend.metrics.instruments import Metrics
from drink_frontend.storage.changes import Changes, ChangeSet
from drink_frontend.storage.engine import Engine, Query, StorageError
from drink_frontend.storage.needs import Needs
from drink_frontend.storage.reader import Reader
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.sqlite_engine import SqliteEngine
from drink_frontend.storage.tables import SCHEMA_REVISION
from drink_frontend.storage.timed import TimedExecutor
from drink_frontend.storage.transaction import Transaction
from drink_frontend.storage.verify import remarks_on, verify_books
from drink_frontend.storage.workers import BatchQueue, PoolConfig, ThreadPool, WorkerPool
from drink_frontend.storage.writer import Stats, Writer

T = TypeVar("T")


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class Database:
    """One opened database. Belongs to one event loop; an async context manager.

    Args:
        engine: The database; closed with this.
        settings: Its limits.
        now_ms: Milliseconds since the epoch, for the time of events.
        pool_factory: Makes the threads that carry out units of work and queries.
        metrics: Counts turns, and the drops that they change.

    Attributes:
        changes: Reports what commits changed.
    """

    def __init__(
        self,
        engine: Engine,
        settings: StorageSettings,
        *,
        now_ms: Callable[[], int] = _wall_clock_ms,
        pool_factory: Callable[[PoolConfig], WorkerPool] = ThreadPool,
        metrics: Metrics | None = None,
    ) -> None:
        self._metrics = metrics = metrics or Metrics()
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._failure: asyncio.Future[BaseException] = self._loop.create_future()
        self._listening: asyncio.Task[None] | None = None
        self.changes = Changes(hands_on=not engine.shared)
        self._writer = Writer(engine, settings, self._broken, now_ms)
        limit_s = settings.read_limit_ms / 1000
        self._readers = [Reader(engine, limit_s) for _ in range(settings.readers)]
        self._writes = BatchQueue(
            "storage-writer",
            [TimedExecutor(self._writer, metrics.turn("write"))],
            queue_max=settings.write_queue_max,
            batch_max=engine.batch_max,
            done=self._committed,
            idle_s=settings.look_elsewhere_ms / 1000,
            failed=self._fail,
            pool_factory=pool_factory,
        )
        self._reads = BatchQueue(
            "storage-reader",
            [TimedExecutor(reader, metrics.turn("read")) for reader in self._readers],
            queue_max=settings.read_queue_max,
            batch_max=settings.read_batch_max,
            done=self.changes.publish,
            idle_s=settings.reader_look_ms / 1000,
            failed=self._fail,
            pool_factory=pool_factory,
        )

    @classmethod
    def open(
        cls,
        settings: StorageSettings,
        *,
        beside: bool = False,
        now_ms: Callable[[], int] = _wall_clock_ms,
        metrics: Metrics | None = None,
    ) -> Self:
        """Opens the database that the settings name, on the event loop that uses it.

        Args:
            settings: Where it is, and its limits.
            beside: For a command beside a running frontend. On SQLite, only one process can open
                the database without this.
            now_ms: Milliseconds since the epoch, for the time of events.
            metrics: Counts turns, and the drops that they change.

        Raises:
            DatabaseLockedError: another frontend has it open, on SQLite.
            SchemaError: it has no schema, or one that this program cannot work with.
            StorageError: it cannot be opened; the message says why.
        """
        engine: Engine
        if settings.url is None:
            engine = SqliteEngine(settings, exclusive=not beside)
        else:
            require_postgres()
            from drink_frontend.storage.postgres_engine import (  # noqa: PLC0415 - optional
                PostgresEngine,
            )

            engine = PostgresEngine(settings, serves=not beside)
        try:
            return cls(engine, settings, now_ms=now_ms, metrics=metrics)
        except BaseException:
            engine.close()
            raise

    async def __aenter__(self) -> Self:
        """Returns the open database, after the first attempt to listen to other processes."""
        tried = asyncio.Event()
        self._listening = asyncio.create_task(
            self._engine.listen(self.changes.publish_remote, tried),
            name="listen",
        )
        self._listening.add_done_callback(self._listening_ended)
        await tried.wait()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Closes it."""
        await self.close()

    @property
    def stats(self) -> Stats:
        """Counts of commits and units of work."""
        return self._writer.stats

    @property
    def unfinished(self) -> Mapping[str, int]:
        """Numbers of unfinished units of work (`write`) and queries (`read`)."""
        return {"write": self._writes.unfinished, "read": self._reads.unfinished}

    @property
    def round_trips(self) -> Mapping[str, int]:
        """Round trips to the database's server, by `write` and `read`; empty for SQLite."""
        return self._engine.round_trips

    @property
    def engine_name(self) -> str:
        """The product: `sqlite` or `postgresql`."""
        return "postgresql" if self._engine.shared else "sqlite"

    @property
    def schema_known(self) -> str:
        """The schema revision that this program was made for."""
        return SCHEMA_REVISION

    @property
    def broken(self) -> bool:
        """Whether nothing is written any more; see `failure`."""
        return self._failure.done()

    @property
    def shared(self) -> bool:
        """Whether other frontends may serve on the same database at the same time."""
        return self._engine.shared

    async def write(self, unit: Callable[[Transaction], T], needs: Needs | None = None) -> T:
        """Runs a unit of work and returns its value after its commit is durable.

        Cancelling the caller does not stop the unit: it is carried out all the same.

        Args:
            unit: The unit of work.
            needs: What it will read, as far as that is known; it is loaded for all units of a
                commit together.

        Raises:
            DrinkError: the unit raised it and was undone.
            StorageUnavailableError: the queue is full, or the commit failed.
            OutcomeUnknownError: it could not be found out whether the commit failed.
        """
        return await self._writes.do(unit, needs)

    async def read(self, query: Callable[[Transaction], T]) -> T:
        """Runs a query on the latest committed state; it must not write.

        Raises:
            StorageUnavailableError: the queue is full or the database does not answer.
        """
        return await self._reads.do(query)

    async def readable(self) -> bool:
        """Whether a query is answered now, and every reader's last one was."""
        await asyncio.gather(*(self.read(lambda tx: tx.frontends.list()) for _ in self._readers))
        return all(reader.able for reader in self._readers)

    async def verify(self) -> Sequence[str]:
        """The problems that `verify_books` finds in a snapshot of the database."""
        return await self._inspect(verify_books)

    async def remarks(self) -> Sequence[str]:
        """The remarks of `remarks_on` on a snapshot of the database."""
        return await self._inspect(remarks_on)

    async def _inspect(self, inspect: Callable[[Query], Sequence[str]]) -> Sequence[str]:
        def look() -> Sequence[str]:
            with self._engine.reading() as query:
                return inspect(query)

        return await asyncio.to_thread(look)

    async def failure(self) -> BaseException:
        """Waits for an error after which nothing is written any more, and returns it.

        The process has to end then: only a new one can read from the disk what was committed.
        """
        return await asyncio.shield(self._failure)

    async def close(self) -> None:
        """Carries out what is queued, then closes the database so that others may open it."""
        if self._listening is not None:
            self._listening.cancel()
        self._writes.refuse()
        await self._reads.close()
        # The writer's connection is closed last: SQLite empties its journal then, which a
        # read-only connection cannot do.
        await self._writes.close()
        self._engine.close()
        if self._listening is not None:
            await asyncio.wait([self._listening])

    def _listening_ended(self, listening: asyncio.Task[None]) -> None:
        if not listening.cancelled() and (error := listening.exception()) is not None:
            self._fail(error)

    def _committed(self, changes: ChangeSet) -> None:
        self._metrics.committed(changes.drops)
        self.changes.publish(changes)

    def _broken(self, error: BaseException) -> None:
        # The loop may be closed already.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._fail, error)

    def _fail(self, error: BaseException) -> None:
        if not self._failure.done():
            self._failure.set_result(error)


def require_postgres() -> None:
    """Checks that PostgreSQL's driver, an optional dependency, is installed.

    Raises:
        StorageError: it is not; the message names the package.
    """
    try:
        import psycopg  # noqa: F401, PLC0415 - optional
    except ImportError as error:
        raise StorageError(
            "storage.url needs PostgreSQL's driver: install drink-frontend[postgres]"
        ) from error
