"""A gRPC edge on loopback over use cases in memory, and a client's view of it."""

from __future__ import annotations  # the stubs' classes for asyncio are there for types only

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from drink.v1 import (
    account_service_pb2_grpc,
    drop_service_pb2_grpc,
    machine_link_service_pb2_grpc,
    machine_service_pb2_grpc,
)
from drink_frontend.rpc.server import RpcServer
from drink_frontend.rpc.settings import RpcSettings
from drink_frontend.system.sockets import AcceptedConnections
from tests.fakes.permits import HandPermits
from tests.fakes.rpc_usecases import (
    CountingRandomness,
    MemoryAccounts,
    MemoryDrops,
    MemoryMachines,
    ScriptedLinks,
)

ALICE, BOB, ROOT = (
    (("authorization", f"Bearer token-of-{name}"),) for name in ("alice", "bob", "root")
)
AGENT_D = (("authorization", "Bearer token-of-d"),)

LIMIT_S = 20
"""Seconds a test waits for what must happen."""


class MemoryBalances:
    """What the accounts have, to be shown."""

    def __init__(self, accounts: MemoryAccounts) -> None:
        self.get = accounts.balance


class Frontend:
    """The edge, the use cases behind it and a channel to it."""

    def __init__(self, settings: RpcSettings) -> None:
        self.randomness = CountingRandomness()
        self.accounts = MemoryAccounts()
        self.drops = MemoryDrops(self.accounts, self.randomness)
        self.machines = MemoryMachines()
        self.links = ScriptedLinks()
        self.permits = HandPermits()
        self.database_writable = True
        self.asked_for_health = asyncio.Event()
        self.server = RpcServer(
            settings,
            drops=self.drops,
            accounts=self.accounts,
            balances=MemoryBalances(self.accounts),
            machines=self.machines,
            links=self.links,
            permits=self.permits,
            randomness=self.randomness,
            ready=self._ready,
            connections_max=(settings.connections.max, settings.connections.links_max),
            accepted=AcceptedConnections(),
        )
        self.port = 0
        self.channel: grpc.aio.Channel

    async def _ready(self) -> bool:
        self.asked_for_health.set()
        return self.database_writable

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def drop_stub(self) -> drop_service_pb2_grpc.DropServiceAsyncStub:
        return drop_service_pb2_grpc.DropServiceStub(self.channel)

    @property
    def machine_stub(self) -> machine_service_pb2_grpc.MachineServiceAsyncStub:
        return machine_service_pb2_grpc.MachineServiceStub(self.channel)

    @property
    def account_stub(self) -> account_service_pb2_grpc.AccountServiceAsyncStub:
        return account_service_pb2_grpc.AccountServiceStub(self.channel)

    @property
    def link_stub(self) -> machine_link_service_pb2_grpc.MachineLinkServiceAsyncStub:
        return machine_link_service_pb2_grpc.MachineLinkServiceStub(self.channel)


@asynccontextmanager
async def running_frontend(**settings: Any) -> AsyncIterator[Frontend]:
    """A frontend that serves; the settings are those of RpcSettings, the port a free one."""
    frontend = Frontend(RpcSettings(**{"port": 0, **settings}))
    frontend.port = await frontend.server.start()
    try:
        async with grpc.aio.insecure_channel(frontend.target) as frontend.channel:
            yield frontend
    finally:
        await frontend.server.stop(0)


@dataclass(frozen=True)
class Refused:
    """How a call was refused, as a client sees it."""

    code: grpc.StatusCode
    message: str
    reason: str
    facts: dict[str, str]
    retry_after_s: int | None
    plain_reason: str


async def refused(call: Awaitable[Any]) -> Refused:
    """How the call is refused; an AssertionError if it is not, or not with one ErrorInfo."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return read_refusal(error)
    raise AssertionError(f"not refused: {answer}")


def read_refusal(error: grpc.aio.AioRpcError) -> Refused:
    """What the error says."""
    trailing = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    assert (status.code, status.message) == (error.code().value[0], error.details())
    infos, retries = [], []
    for detail in status.details:
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            infos.append(info)
        elif detail.Unpack(retry):
            retries.append(retry.retry_delay.seconds)
    (info,) = infos
    assert info.domain == "drink"
    return Refused(
        code=error.code(),
        message=status.message,
        reason=info.reason,
        facts=dict(info.metadata),
        retry_after_s=retries[0] if retries else None,
        plain_reason=str(trailing["drink-error-reason"]),
    )


async def read(stream: Any) -> Any:
    """The next response of a stream; an AssertionError if it has ended."""
    response = await stream.read()
    assert response is not grpc.aio.EOF
    return response
