"""What surrounds every call.

Outermost first: calls, error boundary, context, admission, authentication, reading, coding. Only
the last one knows messages; to the others they are bytes.
"""

from __future__ import annotations  # grpc.RpcMethodHandler is generic in its type stubs only

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import grpc
import structlog
from google.protobuf.message import DecodeError

from drink_frontend.domain.errors import DrinkError, FieldInvalidError, TokenInvalidError
from drink_frontend.domain.ports import Randomness
from drink_frontend.loglines.filter import LogRateLimiter
from drink_frontend.rpc.admission import current_call
from drink_frontend.rpc.errors import WireError, fault, refusal
from drink_frontend.rpc.responses import Responses

log = structlog.get_logger(__name__)

REFUSALS_LOGGED = 20
"""Refused links that are logged in REFUSALS_S; strangers shall not fill the disk. An agent that is
refused dials once a minute or so."""

REFUSALS_S = 60
"""Seconds in which so many are."""

_LINKS = "/drink.v1.MachineLinkService/"

Context = grpc.aio.ServicerContext[Any, Any]
Behaviour = Callable[[Any, Context], Awaitable[Any]]
"""A method's implementation. One with a response stream writes it and returns None."""


class Wrapper(ABC):
    """Puts something around the implementation of every method, of all four kinds alike."""

    @abstractmethod
    def wrap(
        self, method: str, handler: grpc.RpcMethodHandler[Any, Any]
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """The handler with what is put around it. `method` is `/package.Service/Method`."""


UNKNOWN_METHOD = "/unknown/Unknown"
"""What a method that does not exist is called, whatever its caller calls it."""


class Interceptor(grpc.aio.ServerInterceptor, Wrapper):
    """All wrappers as one interceptor, which wraps a method once: gRPC asks for every call.

    Args:
        wrappers: The outermost first.
        for_unknown: How many of them, from the outermost on, surround the refusal of methods that
            do not exist, so that those calls count as well.
    """

    def __init__(self, wrappers: Sequence[Wrapper], for_unknown: int) -> None:
        self._wrappers = wrappers
        self._wrapped: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        refusal: Any = grpc.stream_unary_rpc_method_handler(_refuse_unknown, None, None)
        self._unknown = self._wrap(wrappers[:for_unknown], UNKNOWN_METHOD, refusal)

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """The method's handler, wrapped, or the refusal of a method that does not exist."""
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return self._unknown
            wrapped = self._wrapped[method] = self.wrap(method, handler)
        return wrapped

    def wrap(
        self, method: str, handler: grpc.RpcMethodHandler[Any, Any]
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """See `Wrapper`."""
        return self._wrap(self._wrappers, method, handler)

    @staticmethod
    def _wrap(
        wrappers: Sequence[Wrapper], method: str, handler: grpc.RpcMethodHandler[Any, Any]
    ) -> grpc.RpcMethodHandler[Any, Any]:
        for wrapper in reversed(wrappers):
            handler = wrapper.wrap(method, handler)
        return handler


async def _refuse_unknown(_: Any, context: Context) -> None:
    # As gRPC itself says it.
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")


class Layer(Wrapper):
    """A wrapper that does something before and after the implementation."""

    @abstractmethod
    async def around(self, method: str, inner: Behaviour, request: Any, context: Context) -> Any:
        """Runs `inner` with what the layer adds."""

    def wrap(
        self, method: str, handler: grpc.RpcMethodHandler[Any, Any]
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """The handler with the layer around it."""
        inner = behaviour_of(handler)

        async def behave(request: Any, context: Context) -> Any:
            return await self.around(method, inner, request, context)

        return _handler(handler, behave)


class Calls(Layer):
    """Knows the calls under way, for gRPC stops without waiting for those that it cancelled."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def around(self, _method: str, inner: Behaviour, request: Any, context: Context) -> Any:
        """Runs the call."""
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            return await inner(request, context)
        finally:
            self._running.discard(task)

    async def ended(self) -> None:
        """Waits until no call is under way."""
        while self._running:
            await asyncio.wait(self._running)


class ErrorBoundary(Layer):
    """Turns refusals into their status and faults into an incident, and lets all else pass."""

    def __init__(self, randomness: Randomness) -> None:
        self._randomness = randomness
        self._refusals = LogRateLimiter(REFUSALS_LOGGED, REFUSALS_S)

    async def around(self, method: str, inner: Behaviour, request: Any, context: Context) -> Any:
        """Runs the call and answers what it raises."""
        try:
            return await self._answer(method, inner, request, context)
        except grpc.aio.InternalError:
            # The peer is gone. gRPC would log a fault of ours, unless it had heard of it before.
            raise asyncio.CancelledError from None

    async def _answer(self, method: str, inner: Behaviour, request: Any, context: Context) -> Any:
        try:
            return await inner(request, context)
        except DrinkError as error:
            self._log(method, error)
            await _abort(context, refusal(error))
        except (grpc.aio.AbortError, grpc.aio.InternalError):
            # The first ends a call on purpose.
            raise
        except Exception:
            incident = self._randomness.id()
            log.exception("rpc_failed", incident=incident)
            await _abort(context, fault(incident))

    def _log(self, method: str, error: DrinkError) -> None:
        """Buyers are told themselves; of agents and strangers somebody else has to know, too."""
        if not method.startswith(_LINKS):
            tell = log.info if isinstance(error, TokenInvalidError) else log.debug
            tell("rpc_refused", reason=error.reason)
            return
        unlogged = self._refusals.passes(asyncio.get_running_loop().time())
        if unlogged is not None:
            log.warning("link_refused", reason=error.reason, detail=str(error), unlogged=unlogged)


class RequestContext(Layer):
    """Says in every log line of a call which call it is."""

    def __init__(self, randomness: Randomness) -> None:
        self._randomness = randomness

    async def around(self, method: str, inner: Behaviour, request: Any, context: Context) -> Any:
        """Runs the call with its id, method and peer bound to the log."""
        # Not unbound afterwards: every call runs in a task of its own, whose variables end with
        # it, and the boundary around this layer logs with them too.
        structlog.contextvars.bind_contextvars(
            rpc=method, call=self._randomness.id(), peer=context.peer()
        )
        log.debug("rpc_started", deadline_s=context.time_remaining())
        return await inner(request, context)


class Coding(Wrapper):
    """Decodes requests and encodes responses.

    gRPC would answer undecodable bytes with an exception's text, and would not say how large a
    response is. It is the innermost: who may not call is told so whatever was sent.

    Args:
        responses: Where responses are counted while they leave.
    """

    def __init__(self, responses: Responses) -> None:
        self._responses = responses

    def wrap(
        self, method: str, handler: grpc.RpcMethodHandler[Any, Any]
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """The handler, in bytes; FieldInvalidError if they are no message."""
        decode, encode = handler.request_deserializer, handler.response_serializer
        assert decode is not None, f"{method} has no decoder"
        assert encode is not None, f"{method} has no encoder"
        decode_request = _decode_stream if handler.request_streaming else _decode
        make = self._writing if handler.response_streaming else self._answering
        behave = make(_implementation(handler), encode)

        async def behave_in_bytes(raw: Any, context: Context) -> Any:
            return await behave(decode_request(decode, raw), context)

        return _handler(handler, behave_in_bytes)

    def _answering(self, implementation: Any, encode: Callable[[Any], bytes]) -> Behaviour:
        async def behave(request: Any, context: Context) -> bytes:
            response = encode(await implementation(request, context))
            self._responses.leaving(current_call(), len(response))
            return response

        return behave

    def _writing(self, implementation: Any, encode: Callable[[Any], bytes]) -> Behaviour:
        """An implementation that writes what an async generator yields.

        gRPC leaves the generator of a cancelled call to the garbage collector; here it is closed,
        and what it holds is given back, before the call ends.
        """

        async def behave(request: Any, context: Context) -> None:
            call = current_call()
            async with contextlib.aclosing(implementation(request, context)) as responses:
                async for response in responses:
                    raw = encode(response)
                    with self._responses.writing(call, len(raw)):
                        await context.write(raw)

        return behave


async def _abort(context: Context, error: WireError) -> None:
    await context.abort(error.code, error.message, error.metadata)


def _decode(decode: Callable[[bytes], Any], raw: bytes) -> Any:
    try:
        return decode(raw)
    except DecodeError:
        raise FieldInvalidError("request", "is not a well-formed message") from None


async def _decode_stream(
    decode: Callable[[bytes], Any], raws: AsyncIterator[bytes]
) -> AsyncIterator[Any]:
    async for raw in raws:
        yield _decode(decode, raw)


def _implementation(handler: grpc.RpcMethodHandler[Any, Any]) -> Any:
    """What is called for a call, of whichever kind."""
    return (
        handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    )


def behaviour_of(handler: grpc.RpcMethodHandler[Any, Any]) -> Behaviour:
    """The implementation of a handler in bytes, of whichever kind."""
    behaviour: Behaviour = _implementation(handler)
    return behaviour


def _handler(
    like: grpc.RpcMethodHandler[Any, Any], behave: Behaviour
) -> grpc.RpcMethodHandler[Any, Any]:
    """A handler of the same kind as `like` with an implementation in bytes."""
    make: Any = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[like.request_streaming, like.response_streaming]
    handler: grpc.RpcMethodHandler[Any, Any] = make(behave, None, None)
    return handler
