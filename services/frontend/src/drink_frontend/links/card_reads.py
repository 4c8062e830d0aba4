"""The cards read at one machine: looked up one after the other, beside the link's other work."""

import asyncio
from collections.abc import Awaitable, Callable

WAITING_MAX = 4
"""Cards of one link that wait until those before them are looked up; further ones are ignored."""


class CardReads:
    """Looks cards up in their order.

    Its task exists only while there is a card to look up: few of a frontend's links have a reader.

    Args:
        machine: The machine, for the name of the task.
        look_up: Looks a card up by its number; must not raise.
    """

    def __init__(self, machine: str, look_up: Callable[[str], Awaitable[None]]) -> None:
        self._machine = machine
        self._look_up = look_up
        self._waiting: list[str] = []
        self._task: asyncio.Task[None] | None = None

    def add(self, number: str) -> None:
        """Looks a card up once those before it are looked up, unless too many wait."""
        if self._task is None:
            self._waiting.append(number)
            name = f"link {self._machine} cards"
            self._task = asyncio.create_task(self._run(), name=name)
        elif len(self._waiting) < WAITING_MAX:
            self._waiting.append(number)

    def close(self) -> None:
        """Looks no more cards up."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._look_up(self._waiting.pop(0))
        finally:
            self._task = None
