"""The queue of events for the agent's loop."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from drink_agent.domain.events import BoardStatus, Command, Event


class Inbox:
    """Events in the order in which they came.

    The link waits while the inbox is full, so that a frontend that sends too much is slowed down.
    The board and the agent itself never wait and need no limit: each command has one outcome and
    little late evidence. Board statuses are not queued: only the newest one counts, and the loop
    reads it from the board.

    Args:
        limit: Number of queued events from which on the link waits.
        clock: Returns seconds, on the clock of the dispenser's deadlines.
    """

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        self._events: deque[tuple[float, Event]] = deque()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def post(self, event: Event) -> None:
        """Adds an event without a limit; a board status only ends the wait in `get`."""
        self._arrived.set()
        if not isinstance(event, BoardStatus):
            self._events.append((self._clock(), event))
            self._check_room()

    async def offer(self, event: Event) -> None:
        """Adds an event as soon as there is room."""
        received_at = self._clock()
        while not self._room.is_set():
            await self._room.wait()
        self._events.append((received_at, event))
        self._arrived.set()
        self._check_room()

    async def get(self, timeout_s: float) -> Event | None:
        """Returns the next event; None after `timeout_s`, or when the board's status has changed.

        The time that a command was queued is subtracted from its time to live.
        """
        if not self._events and timeout_s > 0:
            timer = asyncio.get_running_loop().call_later(timeout_s, self._arrived.set)
            try:
                await self._arrived.wait()
            finally:
                timer.cancel()
        self._arrived.clear()
        if not self._events:
            return None
        received_at, event = self._events.popleft()
        if self._events:
            self._arrived.set()
        self._check_room()
        if isinstance(event, Command):
            queued_ms = round((self._clock() - received_at) * 1000)
            return replace(event, ttl_ms=event.ttl_ms - queued_ms)
        return event

    def _check_room(self) -> None:
        if len(self._events) < self._limit:
            self._room.set()
        else:
            self._room.clear()
