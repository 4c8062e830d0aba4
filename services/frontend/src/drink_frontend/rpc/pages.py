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
        self._row_s = settings.pages_per_account_max / settings.rows_per_account_per_s
        self._in_all = asyncio.Semaphore(settings.pages_max)
        self._of_account: dict[str, tuple[asyncio.Semaphore, set[object]]] = {}

    @contextlib.asynccontextmanager
    async def turn(self, account: str, rows: int) -> AsyncIterator[None]:
        """A turn to build a page for an account; waits until there is one.

        The account's next turn comes the later the more rows this page may have; others' do not.

        Args:
            account: For whom the page is.
            rows: Most rows that it will have.
        """
        turns, users = self._of_account.setdefault(
            account, (asyncio.Semaphore(self._per_account_max), set())
        )
        me = object()
        users.add(me)

        def leave() -> None:
            users.discard(me)
            if not users:
                del self._of_account[account]

        try:
            await turns.acquire()
        except asyncio.CancelledError:
            leave()
            raise
        try:
            async with self._in_all:
                yield
        finally:
            loop = asyncio.get_running_loop()
            loop.call_later(rows * self._row_s, turns.release)
            loop.call_later(rows * self._row_s, leave)

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
