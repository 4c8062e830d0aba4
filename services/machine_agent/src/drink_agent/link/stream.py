"""One link from dialling to its end: outgoing messages, heartbeats and deadlines."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from drink.v1.machine_link_service_pb2 import ConnectRequest
from drink_agent.link.convert import LinkViolationError
from drink_agent.link.settings import LinkSettings

SILENT_INTERVALS = 3
"""The link is lost after this many heartbeat intervals without a message of the frontend."""

INTERVAL_S_MAX = 300
"""Longest heartbeat interval, in seconds, that is accepted from a frontend. It limits the life of a
dead link to a quarter of an hour."""


class LinkStream:
    """One link. All times are monotonic seconds.

    Args:
        settings: Limits of the link.
        clock: Returns the time.
    """

    def __init__(self, settings: LinkSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._interval_s = 0
        self._heartbeats = 0
        self._status: ConnectRequest | None = None
        self.outgoing: asyncio.Queue[ConnectRequest | None] = asyncio.Queue()
        """Messages to be sent, in order; None ends them."""
        self.up_since: float | None = None
        """Time of the frontend's Welcome; None before it."""
        self.heartbeat_at: float | None = None
        """Time of the next heartbeat; None before Welcome."""
        self.received_at = clock()
        """Time of the frontend's last message, or of dialling."""

    @property
    def silent_at(self) -> float:
        """Deadline of the next message; the link is lost if none arrives before."""
        if self.up_since is None:
            return self.received_at + self._settings.welcome_limit_s
        return self.received_at + SILENT_INTERVALS * self._interval_s

    def up_s(self) -> float:
        """Returns the seconds since Welcome; 0 before it."""
        return 0.0 if self.up_since is None else self._clock() - self.up_since

    def welcome(self, interval_s: int, wanted: int) -> None:
        """Records the frontend's Welcome.

        Args:
            interval_s: Seconds between the heartbeats that the frontend expects.
            wanted: Number of drops whose outcome the frontend asks for.

        Raises:
            LinkViolationError: It is the second Welcome, or one of its values is out of range.
        """
        if self.up_since is not None:
            raise LinkViolationError("a second Welcome")
        if not 1 <= interval_s <= INTERVAL_S_MAX:
            raise LinkViolationError("a heartbeat interval out of range")
        if wanted > self._settings.wanted_limit:
            raise LinkViolationError("too many wanted drops")
        self._interval_s = interval_s
        self.up_since = self.heartbeat_at = self.received_at = self._clock()

    def next_heartbeat(self) -> int:
        """Counts a heartbeat that is sent now; returns its number on this link, from 1."""
        self._heartbeats += 1
        self.heartbeat_at = self._clock() + self._interval_s
        return self._heartbeats

    def put_status(self, message: ConnectRequest) -> None:
        """Queues a board status, in place of the one that waits, so that one waits at most."""
        if self._status is not None:
            self._status.CopyFrom(message)
        else:
            self._status = message
            self.outgoing.put_nowait(message)

    async def messages(self) -> AsyncIterator[ConnectRequest]:
        """Yields the outgoing messages until their end."""
        while (message := await self.outgoing.get()) is not None:
            if message is self._status:
                self._status = None
            yield message

    @contextlib.asynccontextmanager
    async def heartbeat_monitor(self) -> AsyncIterator[Callable[[], None]]:
        """Raises TimeoutError in its body when `silent_at` has passed.

        One timer compares the clock with the deadline when it fires, because setting a timer for
        each message costs more time than reading the message.

        Yields:
            A function to call when the deadline may have become earlier.
        """
        loop = asyncio.get_running_loop()
        timer: asyncio.Handle
        async with asyncio.timeout(None) as limit:

            def check_deadline() -> None:
                nonlocal timer
                timer.cancel()
                left_s = self.silent_at - self._clock()
                if left_s > 0:
                    timer = loop.call_later(left_s, check_deadline)
                else:
                    limit.reschedule(loop.time())

            timer = loop.call_soon(check_deadline)
            try:
                yield check_deadline
            finally:
                timer.cancel()
