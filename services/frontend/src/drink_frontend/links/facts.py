"""Reports of an agent about its drops, kept until the database stores them.

An agent repeats a result that is not acknowledged only after seconds, and its machine dispenses
nothing in the meantime. So a report that could not be stored is retried here.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from drink_frontend.domain.entities import Result
from drink_frontend.domain.errors import OutcomeUnknownError, StorageUnavailableError
from drink_frontend.links.messages import NotReceived
from drink_frontend.links.settings import LinkSettings

Fact: TypeAlias = Result | NotReceived
"""A report about the past. It may be stored late and more than once."""


class Facts:
    """The reports of one link, stored in their order.

    Args:
        store: Stores a report; raises StorageUnavailableError if it may be retried.
        postponed: Called with each report that could not be stored at once.
        settings: Limits.
    """

    def __init__(
        self,
        store: Callable[[Fact], Awaitable[None]],
        postponed: Callable[[Fact], None],
        settings: LinkSettings,
    ) -> None:
        self._store = store
        self._postponed = postponed
        self._settings = settings
        self._kept: deque[Fact] = deque()
        self._news = asyncio.Event()

    async def take(self, fact: Fact) -> None:
        """Stores a report, or keeps it in memory until that is possible.

        Raises:
            StorageUnavailableError: too many are kept; the agent repeats it on its next link.
            DrinkError: it cannot be stored.
        """
        if not self._kept and await self._is_stored(fact):
            return
        if any(_same(fact, kept) for kept in self._kept):
            return
        if len(self._kept) >= self._settings.facts_kept_max:
            raise StorageUnavailableError("too much waits for the database")
        self._kept.append(fact)
        self._postponed(fact)
        self._news.set()

    async def run(self) -> None:
        """Stores the kept reports once the database is available, until cancelled.

        Raises:
            DrinkError: a report cannot be stored.
        """
        while True:
            await self._news.wait()
            self._news.clear()
            delays = RetryDelays(self._settings)
            while self._kept:
                await asyncio.sleep(delays.next_s())
                while self._kept and await self._is_stored(self._kept[0]):
                    self._kept.popleft()
                    delays = RetryDelays(self._settings)

    async def _is_stored(self, fact: Fact) -> bool:
        try:
            await self._store(fact)
        except OutcomeUnknownError:
            raise
        except StorageUnavailableError:
            return False
        return True


class RetryDelays:
    """Delays between attempts to reach the database; each is twice as long as the one before.

    Args:
        settings: The first delay and the longest.
    """

    def __init__(self, settings: LinkSettings) -> None:
        self._longest_s = settings.retry_interval_s
        self._next_s = min(settings.retry_first_s, self._longest_s)

    def next_s(self) -> float:
        """The next delay in seconds."""
        delay_s = self._next_s
        self._next_s = min(2 * delay_s, self._longest_s)
        return delay_s


def _same(fact: Fact, kept: Fact) -> bool:
    if isinstance(fact, Result) and isinstance(kept, Result):
        return (fact.drop_id, fact.revision) == (kept.drop_id, kept.revision)
    return fact == kept
