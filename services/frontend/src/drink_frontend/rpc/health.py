"""grpc.health.v1: whether this frontend serves, and the question as a client asks it."""
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
"""Seconds between two checks of which a flood of others kept the first one out."""

log = structlog.get_logger(__name__)

_SERVING = pb.HealthCheckResponse.SERVING
_KEPT_OUT = {grpc.StatusCode.CANCELLED, grpc.StatusCode.RESOURCE_EXHAUSTED}
_NOT_SERVING = pb.HealthCheckResponse.NOT_SERVING
_SERVICE_UNKNOWN = pb.HealthCheckResponse.SERVICE_UNKNOWN
_LOOPBACK_OF = {str(IPv4Address(0)): "127.0.0.1", str(IPv6Address(0)): "::1"}

_DIRECT = (("grpc.enable_http_proxy", 0),)
"""The question stays on this host; gRPC would otherwise ask the `http_proxy` of the environment."""


class Health(health_pb2_grpc.HealthServicer):
    """The RPCs of grpc.health.v1.Health; all services are up or down together.

    The servicer that comes with grpcio-health-checking writes to its watchers under a lock, so one
    watcher that does not read could keep the others from hearing of a shutdown.

    Args:
        services: Full names of the services; the empty name stands for the server.
        watches: Where watches are counted.
    """

    def __init__(self, services: Sequence[str], watches: Watches) -> None:
        self._services = {"", *services}
        self._watches = watches
        self._serving = False
        self._shut_down = False
        self._changed = asyncio.Event()

    def set(self, serving: bool) -> None:
        """Says whether calls can be served; after a shutdown they never can."""
        serving = serving and not self._shut_down
        if serving != self._serving:
            log.info("health_changed", serving=serving)
            self._serving = serving
            self._changed.set()
            self._changed = asyncio.Event()

    def shut_down(self) -> None:
        """Says for good that no more calls should be sent here."""
        self._shut_down = True
        self.set(serving=False)

    async def follow(
        self, ready: Callable[[], Awaitable[bool]], interval_s: float, timeout_s: float
    ) -> None:
        """Asks `ready` again and again, until cancelled."""
        while True:
            self.set(await probe(ready, timeout_s))
            await asyncio.sleep(interval_s)

    async def Check(
        self, request: pb.HealthCheckRequest, context: Context
    ) -> pb.HealthCheckResponse:
        """The status now; NOT_FOUND for an unknown service, as the health protocol has it."""
        status = self._status(request.service)
        if status == _SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return pb.HealthCheckResponse(status=status)

    async def Watch(
        self, request: pb.HealthCheckRequest, _context: Context
    ) -> AsyncGenerator[pb.HealthCheckResponse, None]:
        """The status now and after each change."""
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
    """What `ready` says; no if it fails or takes too long."""
    try:
        async with asyncio.timeout(timeout_s):
            return await ready()
    except Exception as error:
        log.warning("health_probe_failed", error=type(error).__name__)
        return False


async def check(settings: RpcSettings, timeout_s: float = 5.0) -> bool:
    """Whether the frontend with these settings, on this host, says that it serves.

    Args:
        settings: Those of the frontend that is asked.
        timeout_s: Seconds it has to answer.
    """
    try:
        async with asyncio.timeout(timeout_s), await _channel(settings) as channel:
            stub = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]
            answer = await _answer(stub)
    except (OSError, TimeoutError, grpc.aio.AioRpcError):
        return False
    return bool(answer.status == _SERVING)


async def _answer(stub: health_pb2_grpc.HealthStub) -> pb.HealthCheckResponse:
    """The answer to a check; asks again if a flood of checks kept this one out."""
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
    """A name that the server's certificate is good for.

    The question is whether this host's own frontend serves, so its own certificate is the trust
    anchor, and whichever name it has is the right one.
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
