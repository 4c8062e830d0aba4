"""A gRPC edge on loopback over the real use cases, and a client's view of it."""

from __future__ import annotations  # the stubs' classes for asyncio are there for types only

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from drink.v1 import (
    account_service_pb2_grpc,
    alarm_service_pb2_grpc,
    drop_service_pb2_grpc,
    event_service_pb2_grpc,
    item_service_pb2_grpc,
    kiosk_service_pb2_grpc,
    machine_link_service_pb2,
    machine_link_service_pb2_grpc,
    machine_service_pb2_grpc,
    statistics_service_pb2_grpc,
)
from drink_frontend.domain.entities import ALL_DROPS, Drop, Machine, Waiting
from drink_frontend.domain.tokens import day_of
from drink_frontend.links.server import LinkServer
from drink_frontend.links.settings import LinkSettings
from drink_frontend.rpc.server import RpcServer
from drink_frontend.rpc.settings import RpcSettings
from drink_frontend.storage.transaction import Transaction
from drink_frontend.system.clock import SystemClock
from drink_frontend.system.oidc_settings import OidcSettings
from drink_frontend.system.providers import Providers
from drink_frontend.system.sockets import AcceptedConnections
from drink_frontend.usecases.drops import Drops
from drink_frontend.usecases.links import Links
from drink_frontend.usecases.machines import Machines
from drink_frontend.usecases.provider_logins import ProviderLogins
from drink_frontend.usecases.settings import DropSettings, LoginSettings
from drink_frontend.usecases.tokens import digest
from tests.fakes.randomness import CountingRandomness
from tests.support.bench import JOURNAL, Bench, BenchDatabase
from tests.support.books import token
from tests.support.ids import id_of

ANN, BOB, ROOT = (
    (("authorization", f"Bearer token-of-{name}"),) for name in ("ann", "bob", "root")
)
AGENT_D = (("authorization", "Bearer token-of-d"),)

PASSWORD = "secret-of-ann"
IBUTTON = "0123456789ABCDEF"
"""The iButton of Bob."""

HELLO = machine_link_service_pb2.ConnectRequest(
    hello=machine_link_service_pb2.Hello(
        machine="machines/d",
        protocol_version=1,
        boot_id="boot-1",
        journal_id=JOURNAL,
        board_status=machine_link_service_pb2.BoardStatus(ready=True),
    )
)
"""How machine d's agent begins a link."""

LIMIT_S = 20
"""Seconds a test waits for what must happen."""


class Followers:
    """Counts the calls that wait for changes, and lets a test wait for their number."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = asyncio.Event()

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Counts one call while the context lasts."""
        self._add(1)
        try:
            yield
        finally:
            self._add(-1)

    async def are(self, count: int) -> None:
        """Waits until there are exactly `count` calls."""
        async with asyncio.timeout(LIMIT_S):
            while self._count != count:
                await self._changed.wait()

    def _add(self, change: int) -> None:
        self._count += change
        self._changed.set()
        self._changed = asyncio.Event()


class FollowedDrops(Drops):
    """The use cases of drops; counts the calls that wait for an outcome or watch a drop."""

    def __init__(self, bench: Bench) -> None:
        self.followers = Followers()
        super().__init__(
            bench.storage,
            bench.links,
            bench.clock,
            CountingRandomness("D"),
            deadlines=bench.deadlines,
            settings=DropSettings(waiting_per_account_max=50),  # long lists of one account
        )

    async def watch(self, drop_id: str) -> AsyncGenerator[Drop, None]:
        with self.followers.one_more():
            async with aclosing(super().watch(drop_id)) as drops:
                async for drop in drops:
                    yield drop

    async def follow(self, drop_id: str) -> AsyncGenerator[tuple[Drop, Waiting | None], None]:
        with self.followers.one_more():
            async with aclosing(super().follow(drop_id)) as drops:
                async for drop in drops:
                    yield drop


class FollowedMachines(Machines):
    """The use cases of machines; counts the calls that watch machines."""

    def __init__(self, bench: Bench) -> None:
        self.followers = Followers()
        super().__init__(bench.storage, bench.clock, CountingRandomness("M"))

    async def watch(self, names: Sequence[str]) -> AsyncGenerator[Machine, None]:
        with self.followers.one_more():
            async with aclosing(super().watch(names)) as machines:
                async for machine in machines:
                    yield machine


class Frontend:
    """The edge, the use cases behind it and a channel to it.

    The machines' links are not the ones of the server: a drop is RESERVED until a test takes it
    by `bench.take` and reports it by `bench.report`, or connects an agent.
    """

    def __init__(
        self, settings: RpcSettings, bench: Bench, oidc: OidcSettings | None = None
    ) -> None:
        self.bench = bench
        # Providers tell the time of this computer.
        self.providers = Providers(oidc or OidcSettings(), SystemClock())
        self.storage = bench.storage
        self.drops = FollowedDrops(bench)
        self.machines = FollowedMachines(bench)
        self.open_links = Links()
        cards = bench.accounts.kiosks.cards
        self.links = LinkServer(
            self.open_links, bench.agents, bench.dispatch, bench.clock, LinkSettings(), cards=cards
        )
        self.database_writable = True
        self.asked_for_health = asyncio.Event()
        self.server = RpcServer(
            settings,
            drops=self.drops,
            accounts=bench.accounts,
            provider_logins=ProviderLogins(
                bench.storage,
                self.providers,
                bench.accounts.identities,
                SystemClock(),
                LoginSettings(),
            ),
            transfers=bench.transfers,
            alarms=bench.review,
            notifications=bench.notifications,
            events=bench.events,
            items=bench.items,
            statistics=bench.statistics,
            temperatures=bench.temperatures,
            balances=bench.views.accounts,
            machines=self.machines,
            links=self.links,
            permits=bench.permits,
            randomness=CountingRandomness("R"),
            ready=self._ready,
            connections_max=(settings.connections.max, settings.connections.links_max),
            accepted=AcceptedConnections(),
        )
        self.port = 0
        self.channel: grpc.aio.Channel

    async def _ready(self) -> bool:
        self.asked_for_health.set()
        return self.database_writable

    async def furnish(self) -> None:
        """Adds what the bench has, a password, an iButton, and tokens like `token-of-ann`."""
        bench = self.bench
        await bench.furnish()
        await bench.accounts.change("test", "ann", password=PASSWORD)
        await bench.accounts.change("test", "bob", ibutton=IBUTTON)
        now_ms = bench.clock.now_ms()
        today, expires_ms = day_of(now_ms), now_ms + 1_000_000

        def add_tokens(tx: Transaction) -> None:
            for name in ("ann", "bob", "root"):
                token_digest = digest(f"token-of-{name}")
                tx.tokens.add(
                    token(token_digest, id_of(name), used_ms=today, expires_ms=expires_ms)
                )
            for name in ("d", "ld"):
                tx.machines.update(name, token_digest=digest(f"token-of-{name}"))

        await self.storage.write(add_tokens)

    def call(self, request: Message, caller: Any = None, **options: Any) -> Any:
        """The call of the method that takes this request; `caller` is metadata such as `ANN`."""
        (service,) = request.DESCRIPTOR.file.services_by_name
        method = request.DESCRIPTOR.name.removesuffix("Request")
        return getattr(self._stubs[service], method)(
            request, metadata=caller, **{"timeout": LIMIT_S, **options}
        )

    async def refused(self, request: Message, caller: Any = None) -> Refused:
        """How the method that takes this request refuses it."""
        return await refused(self.call(request, caller))

    async def linked(self, stub: Any = None, metadata: Any = AGENT_D) -> Any:
        """A link of machine d's agent that the frontend has taken."""
        link = (stub or self.link_stub).Connect(metadata=metadata, timeout=LIMIT_S)
        await link.write(HELLO)
        assert (await read(link)).WhichOneof("message") == "welcome"
        return link

    async def unlinked(self) -> None:
        """Waits until machine d has no link here."""
        async with asyncio.timeout(LIMIT_S):
            while self.open_links.status("d") is not None:
                await self.open_links.changed()

    async def revoke(self, account: str) -> None:
        """Ends every token of the account."""
        await self.bench.accounts.change("test", account, password="another-password")

    async def kept_drops(self) -> Sequence[Drop]:
        """All drops, newest first."""
        return await self.storage.read(lambda tx: tx.drops.list(ALL_DROPS, None, 1_000))

    async def placed_all(self) -> None:
        """Waits until every order is carried out, even if its caller was cancelled."""
        await asyncio.gather(*self.drops._placements)

    async def followed_drop(self, followers: int = 1) -> Drop:
        """The newest drop, once `followers` calls wait for its outcome or watch it."""
        await self.drops.followers.are(followers)
        return (await self.kept_drops())[0]

    async def dispense(self, drop: Drop, *report: Any) -> None:
        """Dispatches the drop and reports its outcome, DISPENSED unless another one is given."""
        taken = await self.bench.take(drop.machine)
        assert taken is not None
        assert taken.id == drop.id
        await self.bench.report(drop, *report)

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def _stubs(self) -> dict[str, Any]:
        return {
            "AccountService": account_service_pb2_grpc.AccountServiceStub(self.channel),
            "AlarmService": alarm_service_pb2_grpc.AlarmServiceStub(self.channel),
            "EventService": event_service_pb2_grpc.EventServiceStub(self.channel),
            "DropService": drop_service_pb2_grpc.DropServiceStub(self.channel),
            "KioskService": kiosk_service_pb2_grpc.KioskServiceStub(self.channel),
            "ItemService": item_service_pb2_grpc.ItemServiceStub(self.channel),
            "StatisticsService": statistics_service_pb2_grpc.StatisticsServiceStub(self.channel),
            "MachineService": machine_service_pb2_grpc.MachineServiceStub(self.channel),
        }

    @property
    def link_stub(self) -> machine_link_service_pb2_grpc.MachineLinkServiceAsyncStub:
        return machine_link_service_pb2_grpc.MachineLinkServiceStub(self.channel)


@asynccontextmanager
async def running_frontend(
    *,
    oidc: Any = None,
    **settings: Any,
) -> AsyncIterator[Frontend]:
    """A frontend that serves.

    The settings are those of RpcSettings, the port a free one, and OidcSettings if any.
    """
    with tempfile.TemporaryDirectory(prefix="drink-rpc-") as folder:
        async with BenchDatabase(Path(folder)).open() as bench:
            frontend = Frontend(RpcSettings(**{"port": 0, **settings}), bench, oidc)
            await frontend.furnish()
            frontend.port = await frontend.server.start()
            permits = asyncio.create_task(bench.permits.run())
            try:
                async with grpc.aio.insecure_channel(frontend.target) as frontend.channel:
                    yield frontend
            finally:
                permits.cancel()
                await frontend.server.stop(0)
                await asyncio.gather(permits, return_exceptions=True)
                await frontend.providers.close()


@dataclass(frozen=True)
class Refused:
    """How a call was refused, as a client sees it."""

    code: grpc.StatusCode
    message: str
    reason: str
    facts: dict[str, str]
    retry_after_s: int | None
    plain_reason: str

    @property
    def status(self) -> tuple[str, str]:
        """The names of the gRPC code and of the reason."""
        return self.code.name, self.reason


async def refused(call: Awaitable[Any]) -> Refused:
    """How the call is refused; an AssertionError if it is not, or not with one ErrorInfo."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return read_refusal(error)
    raise AssertionError(f"not refused: {answer}")


def read_refusal(error: grpc.aio.AioRpcError) -> Refused:
    """The refusal in a gRPC error."""
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
