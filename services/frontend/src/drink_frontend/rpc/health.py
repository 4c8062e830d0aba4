"""grpc.health.v1: reports whether this frontend serves, and checks it as a client."""
# ruff: noqa: N802 - the methods are named by the protocol

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address

import grpc
import structlog
from grpc_health.v1 import health_pb2 as pb
from grpc_health.v1 import health_pb2_grpc

from drink_frontend.rpc.calls import Context, current_call
from drink_frontend.rpc.settings import RpcSettings
from drink_frontend.usecases.watches import Watches

ASK_AGAIN_S = 0.1
"""Seconds until a check is repeated that a flood of other checks kept out."""

log = structlog.get_logger(__name__)

_SERVING = pb.HealthCheckResponse.SERVING
_KEPT_OUT = {grpc.StatusCode.CANCELLED, grpc.StatusCode.RESOURCE_EXHAUSTED}
_NOT_SERVING = pb.HealthCheckResponse.NOT_SERVING
_SERVICE_UNKNOWN = pb.HealthCheckResponse.SERVICE_UNKNOWN
_LOOPBACK_OF = {str(IPv4Address(0)): "127.0.0.1", str(IPv6Address(0)): "::1"}

_DIRECT = (("grpc.enable_http_proxy", 0),)
"""A check never uses a proxy; gRPC would otherwise use `http_proxy` of the environment."""


class Health(health_pb2_grpc.HealthServicer):
    """The RPCs of grpc.health.v1.Health; all services are up or down together.

    The servicer of grpcio-health-checking writes to its watchers under a lock, so that one watcher
    that does not read could delay the shutdown message to all others.

    Args:
        services: Full names of the services; the empty name stands for the server.
        watches: Limits watches.
    """

    def __init__(self, services: Sequence[str], watches: Watches) -> None:
        self._services = {"", *services}
        self._watches = watches
        self._serving = False
        self._shut_down = False
        self._changed = asyncio.Event()

    @property
    def serving(self) -> bool:
        """Whether calls can be served."""
        return self._serving

    @property
    def draining(self) -> bool:
        """Whether `shut_down` was called."""
        return self._shut_down

    def set(self, serving: bool) -> None:
        """Sets whether calls can be served; after `shut_down` it stays False."""
        serving = serving and not self._shut_down
        if serving != self._serving:
            log.info("health_changed", serving=serving)
            self._serving = serving
            self._changed.set()
            self._changed = asyncio.Event()

    def shut_down(self) -> None:
        """Reports NOT_SERVING from now on."""
        self._shut_down = True
        self.set(serving=False)

    async def follow(
        self, ready: Callable[[], Awaitable[bool]], interval_s: float, timeout_s: float
    ) -> None:
        """Calls `ready` every `interval_s` seconds, and sets its result, until cancelled."""
        while True:
            self.set(await probe(ready, timeout_s))
            await asyncio.sleep(interval_s)

    async def Check(
        self, request: pb.HealthCheckRequest, context: Context
    ) -> pb.HealthCheckResponse:
        """Returns the status; NOT_FOUND for an unknown service, as the health protocol requires."""
        status = self._status(request.service)
        if status == _SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return pb.HealthCheckResponse(status=status)

    async def Watch(
        self, request: pb.HealthCheckRequest, _context: Context
    ) -> AsyncGenerator[pb.HealthCheckResponse, None]:
        """Sends the status now and after each change."""
        with self._watches.admit(current_call().place):
            told = None
            while True:
                changed, status = self._changed, self._status(request.service)
                if status != told:
                    told = status
                    yield pb.HealthCheckResponse(status=status)
                else:
                    await changed.wait()

    def _status(self, service: str) -> pb.HealthCheckResponse.ServingStatus:
        if service not in self._services:
            return _SERVICE_UNKNOWN
        return _SERVING if self._serving else _NOT_SERVING


async def probe(ready: Callable[[], Awaitable[bool]], timeout_s: float) -> bool:
    """The result of `ready`; False if it fails or takes longer than `timeout_s`."""
    try:
        async with asyncio.timeout(timeout_s):
            return await ready()
    except Exception as error:
        log.warning("health_probe_failed", error=type(error).__name__)
        return False


async def check(settings: RpcSettings, timeout_s: float = 5.0) -> bool:
    """Whether the frontend with these settings on this host reports that it serves.

    Args:
        settings: The settings of that frontend.
        timeout_s: Seconds in which it must answer.
    """
    try:
        async with asyncio.timeout(timeout_s), await _channel(settings) as channel:
            stub = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]
            answer = await _answer(stub)
    except (OSError, TimeoutError, grpc.aio.AioRpcError):
        return False
    return bool(answer.status == _SERVING)


async def _answer(stub: health_pb2_grpc.HealthStub) -> pb.HealthCheckResponse:
    """The answer to a check, which is repeated if a flood of checks keeps it out."""
    while True:
        try:
            answer: pb.HealthCheckResponse = await stub.Check(pb.HealthCheckRequest())
        except grpc.aio.AioRpcError as error:
            if error.code() not in _KEPT_OUT:
                raise
            await asyncio.sleep(ASK_AGAIN_S)
        else:
            return answer


async def _channel(settings: RpcSettings) -> grpc.aio.Channel:
    address = _LOOPBACK_OF.get(settings.address, settings.address)
    target = settings.model_copy(update={"address": address}).target
    if settings.tls_certificate is None:
        return grpc.aio.insecure_channel(target, _DIRECT)
    certificate = settings.tls_certificate.read_bytes()
    return grpc.aio.secure_channel(
        target,
        grpc.ssl_channel_credentials(certificate),
        [
            *_DIRECT,
            ("grpc.ssl_target_name_override", await _name(certificate, address, settings.port)),
        ],
    )


async def _name(certificate: bytes, address: str, port: int) -> str:
    """A name in the server's certificate.

    The check is for the frontend of this host, so its own certificate is the trust anchor, and any
    name in it is accepted.
    """
    context = ssl.create_default_context(cadata=certificate.decode())
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    _, writer = await asyncio.open_connection(address, port, ssl=context)
    names = writer.get_extra_info("peercert").get("subjectAltName", ())
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return next((str(name) for _, name in names), address)
