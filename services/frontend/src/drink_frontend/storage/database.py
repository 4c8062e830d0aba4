"""The storage as the rest of the frontend sees it."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Self, TypeVar

from drink_frontend.storage.changes import Changes
from drink_frontend.storage.engine import Engine
from drink_frontend.storage.reader import Reader
from drink_frontend.storage.remarks import remarks_on
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.transaction import Transaction
from drink_frontend.storage.verify import rows_of, verify_books
from drink_frontend.storage.workers import Hands, Team, Threads, Workers
from drink_frontend.storage.writer import Stats, Writer

T = TypeVar("T")


class Database:
    """One opened database. Belongs to one event loop; an async context manager.

    Args:
        engine: The database; closed with this.
        settings: Its bounds.
        hire: Makes who carries out the work beside the event loop.

    Attributes:
        changes: Tells what commits changed.
    """

    def __init__(
        self,
        engine: Engine,
        settings: StorageSettings,
        *,
        hire: Callable[[Team], Hands] = Threads,
    ) -> None:
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._failure: asyncio.Future[BaseException] = self._loop.create_future()
        self.changes = Changes(hands_on=not engine.shared)
        self._writer = Writer(engine, settings, self._broken)
        limit_s = settings.read_limit_ms / 1000
        self._crew = [Reader(engine, limit_s) for _ in range(settings.readers)]
        self._writers = Workers(
            "storage-writer",
            [self._writer],
            queue_max=settings.write_queue_max,
            batch_max=settings.write_batch_max,
            done=self.changes.fire,
            idle_s=settings.look_elsewhere_ms / 1000,
            failed=self._fail,
            hire=hire,
        )
        self._readers = Workers(
            "storage-reader",
            self._crew,
            queue_max=settings.read_queue_max,
            batch_max=settings.read_batch_max,
            done=self.changes.fire,
            failed=self._fail,
            idle_s=settings.reader_look_ms / 1000,
            hire=hire,
        )

    async def __aenter__(self) -> Self:
        """Gives the open database."""
        return self

    async def __aexit__(self, *error: object) -> None:
        """Closes it."""
        await self.close()

    @property
    def stats(self) -> Stats:
        """Counts of commits and units."""
        return self._writer.stats

    async def write(self, unit: Callable[[Transaction], T]) -> T:
        """Runs a unit of work and returns its value after its commit is durable.

        A cancelled caller changes nothing: the unit is carried out all the same.

        Raises:
            DrinkError: the unit raised it and was undone.
            StorageUnavailableError: the queue is full, or the commit failed.
            OutcomeUnknownError: nobody knows whether the commit failed.
        """
        return await self._writers.do(unit)

    async def read(self, query: Callable[[Transaction], T]) -> T:
        """Runs a query on the latest committed state; it must not write.

        Raises:
            StorageUnavailableError: the queue is full or the database does not answer.
        """
        return await self._readers.do(query)

    async def readable(self) -> bool:
        """Whether a query is answered, and every reader found the database when it last looked."""
        await asyncio.gather(*(self.read(lambda tx: tx.frontends.list()) for _ in self._crew))
        return all(reader.able for reader in self._crew)

    async def verify(self) -> Sequence[str]:
        """What is wrong with the books, by `verify_books`, as they stand at one moment."""

        def verify() -> Sequence[str]:
            with self._engine.reading() as connection:
                return verify_books(connection)

        return await asyncio.to_thread(verify)

    async def remarks(self) -> Sequence[str]:
        """What a person should know of the books, by `remarks_on`."""

        def look() -> Sequence[str]:
            with self._engine.reading() as connection:
                return remarks_on(partial(rows_of, connection))

        return await asyncio.to_thread(look)

    @property
    def shared(self) -> bool:
        """Whether other frontends may serve on the same database at the same time."""
        return self._engine.shared

    async def failure(self) -> BaseException:
        """Waits for an error after which nothing is written any more, and returns it.

        Whoever runs the process ends it then: a new one finds out what the disk holds.
        """
        return await asyncio.shield(self._failure)

    async def close(self) -> None:
        """Finishes what waits, then closes the database and lets others have it."""
        self._writers.refuse()
        await self._readers.close()
        # The last connection tidies up, which a reader cannot do.
        await self._writers.close()
        self._engine.close()

    def _broken(self, error: BaseException) -> None:
        # A loop that was closed has nobody left to be told.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._fail, error)

    def _fail(self, error: BaseException) -> None:
        if not self._failure.done():
            self._failure.set_result(error)
