"""Reports of an agent about its drops, kept until the database stores them.

An agent repeats a result that is not acknowledged only after seconds, and its machine dispenses
nothing in the meantime. So a report that could not be stored is retried here.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from drink_frontend.domain.entities import Result
from drink_frontend.domain.errors import StorageUnavailableError
from drink_frontend.links.messages import NotReceived
from drink_frontend.links.settings import LinkSettings

Report: TypeAlias = Result | NotReceived
"""A report about a drop. It may be stored late and more than once."""


class ReportBacklog:
    """The reports of one link that could not be stored at once, in their order.

    Args:
        store: Stores a report; returns False if it may be retried.
        settings: Limits.
    """

    def __init__(self, store: Callable[[Report], Awaitable[bool]], settings: LinkSettings) -> None:
        self._store = store
        self._settings = settings
        self._kept: deque[Report] = deque()
        self._added = asyncio.Event()

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, report: Report) -> bool:
        """Keeps a report in memory; returns False if it is kept already.

        Raises:
            StorageUnavailableError: too many are kept; the agent repeats it on its next link.
        """
        if any(_same(report, kept) for kept in self._kept):
            return False
        if len(self._kept) >= self._settings.facts_kept_max:
            raise StorageUnavailableError("too much waits for the database")
        self._kept.append(report)
        self._added.set()
        return True

    async def run(self) -> None:
        """Stores the kept reports once the database is available, until cancelled.

        Raises:
            DrinkError: a report cannot be stored.
        """
        while True:
            await self._added.wait()
            self._added.clear()
            delays = RetryDelays(self._settings)
            while self._kept:
                await asyncio.sleep(delays.next_s())
                while self._kept and await self._store(self._kept[0]):
                    self._kept.popleft()
                    delays = RetryDelays(self._settings)


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


def _same(report: Report, kept: Report) -> bool:
    if isinstance(report, Result) and isinstance(kept, Result):
        return (report.drop_id, report.revision) == (kept.drop_id, kept.revision)
    return report == kept
