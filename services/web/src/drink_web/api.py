"""Calls of the frontend's API: the channel, its retries, and errors by their reasons."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from drink.v1 import (
    account_service_pb2_grpc,
    alarm_service_pb2_grpc,
    drop_service_pb2_grpc,
    event_service_pb2_grpc,
    item_service_pb2_grpc,
    kiosk_service_pb2_grpc,
    machine_service_pb2_grpc,
    statistics_service_pb2_grpc,
)
from drink_web.errors import CallError
from drink_web.request_spans import traced
from drink_web.settings import ConfigError, FrontendSettings, is_loopback
from drink_web.spans.tracer import NO_TRACER, Tracer

Metadata = Sequence[tuple[str, str]]

TOKEN_BYTES_MAX = 4_096
"""Bytes of the largest file with a gateway's token."""

SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [
                {"service": "drink.v1.DropService"},
                {"service": "drink.v1.MachineService"},
                {"service": "drink.v1.AccountService"},
                {"service": "drink.v1.AlarmService"},
                {"service": "drink.v1.StatisticsService"},
                {"service": "drink.v1.KioskService"},
            ],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
"""Retries by gRPC itself, as protos/README.md recommends them."""

OPTIONS: Sequence[tuple[str, Any]] = (
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    # A frontend that starts again is found soon, though it was away for long.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # A watch may be silent for hours; a frontend that vanished has to be noticed.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)


class Api:
    """The API of one frontend.

    Args:
        settings: Where it is.
        tracer: Makes the spans of calls that place drops.

    Raises:
        ConfigError: a file that the settings name cannot be used.
    """

    def __init__(self, settings: FrontendSettings, tracer: Tracer = NO_TRACER) -> None:
        self._limit_s = settings.call_limit_s
        self._gateway = _gateway(settings)
        self._channel = _open(settings)
        self.accounts: Any = account_service_pb2_grpc.AccountServiceStub(self._channel)
        self.alarms: Any = alarm_service_pb2_grpc.AlarmServiceStub(self._channel)
        self.drops: Any = drop_service_pb2_grpc.DropServiceStub(self._channel)
        if tracer.is_on:
            self.drops.Drop = traced(self.drops.Drop, tracer)  # type: ignore[assignment]
        self.events: Any = event_service_pb2_grpc.EventServiceStub(self._channel)
        self.items: Any = item_service_pb2_grpc.ItemServiceStub(self._channel)
        self.kiosks: Any = kiosk_service_pb2_grpc.KioskServiceStub(self._channel)
        self.machines: Any = machine_service_pb2_grpc.MachineServiceStub(self._channel)
        self.statistics: Any = statistics_service_pb2_grpc.StatisticsServiceStub(self._channel)

    async def close(self) -> None:
        """Ends all calls."""
        await self._channel.close()

    def caller(self, token: str = "", address: str = "") -> Metadata:
        """The metadata of a call: who makes it.

        Args:
            token: Of the user's login; empty for nobody.
            address: The browser's IP address; empty for this process itself.
        """
        metadata = []
        if token:
            metadata.append(("authorization", f"Bearer {token}"))
        if self._gateway:
            metadata.append(("x-drink-gateway-token", self._gateway))
            if address:
                metadata.append(("x-drink-client-address", address))
        return metadata

    async def call(
        self,
        method: Callable[..., Any],
        request: Message | AsyncIterator[Message],
        caller: Metadata,
    ) -> Any:
        """Calls a method, with one message or a stream of them, and returns its response.

        Raises:
            CallError: the frontend refused, or did not answer in time.
        """
        try:
            return await method(request, metadata=caller, timeout=self._limit_s)
        except grpc.aio.AioRpcError as error:
            raise call_error(error) from None
        except UnicodeEncodeError:
            raise CallError("INVALID_ARGUMENT", "FIELD_INVALID") from None

    @asynccontextmanager
    async def watch(
        self, method: Callable[..., Any], request: Message, caller: Metadata
    ) -> AsyncIterator[AsyncIterator[Any]]:
        """The messages of a stream; leaving the context ends it.

        Iterating raises CallError when the stream fails.
        """
        stream = method(request, metadata=caller)
        try:
            yield _messages(stream)
        finally:
            stream.cancel()


async def _messages(stream: Any) -> AsyncIterator[Any]:
    try:
        async for message in stream:
            yield message
    except grpc.aio.AioRpcError as error:
        raise call_error(error) from None


def call_error(error: grpc.aio.AioRpcError) -> CallError:
    """The error of a call, with its status and reason."""
    reason, facts, retry_s = "", {}, 0
    try:
        status = rpc_status.from_call(error)  # type: ignore[no-untyped-call]
    except ValueError:
        # Details that do not fit the call's own status: not from a frontend.
        status = None
    for detail in status.details if status else ():
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Unpack(info) and info.domain == "drink":
            reason, facts = info.reason, dict(info.metadata)
        elif detail.Unpack(retry):
            retry_s = int(retry.retry_delay.seconds)
    return CallError(error.code().name, reason, facts, retry_s)


def _gateway(settings: FrontendSettings) -> str:
    if settings.gateway_token_file is None:
        return ""
    try:
        with settings.gateway_token_file.open(encoding="ascii") as file:
            # A whole line of the frontend's file is taken too; the token is its last word.
            words = file.read(TOKEN_BYTES_MAX).split()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"frontend.gateway_token_file: {error}") from None
    if not words:
        raise ConfigError("frontend.gateway_token_file: has no token")
    return words[-1]


def _open(settings: FrontendSettings) -> grpc.aio.Channel:
    address = settings.address
    host = address.rpartition(":")[0] or address
    # A token must not pass through the proxy of a company on its way to the own network.
    plain = (*OPTIONS, ("grpc.enable_http_proxy", 0))
    if settings.ca_file is not None:
        try:
            authority = settings.ca_file.read_bytes()
        except OSError as error:
            raise ConfigError(f"frontend.ca_file: {error}") from None
        return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(authority), OPTIONS)
    if settings.allow_plain_remote or is_loopback(host):
        return grpc.aio.insecure_channel(address, plain)
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(), OPTIONS)
