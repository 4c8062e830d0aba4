"""Where everything that happens waits for the loop that dispenses."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from drink_agent.board.port import BoardEvent, DispenseEnded, LateEvidence, StatusChanged
from drink_agent.domain.events import BoardLateEvidence, BoardOutcome, Command, Event


class Inbox:
    """Events in the order they came.

    The link waits while it is full, so that a frontend that sends too much is slowed down. The
    board never waits and needs no limit: it has one outcome and one late word for each command,
    and of its status only the newest counts, which the loop asks for itself.

    A command's time to live runs while it waits: the loop may be at a slow disk.

    Args:
        limit: Events that may wait before the link does.
        clock: Seconds on the clock of the loop's deadlines.
    """

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        self._events: deque[tuple[float, Event]] = deque()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def post(self, event: Event) -> None:
        """Adds an event at once."""
        self._add(self._clock(), event)

    def _add(self, came_at: float, event: Event) -> None:
        self._events.append((came_at, event))
        if len(self._events) >= self._limit:
            self._room.clear()
        self._arrived.set()

    def post_from_board(self, event: BoardEvent) -> None:
        """Adds what the board reports; of a status only that there is a new one."""
        match event:
            case DispenseEnded():
                self.post(BoardOutcome(event.drop_id, event.outcome, event.cause, event.evidence))
            case LateEvidence():
                self.post(
                    BoardLateEvidence(event.drop_id, event.outcome, event.cause, event.evidence)
                )
            case StatusChanged():
                self._arrived.set()

    async def offer(self, event: Event) -> None:
        """Adds an event as soon as there is room."""
        came_at = self._clock()
        while not self._room.is_set():
            await self._room.wait()
        self._add(came_at, event)

    async def get(self, timeout_s: float) -> Event | None:
        """Returns the next event; None after the time, or when the board's status is new."""
        if not self._events and timeout_s > 0:
            timer = asyncio.get_running_loop().call_later(timeout_s, self._arrived.set)
            try:
                await self._arrived.wait()
            finally:
                timer.cancel()
        self._arrived.clear()
        if not self._events:
            return None
        came_at, event = self._events.popleft()
        if self._events:
            self._arrived.set()
        if len(self._events) < self._limit:
            self._room.set()
        if isinstance(event, Command):
            waited_ms = round((self._clock() - came_at) * 1000)
            return replace(event, ttl_ms=event.ttl_ms - waited_ms)
        return event
