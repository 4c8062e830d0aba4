"""Limits of the memory and time that responses take.

A response lies in this process's memory until the client's flow control lets it leave. gRPC has no
way to end such a call, since even its error would wait behind the response; so the connection is
closed. Pages of lists are limited before they are built.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import TypeVar

import structlog
from google.protobuf.message import Message

from drink_frontend.loglines.filter import LogRateLimiter
from drink_frontend.rpc.calls import Call, Peer
from drink_frontend.rpc.settings import ResponseSettings

log = structlog.get_logger(__name__)

Row = TypeVar("Row")
M = TypeVar("M", bound=Message)

CUTS_LOGGED = 2
"""Connections closed for slow reading that are logged in CUTS_S seconds."""

CUTS_S = 10
"""Seconds in which CUTS_LOGGED closed connections are logged."""


class ResponseLimits:
    """Limits the responses that have not left yet.

    Args:
        settings: The limits.
        cut: Closes a connection; returns False if it is already closed.
        clock: Monotonic time in seconds.
    """

    def __init__(
        self,
        settings: ResponseSettings,
        cut: Callable[[Peer], bool],
        clock: Callable[[], float],
    ) -> None:
        self._limits = settings
        self._cut = cut
        self._clock = clock
        self._leaving: dict[Call, None] = {}
        self._bytes_of: Counter[str] = Counter()
        self._cuts = LogRateLimiter(CUTS_LOGGED, CUTS_S)

    @property
    def bytes_leaving(self) -> int:
        """Bytes of all responses that have not left yet."""
        return self._bytes_of.total()

    def leaving(self, call: Call, size: int) -> None:
        """Counts a response of `size` bytes, and closes connections above the limits of bytes."""
        self.left(call)
        call.response_bytes = size
        call.leaving_since = self._clock()
        self._leaving[call] = None
        owner = _owner(call)
        self._bytes_of[owner] += size
        while self._bytes_of[owner] > self._limits.bytes_per_caller_max and self._end_oldest(
            [owner], call
        ):
            pass
        while self._bytes_of.total() > self._limits.bytes_max:
            owners = [name for name, _ in self._bytes_of.most_common()]
            if not self._end_oldest(owners, call):
                break

    def left(self, call: Call) -> None:
        """Removes the response of a call, since it has left or never will."""
        if call in self._leaving:
            del self._leaving[call]
            owner = _owner(call)
            self._bytes_of[owner] -= call.response_bytes
            if not self._bytes_of[owner]:
                del self._bytes_of[owner]

    def end_slow(self) -> None:
        """Closes the connections of responses that have waited too long; called periodically."""
        latest = self._clock() - self._limits.leave_limit_s
        while self._leaving:
            call = next(iter(self._leaving))
            if call.leaving_since > latest:
                return
            self._end(call, "responses are not read")

    def _end_oldest(self, owners: Iterable[str], newest: Call) -> bool:
        """Closes the connection of the oldest response of the first owner that has another one.

        The connection of `newest` stays open, since there was no time to read that response yet.

        Returns:
            Whether a connection was closed.
        """
        for owner in owners:
            for call in self._leaving:
                if _owner(call) == owner and call.peer != newest.peer:
                    self._end(call, "too many responses are not read")
                    return True
        return False

    def _end(self, call: Call, why: str) -> None:
        for other in [other for other in self._leaving if other.peer == call.peer]:
            self.left(other)
        cut = self._cut(call.peer)
        unlogged = self._cuts.passes(self._clock())
        if unlogged is not None:
            log.warning(
                "connection_cut",
                kind=call.kind.value,
                owner=call.owner,
                address=call.peer.address,
                why=why,
                cut=cut,
                unlogged=unlogged,
            )


def _owner(call: Call) -> str:
    """The account, machine or place for which a response is counted."""
    return f"{call.kind.value} {call.owner or call.place}"


class PageLimits:
    """Limits the pages of lists that are read and encoded at a time.

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
        """Waits until a page for an account may be built, and counts it while the context lasts.

        The more rows the page may have, the later the next page of the same account may begin.

        Args:
            account: The caller.
            rows: Most rows of the page.
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

    def page(
        self,
        rows: Sequence[Row],
        make: Callable[[Row], M],
        limit: int,
        token_after: Callable[[Row], str],
    ) -> tuple[list[M], str]:
        """The messages of a page, and the token of the next one; empty on the last page.

        Args:
            rows: At most `limit` rows.
            make: Makes the message of a row.
            limit: Most rows of a page.
            token_after: Makes the token of the page after a row.
        """
        messages = self.fit(rows, make)
        more = len(messages) < len(rows) or len(rows) == limit
        return messages, token_after(rows[len(messages) - 1]) if more else ""

    def fit(self, rows: Sequence[Row], make: Callable[[Row], M]) -> list[M]:
        """The messages of as many of the first rows as fit into a page, at least of one."""
        messages: list[M] = []
        left = self._bytes_max
        for row in rows:
            message = make(row)
            left -= message.ByteSize()
            if left < 0 and messages:
                break
            messages.append(message)
        return messages
