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

STATS_INTERVAL_S_MAX = 3_600
"""Longest time, in seconds, between two messages of statistics; a longer one counts as this."""

JOURNAL_REPORT_MS_MAX = 5_000
"""Longest time, in milliseconds, for which a frontend may let the report of a started motor wait.
"""

CARD_WAIT_S = 3.0
"""Seconds that a card waits to be sent; after that it is worth nothing."""


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
        self._stats_interval_s = 0
        self._journal_report_s = 0.0
        self._heartbeats = 0
        self._beat_at = 0.0
        self._sent_at = 0.0
        self._untold = 0
        self._tell_by: float | None = None
        self._status: ConnectRequest | None = None
        self._card: ConnectRequest | None = None
        self._card_void_at = 0.0
        self.outgoing: asyncio.Queue[ConnectRequest | None] = asyncio.Queue()
        """Messages to be sent, in order; None ends them."""
        self.up_since: float | None = None
        """Time of the frontend's Welcome; None before it."""
        self.received_at = clock()
        """Time of the frontend's last message, or of dialling."""
        self.stats_at: float | None = None
        """Time of the next statistics; None before Welcome, and if the frontend wants none."""

    @property
    def silent_at(self) -> float:
        """Deadline of the next message; the link is lost if none arrives before."""
        if self.up_since is None:
            return self.received_at + self._settings.welcome_limit_s
        return self.received_at + SILENT_INTERVALS * self._interval_s

    @property
    def heartbeat_at(self) -> float | None:
        """Time of the next heartbeat; None before Welcome.

        One is due when for an interval nothing was sent, or nothing was received: a frontend that
        has nothing to say answers heartbeats only. And one reports a journal whose length no other
        message has told.
        """
        if self.up_since is None:
            return None
        quiet_since = max(self._beat_at, min(self._sent_at, self.received_at))
        due = quiet_since + self._interval_s
        return due if self._tell_by is None else min(due, self._tell_by)

    def up_s(self) -> float:
        """Returns the seconds since Welcome; 0 before it."""
        return 0.0 if self.up_since is None else self._clock() - self.up_since

    def welcome(
        self, interval_s: int, journal_report_ms: int, wanted: int, stats_interval_s: int = 0
    ) -> None:
        """Records the frontend's Welcome.

        Args:
            interval_s: Seconds between the heartbeats that the frontend expects.
            journal_report_ms: Milliseconds that the report of a started motor may wait.
            wanted: Number of drops whose outcome the frontend asks for.
            stats_interval_s: Seconds between statistics; none are sent if it is 0 or less.

        Raises:
            LinkViolationError: It is the second Welcome, or one of its values is out of range.
        """
        if self.up_since is not None:
            raise LinkViolationError("a second Welcome")
        if not 1 <= interval_s <= INTERVAL_S_MAX:
            raise LinkViolationError("a heartbeat interval out of range")
        if not 0 <= journal_report_ms <= JOURNAL_REPORT_MS_MAX:
            raise LinkViolationError("a time to report the journal out of range")
        if wanted > self._settings.wanted_limit:
            raise LinkViolationError("too many wanted drops")
        self._interval_s = interval_s
        self._journal_report_s = journal_report_ms / 1000
        self.up_since = self.received_at = self._sent_at = self._clock()
        self._stats_interval_s = min(stats_interval_s, STATS_INTERVAL_S_MAX)
        if self._stats_interval_s > 0:
            self.stats_at = self.up_since

    def must_tell(self, journal_sequence: int) -> None:
        """The frontend must soon be told that the journal has come so far."""
        self._untold = journal_sequence
        self._tell_by = self._clock() + self._journal_report_s

    def next_heartbeat(self, journal_sequence: int) -> int:
        """Counts a heartbeat that is sent now; returns its number on this link, from 1.

        Args:
            journal_sequence: What it tells of the journal.
        """
        self._heartbeats += 1
        self._beat_at = self._clock()
        self._told(journal_sequence)
        return self._heartbeats

    def put(self, message: ConnectRequest) -> None:
        """Queues a message."""
        self._sent_at = self._clock()
        self._told(message.result.journal_sequence)
        self.outgoing.put_nowait(message)

    def put_stats(self, message: ConnectRequest) -> None:
        """Queues statistics; the next ones are due after the frontend's interval."""
        self.put(message)
        self.stats_at = self._clock() + self._stats_interval_s

    def _told(self, journal_sequence: int) -> None:
        if journal_sequence >= self._untold:
            self._tell_by = None

    def put_status(self, message: ConnectRequest) -> None:
        """Queues a board status, in place of the one that waits, so that one waits at most."""
        if self._status is not None:
            self._status.CopyFrom(message)
        else:
            self._status = message
            self.put(message)

    def put_card(self, message: ConnectRequest) -> None:
        """Queues a card that was read, unless one waits.

        It is no sign that the loop which dispenses is alive, and puts off no heartbeat.
        """
        if self._card is None:
            self._card, self._card_void_at = message, self._clock() + CARD_WAIT_S
            self.outgoing.put_nowait(message)

    async def messages(self) -> AsyncIterator[ConnectRequest]:
        """Yields the outgoing messages until their end."""
        while (message := await self.outgoing.get()) is not None:
            if message is self._status:
                self._status = None
            if message is self._card:
                self._card = None
                if self._clock() > self._card_void_at:
                    continue
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
