"""The gRPC server: its options, services and interceptors, its start and its orderly end."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from drink.v1 import (
    account_service_pb2,
    account_service_pb2_grpc,
    alarm_service_pb2,
    alarm_service_pb2_grpc,
    drop_service_pb2,
    drop_service_pb2_grpc,
    event_service_pb2,
    event_service_pb2_grpc,
    item_service_pb2,
    item_service_pb2_grpc,
    kiosk_service_pb2,
    kiosk_service_pb2_grpc,
    machine_link_service_pb2,
    machine_link_service_pb2_grpc,
    machine_service_pb2,
    machine_service_pb2_grpc,
    statistics_service_pb2,
    statistics_service_pb2_grpc,
)
from drink_frontend.domain.entities import Account
from drink_frontend.domain.ports import Randomness
from drink_frontend.links.server import LinkServer
from drink_frontend.metrics.instruments import Metrics
from drink_frontend.rpc.account_service import AccountService
from drink_frontend.rpc.admission import Admission
from drink_frontend.rpc.alarm_service import AlarmService
from drink_frontend.rpc.authentication import Authentication
from drink_frontend.rpc.call_rates import CallRates
from drink_frontend.rpc.connection_abuse import CHANNELZ, UncalledConnections
from drink_frontend.rpc.connection_limits import ConnectionLimits
from drink_frontend.rpc.drop_service import DropService
from drink_frontend.rpc.event_service import EventService
from drink_frontend.rpc.health import Health, probe
from drink_frontend.rpc.interceptors import CallLimits, Interceptor
from drink_frontend.rpc.item_service import ItemService
from drink_frontend.rpc.kiosk_service import KioskService
from drink_frontend.rpc.machine_link_service import MachineLinkService
from drink_frontend.rpc.machine_service import MachineService
from drink_frontend.rpc.messages import Messages
from drink_frontend.rpc.response_limits import PageLimits, ResponseLimits
from drink_frontend.rpc.settings import RpcSettings
from drink_frontend.rpc.statistics_service import StatisticsService
from drink_frontend.rpc.tls import Revoked, server_credentials
from drink_frontend.spans.tracer import NO_TRACER, Tracer
from drink_frontend.system.sockets import AcceptedConnections
from drink_frontend.usecases.accounts import Accounts
from drink_frontend.usecases.alarms import AlarmReview
from drink_frontend.usecases.drops import Drops
from drink_frontend.usecases.events import Events
from drink_frontend.usecases.gateways import Gateways
from drink_frontend.usecases.items import Items
from drink_frontend.usecases.machines import Machines
from drink_frontend.usecases.notifications import Notifications
from drink_frontend.usecases.permits import Permits
from drink_frontend.usecases.provider_logins import ProviderLogins
from drink_frontend.usecases.statistics import Statistics
from drink_frontend.usecases.temperatures import Temperatures
from drink_frontend.usecases.transfers import Transfers
from drink_frontend.usecases.views import ReadThroughCache
from drink_frontend.usecases.watches import Watches

log = structlog.get_logger(__name__)

SERVICES = tuple(
    module.DESCRIPTOR.services_by_name[name].full_name
    for module, name in (
        (drop_service_pb2, "DropService"),
        (machine_service_pb2, "MachineService"),
        (account_service_pb2, "AccountService"),
        (alarm_service_pb2, "AlarmService"),
        (event_service_pb2, "EventService"),
        (item_service_pb2, "ItemService"),
        (statistics_service_pb2, "StatisticsService"),
        (kiosk_service_pb2, "KioskService"),
        (machine_link_service_pb2, "MachineLinkService"),
    )
)
"""Full names of the services of drink.v1."""

END_LIMIT_S = 5.0
"""Seconds that cancelled calls may take to end. A database that does not answer may delay them, but
the process must end nevertheless."""

WAIT_S = 3_600.0
"""Seconds of one wait for a server's end. Without a limit gRPC waits on a future of the server
itself, which a cancelled waiter would cancel too."""

HEALTH_SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name


def options(settings: RpcSettings, connections_max: int) -> list[tuple[str, int]]:
    """The settings as gRPC channel arguments.

    Args:
        settings: The settings of both listeners.
        connections_max: Most connections of this listener.
    """
    return [
        CHANNELZ,
        ("grpc.max_allowed_incoming_connections", connections_max),
        # By default 3,000 calls of each method may wait until Python handles them.
        ("grpc.server.max_pending_requests", settings.admission.unseen_per_method_max),
        ("grpc.server.max_pending_requests_hard_limit", settings.admission.unseen_per_method_max),
        # A second frontend on the same port must fail instead of taking half of the calls.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", settings.request_bytes_max),
        ("grpc.max_send_message_length", settings.response_bytes_max),
        ("grpc.max_metadata_size", settings.metadata_bytes_max),
        ("grpc.absolute_max_metadata_size", settings.metadata_bytes_max),
        ("grpc.max_concurrent_streams", settings.streams_per_connection_max),
        ("grpc.server_handshake_timeout_ms", settings.handshake_timeout_s * 1000),
        ("grpc.max_connection_idle_ms", settings.connection_idle_s * 1000),
        ("grpc.keepalive_time_ms", settings.keepalive_time_s * 1000),
        ("grpc.keepalive_timeout_ms", settings.keepalive_timeout_s * 1000),
        # The default is 60 s, and the longer one of the two timeouts counts.
        ("grpc.http2.ping_timeout_ms", settings.keepalive_timeout_s * 1000),
        # By default gRPC sends no further pings on an idle stream, as a link mostly is.
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.keepalive_permit_without_calls", 1),
        (
            "grpc.http2.min_ping_interval_without_data_ms",
            settings.ping_interval_min_s * 1000,
        ),
    ]


class RpcServer:
    """The gRPC edge of one frontend.

    Args:
        settings: Address and limits.
        drops: The use cases of drops.
        accounts: The use cases of accounts.
        provider_logins: The use cases of logins with OpenID providers.
        transfers: The use cases of credits.
        alarms: The use cases of alarms.
        notifications: The use cases of those who tell people of them.
        events: The log of events.
        items: The use cases of items.
        statistics: The use cases of statistics.
        temperatures: Temperatures of machines through time.
        balances: Cached accounts, for the credits after a drop.
        machines: The use cases of machines and slots.
        links: Serves the agents' links.
        permits: Ends calls whose token is revoked.
        randomness: Ids of calls and incidents.
        ready: Whether the database accepts changes; called periodically for the health service.
        connections_max: Most connections of the users' listener, and of the listener for links.
        accepted: Lists and closes this process's connections; None disables that.
        make_server: Makes gRPC's servers; takes the keywords of `grpc.aio.server`.
        metrics: Counts calls.
        tracer: Makes the spans of calls that place drops.

    Raises:
        OSError: the list of revoked certificates or of gateways cannot be read.

    Attributes:
        port: The port of the users' listener, while it listens; 0 before.
        links_port: The port of the listener for links, while it listens; 0 if there is none.
    """

    def __init__(
        self,
        settings: RpcSettings,
        *,
        drops: Drops,
        accounts: Accounts,
        provider_logins: ProviderLogins,
        transfers: Transfers,
        alarms: AlarmReview,
        notifications: Notifications,
        events: Events,
        items: Items,
        statistics: Statistics,
        temperatures: Temperatures,
        balances: ReadThroughCache[Account],
        machines: Machines,
        links: LinkServer,
        permits: Permits,
        randomness: Randomness,
        ready: Callable[[], Awaitable[bool]],
        connections_max: tuple[int, int],
        accepted: AcceptedConnections | None,
        make_server: Callable[..., grpc.aio.Server] = grpc.aio.server,
        metrics: Metrics | None = None,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self.port = 0
        self.links_port = 0
        self._settings = settings
        self._ready = ready
        self._watches = Watches(settings.watches_max, settings.watches_per_caller_max)
        self._health = Health(SERVICES, self._watches)
        self._tasks: list[asyncio.Task[None]] = []
        clock = asyncio.get_running_loop().time
        self._connections_max = connections_max
        self._limits_connections = accepted is not None
        limits = settings.connections
        self._uncalled = UncalledConnections(limits.uncalled_interval_s, limits.uncalled_report_min)
        self._connections = ConnectionLimits(
            limits, accepted or AcceptedConnections(), clock, self._uncalled.called
        )
        self._pages = PageLimits(settings.responses)
        self._responses = ResponseLimits(settings.responses, self._connections.cut, clock)
        self._use_cases = _UseCases(
            drops,
            accounts,
            provider_logins,
            transfers,
            alarms,
            notifications,
            events,
            items,
            statistics,
            temperatures,
            balances,
            machines,
            links,
            permits,
        )
        self._interceptor = self._make_interceptor(randomness, metrics or Metrics(), tracer)
        # One server for each listener, so that each has connections of its own.
        self._servers = [
            make_server(interceptors=[self._interceptor], options=options(settings, most))
            for most in connections_max[: 2 if settings.links.listens else 1]
        ]
        for server in self._servers:
            self._add_services(server)

    def _make_interceptor(
        self, randomness: Randomness, metrics: Metrics, tracer: Tracer
    ) -> Interceptor:
        settings, use_cases, connections = self._settings, self._use_cases, self._connections
        admission = Admission(
            settings.admission, settings.calls_max, connections.cut, connections.is_suspect
        )
        pace = CallRates(settings.pace, connections.cut, asyncio.get_running_loop().time)
        authentication = Authentication(
            use_cases.accounts,
            use_cases.machines,
            admission,
            connections,
            use_cases.permits,
            certificate_required=settings.links.required,
            revoked=Revoked(settings.links.revoked) if settings.links.revoked else None,
        )
        return Interceptor(
            CallLimits(admission, pace, connections, self._responses, metrics),
            Gateways(settings.gateways),
            authentication,
            Messages(
                admission,
                self._responses,
                settings.admission.message_wait_s,
                connections.carried,
            ),
            randomness,
            tracer=tracer,
        )

    def _add_services(self, server: grpc.aio.Server) -> None:
        settings, use_cases, pages = self._settings, self._use_cases, self._pages
        drop_service_pb2_grpc.add_DropServiceServicer_to_server(
            DropService(
                use_cases.drops,
                use_cases.balances,
                self._watches,
                use_cases.permits,
                pages=self._pages,
                wait_s=settings.drop_wait_s,
                begin_s=settings.drop_begin_s,
            ),
            server,
        )
        machine_service_pb2_grpc.add_MachineServiceServicer_to_server(
            MachineService(use_cases.machines, use_cases.temperatures, self._watches, self._pages),
            server,
        )
        account_service_pb2_grpc.add_AccountServiceServicer_to_server(
            AccountService(
                use_cases.accounts, use_cases.transfers, use_cases.provider_logins, pages
            ),
            server,
        )
        alarm_service_pb2_grpc.add_AlarmServiceServicer_to_server(
            AlarmService(use_cases.alarms, use_cases.notifications, self._pages), server
        )
        statistics_service_pb2_grpc.add_StatisticsServiceServicer_to_server(
            StatisticsService(use_cases.statistics, self._pages), server
        )
        item_service_pb2_grpc.add_ItemServiceServicer_to_server(
            ItemService(use_cases.items, self._pages, self._watches, settings.picture_limit_s),
            server,
        )
        kiosk_service_pb2_grpc.add_KioskServiceServicer_to_server(
            KioskService(use_cases.accounts.kiosks, self._watches), server
        )
        event_service_pb2_grpc.add_EventServiceServicer_to_server(
            EventService(use_cases.events, self._watches, self._pages), server
        )
        machine_link_service_pb2_grpc.add_MachineLinkServiceServicer_to_server(
            MachineLinkService(use_cases.links, use_cases.machines), server
        )
        health_pb2_grpc.add_HealthServicer_to_server(  # type: ignore[no-untyped-call]
            self._health, server
        )
        if settings.reflected:
            reflection.enable_server_reflection(  # type: ignore[no-untyped-call]
                [*SERVICES, HEALTH_SERVICE, reflection.SERVICE_NAME], server
            )

    @property
    def calls(self) -> int:
        """Number of calls in flight."""
        return self._interceptor.calls

    @property
    def watches(self) -> int:
        """Number of open watches."""
        return self._watches.open

    @property
    def serving(self) -> bool:
        """Whether the health service says that calls are served."""
        return self._health.serving

    @property
    def draining(self) -> bool:
        """Whether the frontend ends."""
        return self._health.draining

    async def start(self) -> int:
        """Opens the listeners and serves calls.

        Returns:
            The port of the users' listener.

        Raises:
            OSError: an address cannot be listened on, or certificate or key are invalid.
        """
        settings = self._settings
        self._health.set(await probe(self._ready, settings.health_timeout_s))
        buyers, links = self._servers[0], self._servers[-1]
        try:
            port = self.port = self._listen(buyers, settings.target)
            self._connections.add_listener(port, self._connections_max[0])
            if settings.links.listens:
                self.links_port = self._listen(
                    links, settings.links_target, settings.links.client_ca
                )
                self._connections.add_listener(self.links_port, self._connections_max[1])
        except OSError:
            await self._stop_servers(None)
            raise
        for server in self._servers:
            await server.start()
        self._follow()
        log.info(
            "rpc_listening",
            address=settings.address,
            port=port,
            links_port=self.links_port,
            tls=settings.tls,
        )
        return port

    def _follow(self) -> None:
        settings = self._settings
        works = {
            "rpc health": self._health.follow(
                self._ready, settings.health_interval_s, settings.health_timeout_s
            )
        }
        if self._limits_connections:
            works["rpc connections"] = self._follow_connections()
            works["rpc uncalled"] = self._uncalled.follow(self._connections.places_without_call)
        self._tasks = [asyncio.create_task(work, name=name) for name, work in works.items()]

    async def _follow_connections(self) -> None:
        """Closes connections above the limits and those of clients that do not read."""
        limits = self._settings.connections
        while True:
            self._connections.enforce(await asyncio.to_thread(self._connections.list_open))
            self._responses.end_slow()
            crowded = self._connections.crowded
            await asyncio.sleep(
                limits.look_interval_crowded_s if crowded else limits.look_interval_s
            )

    def _listen(self, server: grpc.aio.Server, target: str, client_ca: Path | None = None) -> int:
        settings = self._settings
        try:
            if settings.tls_certificate is None or settings.tls_key is None:
                return server.add_insecure_port(target)
            credentials = server_credentials(
                settings.tls_certificate,
                settings.tls_key,
                client_ca,
                self._uncalled.handshakes.begun,
            )
            return server.add_secure_port(target, credentials)
        except RuntimeError as error:
            raise OSError(f"gRPC cannot listen on {target}") from error

    async def ended(self) -> None:
        """Waits until a server or one of the periodic tasks has ended.

        Raises:
            Exception: the error that ended it, if there was one.
        """
        servers = [asyncio.create_task(_terminated(server)) for server in self._servers]
        try:
            works = [*servers, *self._tasks]
            done, _ = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
            for work in done:
                work.result()
        finally:
            for server in servers:
                server.cancel()

    async def drain(self) -> None:
        """Reports NOT_SERVING and ends watches, so that clients use another frontend.

        Calls that wait for a drop's outcome go on. The use case refuses new drops, and `links` ends
        the links.
        """
        self._health.shut_down()
        self._watches.close()

    async def stop(self, grace_s: float) -> None:
        """Ends the server, and cancels calls that are in flight after `grace_s` seconds.

        It returns when all calls have ended, but at most END_LIMIT_S seconds after that.
        """
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stop_servers(grace_s)
        try:
            async with asyncio.timeout(END_LIMIT_S):
                await self._interceptor.finished()
        except TimeoutError:
            log.warning("rpc_calls_left")

    async def _stop_servers(self, grace_s: float | None) -> None:
        await asyncio.gather(*(server.stop(grace_s) for server in self._servers))


async def _terminated(server: grpc.aio.Server) -> None:
    while await server.wait_for_termination(WAIT_S):
        continue


@dataclass(frozen=True, slots=True)
class _UseCases:
    """The use cases behind the services."""

    drops: Drops
    accounts: Accounts
    provider_logins: ProviderLogins
    transfers: Transfers
    alarms: AlarmReview
    notifications: Notifications
    events: Events
    items: Items
    statistics: Statistics
    temperatures: Temperatures
    balances: ReadThroughCache[Account]
    machines: Machines
    links: LinkServer
    permits: Permits
