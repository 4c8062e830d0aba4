"""The bare relay: the hops of a drop with nothing in them.

A server on grpc.aio hands each unary `Drop` to the bidirectional stream of its machine and answers
with what comes back; an agent echoes. It speaks the messages of drink.v1, and both ends take the
options of the real services, so that the same buyers can drive it. It has no database, no journal,
no accounts, no checks, no order within a machine, no limits and no repair. It is the limit of this
architecture in this language.

    python -m benchmarks.references.bare_relay serve
    python -m benchmarks.references.bare_relay echo ADDRESS MACHINE...
"""

import asyncio
import itertools
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import uvloop

from drink.v1 import drop_service_pb2 as drops
from drink.v1 import machine_link_service_pb2 as links
from drink.v1 import machine_link_service_pb2_grpc
from drink_agent.link.channel import KEEPALIVE_OPTIONS
from drink_frontend.rpc.server import options
from drink_frontend.rpc.settings import RpcSettings

HEARTBEAT_S = 10
"""Seconds between an agent's heartbeats, as the frontend asks for."""

Step = Callable[[str], Awaitable[None]]
"""Done before something is passed on; takes the drop."""


async def nothing(_drop: str) -> None:
    """The bare relay's step."""


class Relay:
    """Both methods of the relay.

    Args:
        before_command: Done before the command leaves.
        before_answer: Done before the answer leaves.
    """

    def __init__(self, before_command: Step = nothing, before_answer: Step = nothing) -> None:
        self._before_command = before_command
        self._before_answer = before_answer
        self._links: dict[str, asyncio.Queue[links.ConnectResponse]] = {}
        self._waiting: dict[str, asyncio.Future[links.Result]] = {}
        self._ids = itertools.count(1)

    async def drop(self, request: drops.DropRequest, _context: object) -> drops.DropResponse:
        """Hands it over, and answers with the agent's result."""
        _, machine, _, slot = request.slot.split("/")
        drop = f"drops/{next(self._ids):026}"
        await self._before_command(drop)
        future = self._waiting[drop] = asyncio.get_running_loop().create_future()
        command = links.Dispense(drop=drop, epoch=1, slot=int(slot), ttl_ms=10_000)
        self._links[machine].put_nowait(links.ConnectResponse(dispense=command))
        result = await future
        await self._before_answer(drop)
        answer = drops.Drop(
            name=drop, slot=request.slot, request_id=request.request_id, state=result.outcome
        )
        return drops.DropResponse(drop=answer)

    async def connect(
        self, requests: AsyncIterator[links.ConnectRequest], _context: object
    ) -> AsyncIterator[links.ConnectResponse]:
        """One agent's stream."""
        first = await anext(requests)
        outgoing: asyncio.Queue[links.ConnectResponse] = asyncio.Queue()
        self._links[first.hello.machine.removeprefix("machines/")] = outgoing
        hearing = asyncio.create_task(self._hear(requests, outgoing))
        try:
            yield links.ConnectResponse(
                welcome=links.Welcome(epoch=1, heartbeat_interval_seconds=HEARTBEAT_S)
            )
            while True:
                yield await outgoing.get()
        finally:
            hearing.cancel()

    async def _hear(
        self,
        requests: AsyncIterator[links.ConnectRequest],
        outgoing: "asyncio.Queue[links.ConnectResponse]",
    ) -> None:
        async for request in requests:
            if request.HasField("result"):
                self._waiting.pop(request.result.drop).set_result(request.result)
            elif request.HasField("heartbeat"):
                beat = links.Heartbeat(sequence=request.heartbeat.sequence)
                outgoing.put_nowait(links.ConnectResponse(heartbeat=beat))


async def serve(relay: Relay) -> None:
    """Serves the relay on a free port, which it prints as the frontend does."""
    settings = RpcSettings(port=0)
    server = grpc.aio.server(options=options(settings, settings.connections.max))
    unary = grpc.unary_unary_rpc_method_handler(
        relay.drop, drops.DropRequest.FromString, drops.DropResponse.SerializeToString
    )
    stream = grpc.stream_stream_rpc_method_handler(
        relay.connect, links.ConnectRequest.FromString, links.ConnectResponse.SerializeToString
    )
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler("drink.v1.DropService", {"Drop": unary}),
            grpc.method_handlers_generic_handler(
                "drink.v1.MachineLinkService", {"Connect": stream}
            ),
        )
    )
    port = server.add_insecure_port(settings.target)
    await server.start()
    print(json.dumps({"event": "serving", "rpc_port": port}), flush=True)
    await server.wait_for_termination()


async def echo(
    address: str, machine: str, before_board: Step = nothing, after_board: Step = nothing
) -> None:
    """One agent: answers every command at once, and each after the one before."""
    outgoing: asyncio.Queue[links.ConnectRequest] = asyncio.Queue()
    outgoing.put_nowait(links.ConnectRequest(hello=links.Hello(machine=f"machines/{machine}")))

    async def requests() -> AsyncIterator[links.ConnectRequest]:
        while True:
            yield await outgoing.get()

    # As the agent's: a connection for each.
    own = [
        *KEEPALIVE_OPTIONS,
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
    ]
    async with grpc.aio.insecure_channel(address, own) as channel:
        stub = machine_link_service_pb2_grpc.MachineLinkServiceStub(channel)
        async for response in stub.Connect(requests(), wait_for_ready=True):
            if response.HasField("welcome"):
                print(json.dumps({"event": "link_up", "machine": machine}), flush=True)
            if response.HasField("dispense"):
                drop = response.dispense.drop
                await before_board(drop)
                await after_board(drop)
                result = links.Result(
                    drop=drop,
                    revision=1,
                    outcome=drops.Drop.STATE_DISPENSED,
                    cause=drops.Drop.CAUSE_BOARD_ACK,
                )
                outgoing.put_nowait(links.ConnectRequest(result=result))


async def _echo_all(address: str, machines: list[str]) -> None:
    await asyncio.gather(*(echo(address, machine) for machine in machines))


def main(what: str, *rest: str) -> None:
    """Runs one of the two ends."""
    if what == "serve":
        uvloop.run(serve(Relay()))
    else:
        address, *machines = rest
        asyncio.run(_echo_all(address, machines))


if __name__ == "__main__":
    main(*sys.argv[1:])
