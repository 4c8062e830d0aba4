"""The present state of all machines, from one watch on the frontend for all browsers.

Which items have pictures, and how warm it was, is asked for at times: it changes seldom, and no
watch without a login tells it.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from drink.v1 import machine_service_pb2 as pb
from drink_web.api import Api, Metadata
from drink_web.errors import CallError
from drink_web.pictures import Pictures
from drink_web.settings import FrontendSettings, PictureSettings
from drink_web.temperatures import Sparks

_log = logging.getLogger(__name__)


class House:
    """The machines, and whether the frontend reports them at present.

    Args:
        api: The frontend.
        settings: How soon a broken watch is begun again.
        pictures: Limits of the items' pictures.
    """

    def __init__(self, api: Api, settings: FrontendSettings, pictures: PictureSettings) -> None:
        self._api = api
        self._settings = settings
        self._refresh_s = pictures.refresh_s
        self.pictures = Pictures(api, pictures)
        """The pictures of items."""
        self.sparks = Sparks(api)
        """Small drawings of the machines' temperatures."""
        self._machines: dict[str, pb.Machine] = {}
        self._changed = asyncio.Event()
        self.version = 0
        """Counts the changes."""
        self.is_current = False
        """Whether the frontend answers, so that what is shown is as it stands."""
        self.changed_at = time.time()
        """When `is_current` changed last, in Unix seconds; at first the start."""
        self.retries = 0
        """Counts how often the watch was begun again."""
        self.known = asyncio.Event()
        """Set once the machines were heard of for the first time."""

    @property
    def machines(self) -> Mapping[str, pb.Machine]:
        """The machines by their resource names, in order, as they were last reported."""
        return self._machines

    def readiness(self) -> dict[str, Any]:
        """Whether people can be served, and why not; for programs, without a secret."""
        reaches = Counter(pb.Machine.Reach.Name(each.reach) for each in self._machines.values())
        return {
            "ready": self.is_current,
            "frontend": "reachable" if self.is_current else "away",
            # What was known last is no longer so while the frontend is away.
            "machines": {
                name.removeprefix("REACH_").lower(): reaches[name]
                for name in pb.Machine.Reach.keys()[1:]
                if self.is_current
            },
        }

    async def changed(self, version: int) -> int:
        """Waits until there is a newer version, and returns it."""
        while self.version == version:
            await self._changed.wait()
        return self.version

    async def set_picture(self, item: str, content: bytes, caller: Metadata) -> None:
        """Gives an item another picture, and tells all browsers; no bytes at all remove it.

        Raises:
            CallError: the frontend refused, or did not answer.
        """
        await self.pictures.set(item, content, caller)
        self._tell()

    async def run(self) -> None:
        """Watches until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_machines())
            tasks.create_task(self._refresh(self._refresh_s, self._look_for_pictures))
            tasks.create_task(self._refresh(self._settings.temperatures_s, self._look_for_sparks))

    async def _refresh(self, interval_s: float, look: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(interval_s)
            if self.is_current:
                await look()

    async def _look_for_sparks(self) -> None:
        # Without an answer, or from a frontend without temperatures, what was known stays.
        with contextlib.suppress(CallError):
            if await self.sparks.refresh():
                self._tell()

    async def _look_for_pictures(self) -> None:
        # Without an answer, or from a frontend without pictures, what was known stays.
        with contextlib.suppress(CallError):
            if await self.pictures.refresh():
                self._tell()

    async def _watch_machines(self) -> None:
        delay_s = self._settings.rewatch_first_s
        while True:
            try:
                await self._watch()
                delay_s = self._settings.rewatch_first_s
            except CallError as error:
                if self.is_current:
                    delay_s = self._settings.rewatch_first_s
                    _log.warning("frontend_lost", extra={"facts": {"error": str(error)}})
                    self._now_current(False)
                    self._tell()
            await asyncio.sleep(delay_s)
            self.retries += 1
            delay_s = min(2 * delay_s, self._settings.rewatch_limit_s)

    async def _watch(self) -> None:
        caller = self._api.caller()
        watch = self._api.watch(self._api.machines.WatchMachines, pb.WatchMachinesRequest(), caller)
        async with watch as messages:
            # The list is whole, while a watch does not say where its first round ends.
            listed = await self._api.call(
                self._api.machines.ListMachines, pb.ListMachinesRequest(), caller
            )
            await self._look_for_pictures()
            await self._look_for_sparks()
            self._machines = {machine.name: machine for machine in listed.machines}
            self._now_current(True)
            self.known.set()
            _log.info("frontend_found", extra={"facts": {"machines": len(self._machines)}})
            self._tell()
            async for message in messages:
                self._take(message.machine)

    def _now_current(self, value: bool) -> None:
        if value != self.is_current:
            self.is_current, self.changed_at = value, time.time()

    def _take(self, machine: pb.Machine) -> None:
        if self._machines.get(machine.name) == machine:
            return
        is_new = machine.name not in self._machines
        self._machines[machine.name] = machine
        if is_new:
            self._machines = dict(sorted(self._machines.items()))
        self._tell()

    def _tell(self) -> None:
        self.version += 1
        self._changed.set()
        self._changed = asyncio.Event()
