"""What changes something is carried out to its end, whatever becomes of the call that asked."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from drink_frontend.domain.errors import DrinkError

log = structlog.get_logger(__name__)

T = TypeVar("T")


class Effects:
    """The changes under way.

    Their number needs no limit of its own: each waits on the storage's queue, which is full before
    they are many.
    """

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def run(self, effect: Coroutine[Any, Any, T]) -> T:
        """Waits for the effect; if the caller is cancelled, the effect goes on without it."""
        task = asyncio.create_task(effect)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def finished(self) -> None:
        """Waits until no effect is under way."""
        while self._running:
            await asyncio.wait(self._running)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        # The caller who is still there gets the error; this is for the one who left.
        if error is not None and not isinstance(error, DrinkError):
            log.error("effect_failed", exc_info=error)
