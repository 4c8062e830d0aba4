"""Pages of lists: how many are built at once, and how many bytes they have."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

from google.protobuf.message import Message

from drink_frontend.rpc.settings import ResponseSettings

Row = TypeVar("Row")
M = TypeVar("M", bound=Message)


class Pages:
    """The pages that are being read and built.

    Args:
        settings: The limits.
    """

    def __init__(self, settings: ResponseSettings) -> None:
        self._bytes_max = settings.page_bytes_max
        self._per_account_max = settings.pages_per_account_max
        self._in_all = asyncio.Semaphore(settings.pages_max)
        self._of_account: dict[str, tuple[asyncio.Semaphore, set[object]]] = {}

    @contextlib.asynccontextmanager
    async def turn(self, account: str) -> AsyncIterator[None]:
        """A turn to build a page for an account; waits until there is one."""
        semaphore, users = self._of_account.setdefault(
            account, (asyncio.Semaphore(self._per_account_max), set())
        )
        me = object()
        users.add(me)
        try:
            async with semaphore, self._in_all:
                yield
        finally:
            users.discard(me)
            if not users:
                del self._of_account[account]

    def fit(self, rows: Sequence[Row], make: Callable[[Row], M]) -> list[M]:
        """The messages of as many of the first rows as a page may hold, at least one."""
        messages: list[M] = []
        left = self._bytes_max
        for row in rows:
            message = make(row)
            left -= message.ByteSize()
            if left < 0 and messages:
                break
            messages.append(message)
        return messages
