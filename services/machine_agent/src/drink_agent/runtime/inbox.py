"""Where everything that happens waits for the loop that dispenses."""

import asyncio
from collections import deque

from drink_agent.board.port import BoardEvent, DispenseEnded, LateEvidence, StatusChanged
from drink_agent.domain.events import BoardLateEvidence, BoardOutcome, Event


class Inbox:
    """Events in the order they came.

    The link waits while it is full, so that a frontend that sends too much is slowed down. The
    board never waits and needs no limit: it has one outcome and one late word for each command,
    and of its status only the newest counts, which the loop asks for itself.

    Args:
        limit: Events that may wait before the link does.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._events: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def post(self, event: Event) -> None:
        """Adds an event at once."""
        self._events.append(event)
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
        while not self._room.is_set():
            await self._room.wait()
        self.post(event)

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
        event = self._events.popleft()
        if self._events:
            self._arrived.set()
        if len(self._events) < self._limit:
            self._room.set()
        return event
