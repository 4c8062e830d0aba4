"""A thousand machines find their frontend again at the same moment, and buyers do not notice."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import grpc
import grpc.aio
import pytest

from drink.v1.machine_link_service_pb2 import ConnectRequest, ConnectResponse, Hello
from drink.v1.machine_link_service_pb2_grpc import MachineLinkServiceStub
from scripts.plan import MachinePlan
from tests.integration.audited_system import COUPLE, DATABASE, AuditedSystem, outcome, verify

CROWD = 1_000

LINKS_PER_CONNECTION = 50
"""An agent has a connection of its own; so many connections would only measure this process."""

LIMIT_S = 60
"""Seconds within which all of them have a link, on a machine with two cores that does other things
too. An agent waits 10 s for its Welcome, then dials again."""

DIAL_AGAIN_S = 1
"""Seconds after which an agent dials again for the first time."""

BUYER_LIMIT_S = 30
"""Seconds until a buyer meanwhile has the can."""

NAMES = [f"m{number}" for number in range(CROWD)]

PLAN = replace(COUPLE, machines=(*COUPLE.machines, *(MachinePlan(n, n, ()) for n in NAMES)))


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditedSystem]:
    """A system of which only two machines have agents of their own."""
    folder = tmp_path_factory.mktemp("system")
    with AuditedSystem(folder, PLAN, tmp_path_factory.mktemp("template")) as system:
        system.install()
        for name in ("d", "ld"):
            system.boards[name].start()
        system.start_frontend()
        for name in ("d", "ld"):
            system.agents[name].start()
        system.wait_ready("d", "ld")
        yield system


async def crowd(folder: Path, address: str, all_linked: asyncio.Event) -> None:
    """Dials for all machines at once, and keeps the links until it is cancelled."""
    waiting = set(NAMES)
    options = [("grpc.use_local_subchannel_pool", 1)]
    connections = [
        grpc.aio.insecure_channel(address, options) for _ in range(CROWD // LINKS_PER_CONNECTION)
    ]

    async def link(number: int) -> None:
        name = NAMES[number]
        token = (folder / f"{name}.token").read_text().strip()
        hello = Hello(
            machine=f"machines/{name}", boot_id="boot", journal_id=name, protocol_version=1
        )
        while True:
            stream = MachineLinkServiceStub(connections[number // LINKS_PER_CONNECTION]).Connect(
                metadata=(("authorization", f"Bearer {token}"),)
            )
            try:
                await stream.write(ConnectRequest(hello=hello))
                welcome = await stream.read()
                break
            except grpc.aio.AioRpcError as error:
                # gRPC cancels what it cannot hand on in time, and says so in either of two ways. An
                # agent dials again.
                if error.details() not in {"CANCELLED", "Internal error from Core"}:
                    raise
                await asyncio.sleep(DIAL_AGAIN_S)
        assert isinstance(welcome, ConnectResponse)
        assert welcome.welcome.epoch >= 1
        waiting.discard(name)
        if not waiting:
            all_linked.set()
        await asyncio.Event().wait()

    try:
        async with asyncio.TaskGroup() as links:
            for number in range(CROWD):
                links.create_task(link(number))
    finally:
        for connection in connections:
            await connection.close()


@pytest.mark.timeout(240)
def test_fault_23_a_thousand_agents_dial_at_once_and_buyers_do_not_notice(
    standing: AuditedSystem,
) -> None:
    system, bought = standing, []

    def buy() -> None:
        started = time.monotonic()
        assert outcome(system.alice.drop("d/1")) == ("DISPENSED", "BOARD_ACK")
        bought.append(time.monotonic() - started)

    async def storm() -> None:
        all_linked = asyncio.Event()
        links = asyncio.create_task(crowd(system.folder, system.address, all_linked))
        async with asyncio.timeout(LIMIT_S):
            while not all_linked.is_set():
                await asyncio.to_thread(buy)
                if links.done():
                    await links
        links.cancel()
        await asyncio.wait({links})

    buy()
    asyncio.run(storm())
    assert max(bought) < BUYER_LIMIT_S
    assert verify(system.folder / DATABASE) == []
