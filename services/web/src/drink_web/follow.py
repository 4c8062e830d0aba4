"""Follows one drop on the frontend, through restarts of the frontend."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from drink.v1 import drop_service_pb2 as pb
from drink_web.api import Api, Metadata
from drink_web.errors import CallError
from drink_web.views import FINAL_STATES

RETRY_FIRST_S = 0.25
"""Seconds until a broken watch is begun again; twice as long each time."""

RETRY_LIMIT_S = 5.0
"""Most seconds between two such attempts."""


class Follower:
    """One drop as it stands; `run` keeps it up to date.

    Args:
        api: The frontend.
        name: The drop's resource name.
        caller: Whose drop it is.
    """

    def __init__(self, api: Api, name: str, caller: Metadata) -> None:
        self._api = api
        self._request = pb.WatchDropRequest(name=name)
        self._caller = caller
        self._changed = asyncio.Event()
        self.drop: pb.Drop | None = None
        """As it was told last; None before."""
        self.is_lost = False
        """Whether the frontend does not answer."""
        self.is_refused = False
        """Whether it cannot be followed any more, such as after a logout."""

    @property
    def is_final(self) -> bool:
        """Whether the drop is at its end."""
        return self.drop is not None and self.drop.state in FINAL_STATES

    async def changed(self) -> None:
        """Waits for the next change."""
        await self._changed.wait()

    async def run(self) -> None:
        """Follows it to its end, or until it is refused."""
        delay_s = RETRY_FIRST_S
        while not (self.is_final or self.is_refused):
            try:
                await self._watch()
                delay_s = RETRY_FIRST_S
            except CallError as error:
                self.is_refused = error.status in ("UNAUTHENTICATED", "NOT_FOUND")
                self.is_lost = True
                self._tell()
            if not self.is_final:
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, RETRY_LIMIT_S)

    async def _watch(self) -> None:
        watch = self._api.watch(self._api.drops.WatchDrop, self._request, self._caller)
        async with watch as messages:
            async for message in messages:
                self.drop, self.is_lost = message.drop, False
                self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


async def first_of(*waits: Coroutine[Any, Any, object], limit_s: float) -> None:
    """Waits until the first of the awaitables has ended, and cancels the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
