"""A running link client of the agent, and the events that it delivers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

from drink_agent.domain.events import BoardStatus, LinkEvent
from drink_agent.domain.evidence import Sensor
from drink_agent.link.client import LinkClient
from drink_agent.link.convert import Hello
from drink_agent.link.settings import LinkSettings
from tests.fakes.frontend import LIMIT_S

TOKEN = "a-token-of-the-machine"
STATUS = BoardStatus(ready=True, sensors={1: Sensor.STOCKED}, temperature_celsius=4.5)


def hello() -> Hello:
    return Hello("d", "boot", "journal", 17, "0.1", STATUS)


def with_token(settings: LinkSettings, folder: Path) -> LinkSettings:
    """The settings with a token's file in the folder."""
    token_file = folder / "token"
    token_file.write_text(f"{TOKEN}\n")
    token_file.chmod(0o600)
    return replace(settings, token_file=token_file)


class LinkPeer:
    """A client and the events that it delivered.

    Args:
        settings: Settings of the link.
        room: Number of events after which the client waits; 0 for no limit.
        random: Source of the client's random numbers. By default it dials the addresses in order.
    """

    def __init__(
        self, settings: LinkSettings, room: int = 0, random: Callable[[], float] = lambda: 0.999
    ) -> None:
        self.events: asyncio.Queue[LinkEvent] = asyncio.Queue(room)
        self.client = LinkClient(settings, hello, self.events.put, random=random)

    async def event(self) -> LinkEvent:
        async with asyncio.timeout(LIMIT_S):
            return await self.events.get()


@contextlib.asynccontextmanager
async def running(settings: LinkSettings, *addresses: str) -> AsyncIterator[LinkPeer]:
    peer = LinkPeer(replace(settings, addresses=addresses))
    task = asyncio.create_task(peer.client.run())
    try:
        yield peer
    finally:
        await peer.client.close()
        task.cancel()
        await asyncio.wait([task])
