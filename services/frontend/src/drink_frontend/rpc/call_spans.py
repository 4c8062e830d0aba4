"""The spans of calls that place drops; no other call has one, and no stream."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import structlog

from drink_frontend.rpc.calls import Context
from drink_frontend.spans.context import HEADER
from drink_frontend.spans.tracer import Kind, Tracer

TRACED = "/drink.v1.DropService/Drop"
"""The method that places drops."""

Serve = Callable[[object, Context], Awaitable[Any]]

_traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)


def traceparent() -> str | None:
    """The span of the call that this task serves, as its header; None if it is not traced."""
    return _traceparent.get()


def traced(serve: Serve, method: str, tracer: Tracer) -> Serve:
    """What serves a method, with a span around it if the method is traced and traces are on.

    Args:
        serve: Serves a call.
        method: `/package.Service/Method`.
        tracer: Makes the span.
    """
    if method != TRACED or not tracer.is_on:
        return serve
    service, _, name = method.strip("/").partition("/")
    about = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}

    async def serve_in_span(requests: object, context: Context) -> Any:
        span = tracer.start(method.strip("/"), Kind.SERVER, parent_of(context), **about)
        if span is None or not span.context.sampled:
            return await serve(requests, context)
        # Never unset: gRPC runs each call in a task, whose context variables end with it.
        _traceparent.set(span.context.traceparent)
        structlog.contextvars.bind_contextvars(trace_id=span.context.trace_id)
        is_error = True
        try:
            response = await serve(requests, context)
            is_error = False
            return response
        finally:
            span.end(is_error=is_error)

    return serve_in_span


def parent_of(context: Context) -> str | bytes | None:
    """The header `traceparent` of a call; None without one, and with several, which say nothing."""
    found = [value for key, value in context.invocation_metadata() or () if key == HEADER]
    return found[0] if len(found) == 1 else None
