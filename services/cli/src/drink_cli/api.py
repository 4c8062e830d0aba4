"""Calls of the API: the channel, its retries, and errors as this program tells them."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self, TypeVar

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
from drink_cli.errors import CallError, CommandError, Exit
from drink_cli.profile import Profile

T = TypeVar("T")

TRACEPARENT_MAX = 256
"""Characters of the longest `traceparent` that is sent; version 00 has 55."""

CALL_LIMIT_S = 20.0
"""Seconds that a call may take. No call of this program waits for a motor."""

PAGE_ROWS_MAX = 1000
"""Rows asked for at once; the server gives no more."""

SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [
                {"service": "drink.v1.DropService"},
                {"service": "drink.v1.MachineService"},
                {"service": "drink.v1.AccountService"},
                {"service": "drink.v1.AlarmService"},
                {"service": "drink.v1.ItemService"},
                {"service": "drink.v1.EventService"},
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


class Api:
    """The API of one server, as the account of a profile's token. A context manager.

    Args:
        profile: Which server, and the token.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._channel = _open(profile)
        self.accounts = account_service_pb2_grpc.AccountServiceStub(self._channel)
        self.alarms = alarm_service_pb2_grpc.AlarmServiceStub(self._channel)
        self.events = event_service_pb2_grpc.EventServiceStub(self._channel)
        self.drops = drop_service_pb2_grpc.DropServiceStub(self._channel)
        self.items = item_service_pb2_grpc.ItemServiceStub(self._channel)
        self.kiosks = kiosk_service_pb2_grpc.KioskServiceStub(self._channel)
        self.machines = machine_service_pb2_grpc.MachineServiceStub(self._channel)
        self.statistics = statistics_service_pb2_grpc.StatisticsServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def call(
        self,
        method: Callable[..., T],
        request: Message | Iterator[Message],
        *,
        limit_s: float = CALL_LIMIT_S,
    ) -> T:
        """Calls a method that needs a login, with a request or a stream of them.

        Raises:
            CallError: the server refused, or did not answer within `limit_s` seconds.
            CommandError: nobody is logged in.
        """
        metadata = self._metadata()
        if not metadata:
            raise CommandError("not logged in; `drink login` does it", Exit.LOGIN)
        return self._call(method, request, (*metadata, *_trace()), limit_s)

    def rows(
        self,
        method: Callable[..., Any],
        request: Any,
        field: str,
        count: int | None = None,
        *,
        public: bool = False,
    ) -> list[Any]:
        """The first rows of a list; see `each`."""
        return list(self.each(method, request, field, count, public=public))

    def each(
        self,
        method: Callable[..., Any],
        request: Any,
        field: str,
        count: int | None = None,
        *,
        public: bool = False,
    ) -> Iterator[Any]:
        """The rows of a list, a page at a time in memory.

        Args:
            method: Answers with one page.
            request: Selects the rows; its page is set here.
            field: Of the response, with the page's rows.
            count: Most rows; None for all.
            public: Whether everybody may call the method; it is called without the token then.

        Raises:
            CallError: the server refused, or did not answer.
        """
        found = 0
        call = self.call_public if public else self.call
        while True:
            left = PAGE_ROWS_MAX if count is None else count - found
            request.page_size = min(left, PAGE_ROWS_MAX)
            page: Any = call(method, request)
            found += len(getattr(page, field))
            yield from getattr(page, field)
            if not page.next_page_token or found == count:
                return
            request.page_token = page.next_page_token

    def call_public(
        self, method: Callable[..., T], request: Message, *, limit_s: float = CALL_LIMIT_S
    ) -> T:
        """Calls a method that everybody may call; without the token.

        Raises:
            CallError: the server refused, or did not answer within `limit_s` seconds.
        """
        return self._call(method, request, (), limit_s)

    def watch(
        self, method: Callable[..., Any], request: Message, *, public: bool = False
    ) -> Iterator[Any]:
        """The messages of a stream, until the server ends it.

        Raises:
            CallError: the stream broke.
        """
        stream = method(request, metadata=() if public else self._metadata())
        try:
            yield from stream
        except grpc.RpcError as error:
            raise _told(error, self.profile) from None
        finally:
            stream.cancel()

    def _call(
        self,
        method: Callable[..., T],
        request: Message | Iterator[Message],
        metadata: tuple[tuple[str, str], ...],
        limit_s: float,
    ) -> T:
        try:
            return method(request, metadata=metadata, timeout=limit_s)
        except grpc.RpcError as error:
            raise _told(error, self.profile) from None

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        token = self.profile.token()
        return (("authorization", f"Bearer {token}"),) if token else ()


def _trace() -> tuple[tuple[str, str], ...]:
    """The span that the environment names, so that a drop joins the trace of what runs this."""
    header = os.environ.get("TRACEPARENT", "")
    # The server looks whether it is a valid one; gRPC takes printable ASCII only.
    fits = header.isascii() and header.isprintable() and 0 < len(header) <= TRACEPARENT_MAX
    return (("traceparent", header),) if fits else ()


def _open(profile: Profile) -> grpc.Channel:
    # A token must not pass through the proxy of a company on its way to this computer.
    options: list[tuple[str, Any]] = [("grpc.service_config", json.dumps(SERVICE_CONFIG))]
    if not profile.uses_tls:
        options.append(("grpc.enable_http_proxy", 0))
        return grpc.insecure_channel(profile.server, options)
    authority = None
    if profile.authority is not None:
        try:
            authority = profile.authority.read_bytes()
        except OSError as error:
            raise CommandError(f"{profile.authority}: {error.strerror}", Exit.USAGE) from None
    credentials = grpc.ssl_channel_credentials(authority)
    return grpc.secure_channel(profile.server, credentials, options)


def _told(error: Any, profile: Profile) -> CallError:
    """The error of a call, in words that help a person."""
    status, details = error.code().name, error.details() or ""
    reason, metadata = _reason(error)
    if status == "UNIMPLEMENTED":
        details = f"the server at {profile.server} is older than this command needs"
    elif status == "UNAVAILABLE" and not reason:
        details = f"no answer from {profile.server}: {_first_line(details)}"
        if not profile.uses_tls:
            details += " (without TLS)"
    elif status == "DEADLINE_EXCEEDED":
        details = f"{profile.server} did not answer in time"
    elif reason == "TOKEN_INVALID":
        details = "the login is no longer good; `drink login` makes a new one"
    elif reason == "INTERNAL":
        details = f"a fault of the server; its log has it as {metadata.get('incident', 'unknown')}"
    return CallError(status, reason, details, metadata)


def _reason(error: Any) -> tuple[str, Mapping[str, str]]:
    try:
        status = rpc_status.from_call(error)  # type: ignore[no-untyped-call]
    except ValueError:
        # Details that do not fit the call's own status: not from a frontend.
        return "", {}
    for detail in status.details if status else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == "drink":
            return info.reason, dict(info.metadata)
    return "", {}


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:200] if text.strip() else "no connection"
