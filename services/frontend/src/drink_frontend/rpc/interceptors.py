"""The path of each call, from gRPC to the service's method and back.

A call passes in this order, all of it in `Interceptor.serve`:

1. It is tracked until its task ends. What the steps below raise is answered as a status (`errors`).
2. `Gateways.client` finds the address of the client for whom a gateway calls.
3. `Authentication.class_of` takes the call's class from caches, without the database.
4. `CallRates.begin` and `Admission.enter` limit the calls per second and those in flight.
5. `Authentication.identify` finds the user or machine, and refuses callers without the rights.
6. `Messages` reads the request under a time limit and decodes it.
7. The service's method runs.
8. `Messages` encodes the response; `ResponseLimits` limits the bytes that wait for the client.

A refused call never reaches the steps after its refusal, so a caller without rights is told so
whatever the request contains.
"""

from __future__ import annotations  # grpc.RpcMethodHandler is generic in its type stubs only

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
import structlog

from drink_frontend.domain.errors import DrinkError, RateLimitedError, TokenInvalidError
from drink_frontend.domain.origin import place
from drink_frontend.domain.ports import Randomness
from drink_frontend.loglines.filter import LogRateLimiter
from drink_frontend.metrics.instruments import MethodMetrics, Metrics
from drink_frontend.rpc.admission import Admission
from drink_frontend.rpc.authentication import Access, Authentication, access_of, bearer_token
from drink_frontend.rpc.call_rates import CallRates
from drink_frontend.rpc.call_spans import traced
from drink_frontend.rpc.calls import Call, Context, Kind, parse_peer
from drink_frontend.rpc.connection_limits import ConnectionLimits
from drink_frontend.rpc.errors import WireError, fault, refusal
from drink_frontend.rpc.messages import Implementation, Messages
from drink_frontend.rpc.response_limits import ResponseLimits
from drink_frontend.spans.tracer import NO_TRACER, Tracer
from drink_frontend.usecases.gateways import Gateways
from drink_frontend.usecases.tokens import digest

log = structlog.get_logger(__name__)

REFUSALS_LOGGED = 20
"""Refused links that are logged in REFUSALS_S seconds, so that strangers do not fill the disk. An
agent that is refused connects again about once a minute."""

REFUSALS_S = 60
"""Seconds in which REFUSALS_LOGGED refused links are logged."""

CHECK = "/grpc.health.v1.Health/Check"
"""The method whose calls have a class of their own, so that it always answers."""

UNKNOWN_METHOD = "/unknown/Unknown"
"""Name under which all methods that do not exist are logged and limited."""

_CODES = {code.value[0]: code.name for code in grpc.StatusCode if code is not grpc.StatusCode.OK}

_LINKS = "/drink.v1.MachineLinkService/"


@dataclass(frozen=True, slots=True)
class Method:
    """A method of a service.

    Attributes:
        name: `/package.Service/Method`.
        access: Who may call it.
        run: Runs it on messages in bytes.
        metrics: Counts its calls.
    """

    name: str
    access: Access
    run: Implementation
    metrics: MethodMetrics


@dataclass(frozen=True, slots=True)
class CallLimits:
    """What limits and counts calls.

    Attributes:
        admission: Limits calls in flight.
        rates: Limits calls per second.
        connections: Limits connections, which calls keep in use.
        responses: Limits responses that have not left yet.
        metrics: Counts calls that have ended.
    """

    admission: Admission
    rates: CallRates
    connections: ConnectionLimits
    responses: ResponseLimits
    metrics: Metrics


class Interceptor(grpc.aio.ServerInterceptor):
    """Puts the same path around the methods of all services.

    Args:
        limits: Limits and counts of calls.
        gateways: Gateways that may forward their clients' addresses.
        authentication: Finds out who calls.
        messages: Reads requests and writes responses.
        randomness: Ids of calls and incidents.
        tracer: Makes the spans of calls that place drops.
    """

    def __init__(
        self,
        limits: CallLimits,
        gateways: Gateways,
        authentication: Authentication,
        messages: Messages,
        randomness: Randomness,
        *,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self._limits = limits
        self._gateways = gateways
        self._authentication = authentication
        self._messages = messages
        self._randomness = randomness
        self._tracer = tracer
        self._refusals = LogRateLimiter(REFUSALS_LOGGED, REFUSALS_S)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        counted = limits.metrics.method("unknown", timed=True)
        unknown = Method(UNKNOWN_METHOD, Access.ANYONE, _refuse_unknown, counted)
        self._unknown = self._handler(unknown, response_streaming=False)

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """The handler of a method, made once, or the refusal of a method that does not exist."""
        name = handler_call_details.method
        handler = self._handlers.get(name)
        if handler is None:
            inner = await continuation(handler_call_details)
            if inner is None:
                return self._unknown
            timed = not (inner.request_streaming or inner.response_streaming)
            run = self._messages.implementation(name, inner)
            counted = self._limits.metrics.method(name, timed=timed)
            method = Method(name, access_of(name), run, counted)
            handler = self._handler(method, response_streaming=inner.response_streaming)
            self._handlers[name] = handler
        return handler

    def _handler(
        self, method: Method, *, response_streaming: bool
    ) -> grpc.RpcMethodHandler[Any, Any]:
        make: Any = (
            grpc.stream_stream_rpc_method_handler
            if response_streaming
            else grpc.stream_unary_rpc_method_handler
        )
        serve = traced(partial(self.serve, method), method.name, self._tracer)
        handler: grpc.RpcMethodHandler[Any, Any] = make(serve, None, None)
        return handler

    async def serve(self, method: Method, _requests: object, context: Context) -> Any:
        """Serves one call, and answers what it raises: a refusal, or a fault with its incident.

        Args:
            method: The method that is called.
            _requests: gRPC's iterator of the requests; `Messages` reads them from the context.
            context: gRPC's view of the call.
        """
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        # Never unbound: gRPC runs each call in a task, whose context variables end with it.
        structlog.contextvars.bind_contextvars(
            rpc=method.name, call=self._randomness.id(), peer=context.peer()
        )
        log.debug("rpc_started", deadline_s=context.time_remaining())
        call: Call | None = None
        began, done = time.perf_counter(), False
        try:
            client = await self._gateways.client(context.invocation_metadata() or ())
            call = self._begin(method, context, client)
            await self._authentication.identify(method.name, method.access, call, context)
            async with self._authentication.validity(method.name, method.access, call, context):
                answer = await method.run(call, context)
                done = True
                return answer
        except DrinkError as error:
            await self._refuse(method, call, error, context)
        except asyncio.CancelledError:
            if call is None or call.refused is None:
                raise
            task.uncancel()
            await self._refuse(method, call, RateLimitedError(call.refused), context)
        except grpc.aio.AbortError:
            # The method has ended its call itself.
            raise
        except grpc.aio.InternalError:
            # The client is gone. gRPC would log a fault unless it has noticed that already.
            raise asyncio.CancelledError from None
        except Exception:
            incident = self._randomness.id()
            log.exception("rpc_failed", incident=incident)
            await _abort(context, fault(incident))
        finally:
            self._tasks.discard(task)
            method.metrics.ended("OK" if done else _code(context), time.perf_counter() - began)

    @property
    def calls(self) -> int:
        """Number of calls in flight."""
        return len(self._tasks)

    async def finished(self) -> None:
        """Waits until no call is in flight; gRPC's `stop` does not wait for cancelled calls."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, method: Method, context: Context, client: str | None) -> Call:
        """Counts a call until it ends.

        Raises:
            RateLimitedError: it comes too soon, or too many calls are in flight.
        """
        limits = self._limits
        token = bearer_token(context)
        token_digest = None if token is None else digest(token)
        if method.name == CHECK:
            kind, owner = Kind.HEALTH, ""
        else:
            kind, owner = self._authentication.class_of(method.access, token_digest)
        peer = parse_peer(context.peer())
        where = peer.place if client is None else place(client)
        limits.rates.begin(Kind.STRANGER if kind is Kind.UNKNOWN else kind, owner, peer, where)
        call = limits.admission.enter(kind, owner, peer, where)
        call.token, call.token_digest = token, token_digest
        if client is not None:
            call.origin = client
        limits.connections.began(peer)
        if where != peer.place:
            limits.connections.set_owner(peer, "gateway")
        # The stubs want a callback for one kind of messages.
        over: Any = partial(self._over, call)
        context.add_done_callback(over)
        return call

    def _over(self, call: Call, _context: Context) -> None:
        # gRPC calls this once the call's task is over, and so once its response has left.
        self._limits.responses.left(call)
        self._limits.admission.left(call)
        self._limits.connections.ended(call.peer)

    async def _refuse(
        self, method: Method, call: Call | None, error: DrinkError, context: Context
    ) -> None:
        """Answers a call with the status of an error, and logs it.

        The refusal of a link is logged as a warning, since an operator has to act on it.
        """
        if call is not None and isinstance(error, TokenInvalidError):
            self._authentication.forget(call)
        if not method.name.startswith(_LINKS):
            write = log.info if isinstance(error, TokenInvalidError) else log.debug
            write("rpc_refused", reason=error.reason)
        elif (unlogged := self._refusals.passes(asyncio.get_running_loop().time())) is not None:
            log.warning("link_refused", reason=error.reason, detail=str(error), unlogged=unlogged)
        await _abort(context, refusal(error))


def _code(context: Context) -> str:
    """Name of the status code of a call that has failed."""
    code: Any = context.code()
    return _CODES.get(code, "CANCELLED")


async def _refuse_unknown(_: Call, context: Context) -> None:
    # The same answer as that of gRPC itself.
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")


async def _abort(context: Context, error: WireError) -> None:
    try:
        await context.abort(error.code, error.message, error.metadata)
    except (grpc.aio.InternalError, grpc.aio.UsageError):
        # The client is gone, see `Interceptor.serve`; or the call was ended for another one while
        # its refusal was on its way.
        raise asyncio.CancelledError from None
