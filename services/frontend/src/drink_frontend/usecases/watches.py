"""Watches: streams of changes, limited in number and ended when the frontend shuts down."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from typing import Any, TypeVar

import structlog

from drink_frontend.domain.errors import RateLimitedError, ShuttingDownError

log = structlog.get_logger(__name__)

T = TypeVar("T")

_END: Any = object()
_SHUTTING_DOWN = "the frontend is shutting down; watch again later or elsewhere"


class Watches:
    """All open watches.

    Args:
        total_max: Most watches that are open at once.
        per_owner_max: Most watches that one owner has open at once.
    """

    def __init__(self, total_max: int, per_owner_max: int) -> None:
        self._total_max = total_max
        self._per_owner_max = per_owner_max
        self._open: Counter[str] = Counter()
        self._waits: set[asyncio.Timeout] = set()
        self._closed = False

    @property
    def open(self) -> int:
        """Number of open watches."""
        return self._open.total()

    def close(self) -> None:
        """Ends every watch with ShuttingDownError; a new one ends at once."""
        self._closed = True
        now = asyncio.get_running_loop().time()
        for wait in self._waits:
            wait.reschedule(now)

    @contextlib.contextmanager
    def admit(self, owner: str) -> Iterator[None]:
        """Counts one watch of `owner`, an account or a place, while the context lasts.

        Raises:
            RateLimitedError: too many are open.
        """
        if self._open.total() >= self._total_max or self._open[owner] >= self._per_owner_max:
            log.warning("watches_refused", owner=owner, open=self._open.total())
            raise RateLimitedError("too many watches are open")
        self._open[owner] += 1
        try:
            yield
        finally:
            self._open[owner] -= 1
            if not self._open[owner]:
                del self._open[owner]

    async def follow(self, owner: str, updates: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """Passes the updates of one watch of `owner` on until they end, and closes them.

        Raises:
            RateLimitedError: too many watches are open.
            ShuttingDownError: the server shuts down.
        """
        async with contextlib.aclosing(updates):
            with self.admit(owner):
                while (update := await self._next(updates)) is not _END:
                    yield update

    async def _next(self, updates: AsyncGenerator[T, None]) -> T:
        if self._closed:
            raise ShuttingDownError(_SHUTTING_DOWN)
        try:
            async with asyncio.timeout(None) as wait:
                self._waits.add(wait)
                try:
                    return await anext(updates, _END)
                finally:
                    self._waits.discard(wait)
        except TimeoutError:
            if wait.expired():
                raise ShuttingDownError(_SHUTTING_DOWN) from None
            raise
