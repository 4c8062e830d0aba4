"""What an agent says of its drops, kept until the database has taken it.

An agent repeats what is not acknowledged, but only after seconds, and its machine gives out nothing
in the meantime. So a database that is away for a moment must not cost more than that moment.
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
"""Something about the past, true however often and however late it is taken."""


class Facts:
    """The facts of one link, each stored after the one before it.

    Args:
        store: Stores one; raises StorageUnavailableError where it may be tried again.
        postponed: Told of each that had to be kept.
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
        """Stores a fact, or keeps it until that is possible.

        Raises:
            StorageUnavailableError: too many are kept; the agent says it again on its next link.
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
        """Stores what is kept as soon as the database takes it, until cancelled.

        Raises:
            DrinkError: something cannot be stored.
        """
        while True:
            await self._news.wait()
            self._news.clear()
            pauses = Pauses(self._settings)
            while self._kept:
                await asyncio.sleep(pauses.next_s())
                while self._kept and await self._is_stored(self._kept[0]):
                    self._kept.popleft()
                    pauses = Pauses(self._settings)

    async def _is_stored(self, fact: Fact) -> bool:
        try:
            await self._store(fact)
        except OutcomeUnknownError:
            raise
        except StorageUnavailableError:
            return False
        return True


class Pauses:
    """How long to wait before a database that did not answer is asked again: longer each time.

    Args:
        settings: The first pause and the longest.
    """

    def __init__(self, settings: LinkSettings) -> None:
        self._longest_s = settings.retry_interval_s
        self._next_s = min(settings.retry_first_s, self._longest_s)

    def next_s(self) -> float:
        """The next pause, in seconds."""
        pause_s = self._next_s
        self._next_s = min(2 * pause_s, self._longest_s)
        return pause_s


def _same(fact: Fact, kept: Fact) -> bool:
    if isinstance(fact, Result) and isinstance(kept, Result):
        return (fact.drop_id, fact.revision) == (kept.drop_id, kept.revision)
    return fact == kept
