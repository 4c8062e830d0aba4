"""Runs a `Board` and records its events."""

import asyncio
import contextlib
from typing import Self, TypeVar

from drink_agent.board.board import Board
from drink_agent.board.identity import IdentityStore
from drink_agent.board.settings import BoardSettings
from drink_agent.domain.events import BoardEvent, BoardLateEvidence, BoardOutcome, BoardStatus

LIMIT_S = 20.0
"""Longest wait of a test for an event, in seconds."""

E = TypeVar("E", BoardOutcome, BoardLateEvidence, BoardStatus)


class RunningBoard:
    """A board that runs inside `async with`.

    Attributes:
        board: The board.
        events: All it has reported, in order.
    """

    def __init__(self, settings: BoardSettings, identities: IdentityStore | None = None) -> None:
        self.events: list[BoardEvent] = []
        self.board = Board(settings, self._on_event, identities=identities)
        self._heard = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.board.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self.board.close()

    async def ready(self) -> None:
        assert await self.board.wait_ready(LIMIT_S), "not ready within the limit"

    async def not_ready(self) -> None:
        async with asyncio.timeout(LIMIT_S):
            while self.board.ready:
                await self._next()

    async def ended(self, drop: str) -> BoardOutcome:
        return await self._of(BoardOutcome, drop)

    async def late(self, drop: str) -> BoardLateEvidence:
        return await self._of(BoardLateEvidence, drop)

    async def drop(self, drop: str, slot: int) -> BoardOutcome:
        """Dispenses as soon as the board is ready."""
        await self.ready()
        self.board.dispense(drop, slot)
        return await self.ended(drop)

    def all_of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    async def _of(self, kind: type[E], drop: str) -> E:
        async with asyncio.timeout(LIMIT_S):
            while True:
                for event in self.all_of(kind):
                    if getattr(event, "drop", None) == drop:
                        return event
                await self._next()

    async def _next(self) -> None:
        self._heard.clear()
        await self._heard.wait()

    def _on_event(self, event: BoardEvent) -> None:
        self.events.append(event)
        self._heard.set()
