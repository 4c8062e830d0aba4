"""The storage on PostgreSQL."""

import asyncio
from typing import Self

from drink_frontend.storage.database import Database
from drink_frontend.storage.postgres_engine import PostgresEngine
from drink_frontend.storage.postgres_listener import Listener
from drink_frontend.storage.settings import StorageSettings

SUBTRANSACTIONS_MAX = 64
"""Units that share one commit here, at most: so many savepoints of a transaction PostgreSQL keeps
in memory for everybody to see (PGPROC_MAX_CACHED_SUBXIDS)."""


class PostgresStorage(Database):
    """`Storage` on a PostgreSQL database, which other frontends may have open at the same time.

    Args:
        settings: Where it is, and its bounds.
        beside: See `open`.
    """

    def __init__(self, settings: StorageSettings, *, beside: bool) -> None:
        engine = PostgresEngine(settings, serves=not beside)
        batch_max = min(settings.write_batch_max, SUBTRANSACTIONS_MAX)
        super().__init__(engine, settings.model_copy(update={"write_batch_max": batch_max}))
        self._listener = Listener(settings, engine.writer, self.changes.heard)
        self._listening: asyncio.Task[None] | None = None
        if not beside:
            self._listening = asyncio.create_task(self._listener.run(), name="listen to others")
            self._listening.add_done_callback(self._ended)

    @classmethod
    def open(cls, settings: StorageSettings, *, beside: bool = False) -> Self:
        """Opens the database, on the event loop that uses it.

        Args:
            settings: Where it is, and its bounds.
            beside: For a command beside running frontends: nobody in it waits for what others do.

        Raises:
            SchemaError: there is no schema, or it is not this program's.
            StorageError: the database cannot be reached.
        """
        return cls(settings, beside=beside)

    async def __aenter__(self) -> Self:
        """Gives the open database, once it hears others or has found that it cannot yet."""
        if self._listening is not None:
            await self._listener.tried.wait()
        return self

    async def close(self) -> None:
        """See `Database`."""
        if self._listening is not None:
            self._listening.cancel()
        await super().close()
        if self._listening is not None:
            await asyncio.wait([self._listening])

    def _ended(self, listening: asyncio.Task[None]) -> None:
        if not listening.cancelled() and (error := listening.exception()) is not None:
            self._broken(error)
