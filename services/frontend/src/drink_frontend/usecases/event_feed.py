"""The newest events for all watchers, with one read per commit for all of them.

The newest batches of events stay in memory, up to a limit. A watcher takes them from there at its
own pace; nothing is buffered for a watcher, and one that falls behind what is kept notices it.
"""

import asyncio
import contextlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from operator import attrgetter

import structlog

from drink_frontend.domain.errors import DrinkError
from drink_frontend.domain.events import EventBatch
from drink_frontend.storage.database import Database
from drink_frontend.usecases.feed import wake_in_turns

log = structlog.get_logger(__name__)

BATCHES_MAX = 32
"""Batches that are read, or taken by a watcher, at once: mostly some 100 KB."""

_sequence = attrgetter("sequence")


class EventWatcher:
    """One watcher of a feed.

    Attributes:
        error: Why the feed has ended for it; None while it goes on.
        woken: Set when there are new batches, or an error.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.woken = asyncio.Event()


class EventFeed:
    """Reads events when a commit has stored some, as long as anybody watches.

    Args:
        storage: The database.
        memory_max: Most characters of batches that are kept; the newest one always is.
    """

    def __init__(self, storage: Database, memory_max: int) -> None:
        self._storage = storage
        self._memory_max = memory_max
        self._batches: list[EventBatch] = []
        self._size = 0
        self._begin = 0
        self._watchers: dict[EventWatcher, None] = {}
        self._following: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def joined(self, newest: int) -> Iterator[EventWatcher]:
        """Adds a watcher while the context lasts.

        Args:
            newest: Sequence of the newest batch that was read: where the feed begins if this is its
                only watcher.
        """
        watcher = EventWatcher()
        self._watchers[watcher] = None
        if self._following is None:
            self._batches, self._size, self._begin = [], 0, newest
            self._following = asyncio.create_task(self._follow(), name="event feed")
        try:
            yield watcher
        finally:
            self._watchers.pop(watcher, None)
            if not self._watchers:
                self._end()

    def after(self, sequence: int) -> Sequence[EventBatch] | None:
        """The first batches after a sequence; None if not all of them are in memory."""
        if sequence < self._begin:
            return None
        first = bisect_right(self._batches, sequence, key=_sequence)
        return self._batches[first : first + BATCHES_MAX]

    async def _follow(self) -> None:
        try:
            with self._storage.changes.events() as commits:
                while True:
                    while await self._read():
                        pass
                    await commits.changed()
        except Exception as error:
            if not isinstance(error, DrinkError):
                log.exception("event_feed_failed")
            for watcher in self._watchers:
                watcher.error = error
                watcher.woken.set()
            # Each watcher ends with the error; the next one begins anew.
            self._watchers.clear()
            self._following = None

    async def _read(self) -> bool:
        """Reads the next batches; whether there may be more."""
        newest = self._batches[-1].sequence if self._batches else self._begin
        found = await self._storage.read(lambda tx: tx.events.after(newest, BATCHES_MAX))
        self._batches += found
        self._size += sum(batch.size for batch in found)
        self._forget()
        if found:
            await wake_in_turns(self._watchers, lambda watcher: watcher.woken.set())
        return len(found) == BATCHES_MAX

    def _forget(self) -> None:
        """Forgets the oldest batches above the limit."""
        gone = 0
        while self._size > self._memory_max and gone < len(self._batches) - 1:
            self._size -= self._batches[gone].size
            gone += 1
        if gone:
            self._begin = self._batches[gone - 1].sequence
            del self._batches[:gone]

    def _end(self) -> None:
        if self._following is not None:
            self._following.cancel()
            self._following = None
