"""The gRPC server: its options, services and interceptors, its start and its orderly end."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from drink.v1 import (
    account_service_pb2,
    account_service_pb2_grpc,
    drop_service_pb2,
    drop_service_pb2_grpc,
    machine_link_service_pb2,
    machine_link_service_pb2_grpc,
    machine_service_pb2,
    machine_service_pb2_grpc,
)
from drink_frontend.domain.ports import Randomness
from drink_frontend.rpc.account_service import AccountService
from drink_frontend.rpc.auth import Authentication
from drink_frontend.rpc.drop_service import DropService
from drink_frontend.rpc.effects import Effects
from drink_frontend.rpc.health import Health, probe
from drink_frontend.rpc.interceptors import (
    Calls,
    Decoding,
    ErrorBoundary,
    Interceptor,
    RequestContext,
)
from drink_frontend.rpc.machine_link_service import MachineLinkService
from drink_frontend.rpc.machine_service import MachineService
from drink_frontend.rpc.origin import Gateways, Origins
from drink_frontend.rpc.ports import Accounts, Balances, Drops, Links, Machines
from drink_frontend.rpc.settings import RpcSettings
from drink_frontend.rpc.streams import Watches
from drink_frontend.rpc.tls import Revoked, server_credentials

log = structlog.get_logger(__name__)

SERVICES = tuple(
    module.DESCRIPTOR.services_by_name[name].full_name
    for module, name in (
        (drop_service_pb2, "DropService"),
        (machine_service_pb2, "MachineService"),
        (account_service_pb2, "AccountService"),
        (machine_link_service_pb2, "MachineLinkService"),
    )
)
"""Full names of the services of drink.v1."""

END_LIMIT_S = 5.0
"""Seconds that calls may take to end once they are cancelled; only a database that does not answer
makes it longer than a moment, and that must not keep the process from ending."""

HEALTH_SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name


def options(settings: RpcSettings) -> list[tuple[str, int]]:
    """The settings as gRPC channel arguments."""
    return [
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
        # Left alone it is 60 s, and the longer of the two timeouts wins.
        ("grpc.http2.ping_timeout_ms", settings.keepalive_timeout_s * 1000),
        # Left alone it ends the pings on a stream that is idle, as a link mostly is.
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
        drops: Placing, following and cancelling drops.
        accounts: Logging in, accounts, credits.
        balances: Credits, to be shown after a drop.
        machines: Machines and their slots.
        links: The agents' links.
        randomness: Ids of calls and incidents.
        ready: Whether the database takes changes; asked again and again for the health service.
        make_server: Makes gRPC's server; takes the keywords of `grpc.aio.server`.

    Raises:
        OSError: the list of revoked certificates or of gateways cannot be read.

    Attributes:
        links_port: The port for agents with certificates, once it listens; 0 if there is none.
    """

    def __init__(
        self,
        settings: RpcSettings,
        *,
        drops: Drops,
        accounts: Accounts,
        balances: Balances,
        machines: Machines,
        links: Links,
        randomness: Randomness,
        ready: Callable[[], Awaitable[bool]],
        make_server: Callable[..., grpc.aio.Server] = grpc.aio.server,
    ) -> None:
        self.links_port = 0
        self._settings = settings
        self._ready = ready
        self._calls = Calls()
        self._effects = Effects()
        self._watches = Watches(settings.watches_max, settings.watches_per_caller_max)
        self._health = Health(SERVICES, self._watches)
        self._follow_health: asyncio.Task[None] | None = None
        revoked = Revoked(settings.links.revoked) if settings.links.revoked else None
        self._server = make_server(
            interceptors=[
                Interceptor(
                    [
                        self._calls,
                        ErrorBoundary(randomness),
                        RequestContext(randomness),
                        Origins(Gateways(settings.gateways)),
                        Authentication(
                            accounts,
                            machines,
                            certificate_required=settings.links.required,
                            revoked=revoked,
                        ),
                        Decoding(),
                    ]
                )
            ],
            options=options(settings),
            maximum_concurrent_rpcs=settings.calls_max,
        )
        drop_service_pb2_grpc.add_DropServiceServicer_to_server(
            DropService(drops, balances, self._effects, self._watches, settings.drop_wait_s),
            self._server,
        )
        machine_service_pb2_grpc.add_MachineServiceServicer_to_server(
            MachineService(machines, self._effects, self._watches), self._server
        )
        account_service_pb2_grpc.add_AccountServiceServicer_to_server(
            AccountService(accounts, self._effects), self._server
        )
        machine_link_service_pb2_grpc.add_MachineLinkServiceServicer_to_server(
            MachineLinkService(links, machines), self._server
        )
        health_pb2_grpc.add_HealthServicer_to_server(  # type: ignore[no-untyped-call]
            self._health, self._server
        )
        if settings.reflected:
            reflection.enable_server_reflection(  # type: ignore[no-untyped-call]
                [*SERVICES, HEALTH_SERVICE, reflection.SERVICE_NAME], self._server
            )

    async def start(self) -> int:
        """Listens and serves.

        Returns:
            The port.

        Raises:
            OSError: an address cannot be listened on, or certificate and key are of no use.
        """
        settings = self._settings
        self._health.set(await probe(self._ready, settings.health_timeout_s))
        try:
            port = self._listen(settings.target)
            if settings.links.client_ca is not None:
                self.links_port = self._listen(settings.links_target, settings.links.client_ca)
        except OSError:
            await self._server.stop(None)
            raise
        await self._server.start()
        self._follow_health = asyncio.create_task(
            self._health.follow(self._ready, settings.health_interval_s, settings.health_timeout_s),
            name="rpc health",
        )
        log.info(
            "rpc_listening",
            address=settings.address,
            port=port,
            links_port=self.links_port,
            tls=settings.tls,
        )
        return port

    def _listen(self, target: str, client_ca: Path | None = None) -> int:
        settings = self._settings
        try:
            if settings.tls_certificate is None or settings.tls_key is None:
                return self._server.add_insecure_port(target)
            credentials = server_credentials(settings.tls_certificate, settings.tls_key, client_ca)
            return self._server.add_secure_port(target, credentials)
        except RuntimeError as error:
            raise OSError(f"gRPC cannot listen on {target}") from error

    async def drain(self) -> None:
        """Tells clients to go elsewhere: health says NOT_SERVING, watches end.

        Calls that wait for a drop's outcome go on; new drops are refused by the use case, and the
        links say goodbye themselves.
        """
        self._health.shut_down()
        self._watches.close()

    async def stop(self, grace_s: float) -> None:
        """Ends the server and the calls under way, the last of them after `grace_s` seconds.

        What they hold is given back and what they had begun to change is carried out before it
        returns, unless that takes longer than END_LIMIT_S.
        """
        if self._follow_health is not None:
            self._follow_health.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._follow_health
        await self._server.stop(grace_s)
        try:
            async with asyncio.timeout(END_LIMIT_S):
                await self._calls.ended()
                await self._effects.finished()
        except TimeoutError:
            log.warning("rpc_calls_left")
