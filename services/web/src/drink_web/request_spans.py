"""The spans of requests that place drops, and of the calls that place them.

Every request that may change something is measured, and only one that placed a drop is recorded:
which paths do that is known to their handlers.
"""

import logging
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import grpc
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from drink_web.security import SAFE_METHODS
from drink_web.spans.context import HEADER
from drink_web.spans.tracer import Kind, OpenSpan, Tracer

METHOD = "drink.v1.DropService/Drop"
"""The method that places drops."""


class _Request:
    """A request that is answered now.

    Args:
        span: Its span.
    """

    def __init__(self, span: OpenSpan) -> None:
        self.span = span
        self.has_placed = False
        self.status = 500


_request: ContextVar[_Request | None] = ContextVar("request", default=None)


class RequestSpans:
    """Measures the requests.

    Args:
        app: What answers.
        tracer: Makes the spans.
    """

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        span = None
        if scope["type"] == "http" and scope["method"] not in SAFE_METHODS:
            headers = Headers(scope=scope).getlist(HEADER)
            parent = headers[0] if len(headers) == 1 else None
            span = self._tracer.start(scope["method"], Kind.SERVER, parent)
        if span is None:
            await self._app(scope, receive, send)
            return
        request = _Request(span)

        async def send_and_note(message: Message) -> None:
            if message["type"] == "http.response.start":
                request.status = message["status"]
            await send(message)

        token = _request.set(request)
        try:
            await self._app(scope, receive, send_and_note)
        finally:
            _request.reset(token)
            if request.has_placed:
                route = getattr(scope.get("route"), "path", "")
                about: dict[str, Any] = {
                    "http.request.method": scope["method"],
                    "http.route": route,
                    "http.response.status_code": request.status,
                }
                name = f"{scope['method']} {route}".strip()
                span.end(name, is_error=request.status >= 500, **about)


def traced(place: Callable[..., Awaitable[Any]], tracer: Tracer) -> Callable[..., Awaitable[Any]]:
    """The method that places drops, with a span around each call that goes along with it.

    Args:
        place: The method of the stub.
        tracer: Makes the span.
    """
    service, _, name = METHOD.partition("/")
    about = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}

    async def place_in_span(request: Any, *, metadata: Any, **options: Any) -> Any:
        within = _request.get()
        above = None if within is None else within.span.context
        span = tracer.start(METHOD, Kind.CLIENT, above, **about)
        assert span is not None
        if within is not None:
            within.has_placed = True
        status = "OK"
        sent = [*metadata, (HEADER, span.context.traceparent)]
        try:
            return await place(request, metadata=sent, **options)
        except grpc.aio.AioRpcError as error:
            status = error.code().name
            raise
        finally:
            span.end(is_error=status != "OK", **{"rpc.grpc.status": status})

    return place_in_span


def add_trace_id(record: logging.LogRecord) -> bool:
    """A filter of log lines that adds `trace_id` to those of a recorded request."""
    request = _request.get()
    if request is not None and request.span.context.sampled and request.has_placed:
        facts = getattr(record, "facts", {})
        record.facts = {**facts, "trace_id": request.span.context.trace_id}
    return True
