"""Limits on what all sessions together take: bytes held in memory, and time on the event loop."""

import asyncio
from collections import deque
from typing import Protocol

import structlog

from drink_frontend.loglines.filter import LogRateLimiter
from drink_frontend.sessions.connection_tracker import TrackedConnection

log = structlog.get_logger(__name__)

FREED_TO = 0.75
"""Part of the byte limit that is still in use after sessions were cut off, so that all sessions are
examined again only after another quarter of the limit has been filled."""


class HoldingConnection(TrackedConnection, Protocol):
    """A connection that holds bytes.

    Attributes:
        counted_bytes: How many of them count towards the limit.
    """

    counted_bytes: int


class BufferLimit:
    """Limits the bytes that all connections hold: commands that wait, and unread replies.

    A connection reports its bytes only when they are more than what counts. They may have shrunk
    since, so they are read again before a connection is cut off.

    Args:
        bytes_max: Most bytes of all connections together.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._holding: set[HoldingConnection] = set()
        self._total = 0

    def update(self, connection: HoldingConnection, size: int) -> None:
        """Records the bytes of a connection; past the limit cuts off those that hold most."""
        self._total += size - connection.counted_bytes
        connection.counted_bytes = size
        self._holding.add(connection)
        if self._total > self._bytes_max:
            self._read_again()
            if self._total > self._bytes_max:
                self._cut_off()

    def remove(self, connection: HoldingConnection) -> None:
        """Forgets a connection that has ended."""
        self._holding.discard(connection)
        self._total -= connection.counted_bytes
        connection.counted_bytes = 0

    def _read_again(self) -> None:
        for connection in self._holding:
            connection.counted_bytes = connection.buffered_bytes
        self._holding = {each for each in self._holding if each.counted_bytes}
        self._total = sum(each.counted_bytes for each in self._holding)

    def _cut_off(self) -> None:
        # Connections without a login first, and of them those that hold most.
        for connection in sorted(
            self._holding, key=lambda each: (each.has_logged_in, -each.counted_bytes)
        ):
            if self._total <= self._bytes_max * FREED_TO:
                return
            self.remove(connection)
            connection.cut_off()


WAITING_LOGGED = 10
"""Sessions that wait for their turn from which on the log says so: honest sessions send fewer lines
at once than a turn carries out."""

WAITING_LOGGED_S = 60.0
"""Seconds between two such lines."""


class TurnQueue:
    """Lets one session at a time go on, in the order of their requests, with a pause after each.

    However many sessions send thousands of lines at once, together they take a fixed part of the
    process's time: the length of a turn against the pause. Without a pause they would take all of
    it, and the threads of the database would wait for the interpreter.

    Args:
        pause_s: Seconds from one turn to the next.
    """

    def __init__(self, pause_s: float) -> None:
        self._pause_s = pause_s
        self._next_at = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_scheduled = False
        self._log_limiter = LogRateLimiter(1, WAITING_LOGGED_S)

    def next(self) -> asyncio.Future[None]:
        """A future that is done when the caller's turn has come."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        self._log_waiting(loop.time())
        if not self._is_scheduled:
            self._is_scheduled = True
            loop.call_at(self._next_at, self._start_next)
        return turn

    def _log_waiting(self, now: float) -> None:
        waiting = len(self._waiting)
        if waiting >= WAITING_LOGGED and self._log_limiter.passes(now) is not None:
            log.warning("sessions_waiting", sessions=waiting)

    def _start_next(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            turn = self._waiting.popleft()
            # The session may have ended meanwhile.
            if not turn.done():
                turn.set_result(None)
                self._next_at = loop.time() + self._pause_s
                break
        self._is_scheduled = bool(self._waiting)
        if self._is_scheduled:
            loop.call_at(self._next_at, self._start_next)
