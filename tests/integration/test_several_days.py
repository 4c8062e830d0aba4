"""What several days of calls that end early leave in memory: nothing that grows with their number.

gRPC's server for asyncio is known to leak what it allocated for a batch of operations when the
batch fails or its task is cancelled, some 100 bytes each time.
"""

import asyncio
import ctypes
import gc
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import structlog

from drink.v1 import machine_link_service_pb2
from drink_frontend.links.messages import AgentMessage, Envelope, Heartbeat
from tests.support.http2 import Http2Connection
from tests.support.rpc_frontend import AGENT_D, ANN, Frontend, running_frontend

BATCH = 50
"""Calls that are open at once, on a connection of their own."""

LEAK_BYTES = 48
"""Bytes per call below which nothing is leaked: half of gRPC's smallest leak. What is measured
where nothing leaks is between 0 and 25, of tables that grew."""

TOKEN = dict(ANN)["authorization"]
AGENT = dict(AGENT_D)["authorization"]
LIMIT_S = 60


@pytest.fixture(autouse=True)
def few_lines() -> Iterator[None]:
    """Without a line for each of so many calls."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    yield
    structlog.reset_defaults()


class _Mallinfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def allocated() -> int:
    """Bytes that this process has allocated and not freed, by Python and by gRPC."""
    try:
        mallinfo = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        pytest.skip("the C library does not tell how much is allocated")
    mallinfo.restype = _Mallinfo
    gc.collect()
    info = mallinfo()
    return int(info.uordblks + info.hblkhd)


class QuietLinks:
    """Links that take one message and wait for the next, until the frontend or the agent ends."""

    def __init__(self, frontend: Frontend) -> None:
        self.heard: asyncio.Queue[AgentMessage] = asyncio.Queue()
        self.end = asyncio.Event()
        self.ended: asyncio.Queue[None] = asyncio.Queue()
        frontend.links.accepts = lambda *_: True  # type: ignore[method-assign]
        frontend.links.open = self.open  # type: ignore[method-assign,assignment]

    @asynccontextmanager
    async def open(
        self, machine: str, incoming: AsyncIterator[AgentMessage], address: str = ""
    ) -> AsyncIterator["QuietLinks"]:
        hear = asyncio.create_task(self._keep_hearing(incoming))
        try:
            yield self
        finally:
            hear.cancel()
            try:
                await asyncio.wait({hear})
            finally:
                self.ended.put_nowait(None)

    async def messages(self) -> AsyncGenerator[Envelope, None]:
        await self.end.wait()
        self.end.clear()
        if self.end.is_set():
            yield Envelope(Heartbeat(1))

    async def _keep_hearing(self, incoming: AsyncIterator[AgentMessage]) -> None:
        async for message in incoming:
            self.heard.put_nowait(message)


@dataclass
class Caller:
    """Opens calls on a frontend and ends them."""

    frontend: Frontend

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Http2Connection]:
        client = await Http2Connection.connect("127.0.0.1", self.frontend.port)
        try:
            yield client
        finally:
            await client.close()

    async def watch(self) -> None:
        """Watches of machines, opened and cancelled."""
        followers = self.frontend.machines.followers
        async with self.connection() as client:
            streams = [
                client.call("/drink.v1.MachineService/WatchMachines", b"") for _ in range(BATCH)
            ]
            await followers.are(BATCH)
            for stream in streams:
                client.reset(stream)
            await followers.are(0)

    async def link(self) -> None:
        """Links that the agent ends."""
        links = QuietLinks(self.frontend)
        async with self.connection() as client:
            for _ in range(BATCH):
                stream = await self._linked(client, links)
                client.reset(stream)
                await links.ended.get()

    async def link_ended(self) -> None:
        """Links that the frontend ends while it waits for the agent's next message."""
        links = QuietLinks(self.frontend)
        async with self.connection() as client:
            for _ in range(BATCH):
                stream = await self._linked(client, links)
                links.end.set()
                await links.ended.get()
                await client.ended(stream)

    async def _linked(self, client: Http2Connection, links: "QuietLinks") -> int:
        stream = client.call("/drink.v1.MachineLinkService/Connect", authorization=AGENT)
        beat = machine_link_service_pb2.Heartbeat(sequence=1)
        message = machine_link_service_pb2.ConnectRequest(heartbeat=beat)
        client.send_message(stream, message.SerializeToString(), last=False)
        assert await links.heard.get() == Heartbeat(1)
        return stream

    async def silent(self) -> None:
        """Calls without a message, cancelled by the client."""
        async with self.connection() as client:
            for _ in range(BATCH // 10):
                streams = [
                    client.call("/drink.v1.DropService/Drop", authorization=TOKEN)
                    for _ in range(10)
                ]
                await client.drain()
                for stream in streams:
                    client.reset(stream)
            # gRPC hands the calls of a method on in their order.
            last = client.call("/drink.v1.DropService/Drop", b"", authorization=TOKEN)
            await client.ended(last)

    async def answered(self) -> None:
        """Calls that are answered."""
        async with self.connection() as client:
            for _ in range(BATCH):
                await client.ended(client.call("/drink.v1.MachineService/ListMachines", b""))


async def grown(caller: Caller, kind: Callable[[Caller], Awaitable[None]], calls: int) -> float:
    """Bytes per call that so many of them leave allocated.

    A leak is in each of some rounds, a table that grew only in one; so the least of all counts, and
    the first round only warms up.
    """
    rounds, least = 5, float("inf")
    async with asyncio.timeout(LIMIT_S + calls / 20):
        for number in range(rounds):
            before = allocated()
            for _ in range(calls // rounds // BATCH):
                await kind(caller)
                await caller.frontend.server._interceptor.finished()
            if number:
                least = min(least, (allocated() - before) / (calls // rounds))
    return least


KINDS = [Caller.watch, Caller.link, Caller.link_ended, Caller.silent, Caller.answered]


UNPACED = {
    f"{caller}_calls_{limit}": 1_000_000
    for caller in ("account", "stranger")
    for limit in ("per_s", "burst")
}
"""So that days pass in minutes."""


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_calls_that_end_early_leave_nothing(
    kind: Callable[[Caller], Awaitable[None]],
) -> None:
    async with running_frontend(
        pace=UNPACED, admission={"waiting_per_connection_max": 1_000}
    ) as frontend:
        caller = Caller(frontend)
        assert await grown(caller, kind, 2_500) < LEAK_BYTES


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(
    ("kind", "calls"),
    [(Caller.watch, 200_000), (Caller.link, 86_400), (Caller.link_ended, 86_400)],
    ids=["200,000 watches", "a day of links", "a day of ended links"],
)
async def test_several_days_leave_memory_where_it_was(
    kind: Callable[[Caller], Awaitable[None]], calls: int
) -> None:
    async with running_frontend(
        pace=UNPACED, admission={"waiting_per_connection_max": 1_000}
    ) as frontend:
        caller = Caller(frontend)
        left = await grown(caller, kind, calls)
        print(f"{kind.__name__}: {calls} calls left {left:.1f} bytes each")
        assert left < LEAK_BYTES / 4
