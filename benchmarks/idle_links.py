"""Idle agents: many links in one process, each with a connection of its own, that only beat."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import grpc

from drink.v1 import machine_link_service_pb2 as links
from drink.v1.machine_link_service_pb2_grpc import MachineLinkServiceStub
from drink_agent.link.channel import KEEPALIVE_OPTIONS

OPENING_MAX = 50
"""Links that are opened at the same time."""

OPEN_LIMIT_S = 60
"""Seconds until a link must have its Welcome."""

OPTIONS = [
    *KEEPALIVE_OPTIONS,
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
]


async def _keep(address: str, machine: str, token: str, opened: "asyncio.Future[None]") -> None:
    """One link: greets, is welcomed, beats as often as it is told to."""
    interval_s: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def requests() -> AsyncIterator[links.ConnectRequest]:
        hello = links.Hello(
            machine=f"machines/{machine}",
            protocol_version=1,
            boot_id=f"boot-{machine}",
            journal_id=f"journal-{machine}",
            journal_sequence=1,
            board_status=links.BoardStatus(ready=True),
        )
        yield links.ConnectRequest(hello=hello)
        pause_s = await interval_s
        # Agents were not all started in the same moment.
        await asyncio.sleep(random.uniform(0, pause_s))  # noqa: S311
        sequence = 0
        while True:
            sequence += 1
            yield links.ConnectRequest(
                heartbeat=links.Heartbeat(sequence=sequence, journal_sequence=1)
            )
            await asyncio.sleep(pause_s)

    async with grpc.aio.insecure_channel(address, OPTIONS) as channel:
        metadata = (("authorization", f"Bearer {token}"),)
        call = MachineLinkServiceStub(channel).Connect(requests(), metadata=metadata)
        async for response in call:
            if response.HasField("welcome"):
                interval_s.set_result(response.welcome.heartbeat_interval_seconds)
                opened.set_result(None)


@asynccontextmanager
async def idle_links(address: str, tokens: Mapping[str, str]) -> AsyncIterator[None]:
    """Opens a link for each machine, and ends them all afterwards.

    Args:
        address: `host:port` of what serves them.
        tokens: The agents' tokens, by machine.
    """
    loop = asyncio.get_running_loop()
    gate = asyncio.Semaphore(OPENING_MAX)
    keeping: list[asyncio.Task[None]] = []

    async def begin(machine: str, token: str) -> None:
        async with gate, asyncio.timeout(OPEN_LIMIT_S):
            opened: asyncio.Future[None] = loop.create_future()
            task = asyncio.create_task(_keep(address, machine, token, opened))
            keeping.append(task)
            # A link that fails before its Welcome says why.
            await asyncio.wait([task, opened], return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()

    try:
        await asyncio.gather(*(begin(machine, token) for machine, token in tokens.items()))
        yield
        ended = [task for task in keeping if task.done()]
        assert not ended, f"{len(ended)} links ended"
    finally:
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)
