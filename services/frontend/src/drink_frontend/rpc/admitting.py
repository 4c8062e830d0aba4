"""Lets calls in when their headers have come, and reads their message under a limit of time.

gRPC runs the implementation of a method with a single request only once that request is there. So
every such method is served as one that takes a stream of requests, of which one is read; on the
wire both are the same.
"""

from __future__ import annotations  # grpc.RpcMethodHandler is generic in its type stubs only

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc

from drink_frontend.domain.errors import FieldInvalidError, RateLimitedError
from drink_frontend.domain.origin import place
from drink_frontend.rpc.admission import Admission, Call, Kind, current_call
from drink_frontend.rpc.auth import Access, access_of, given_token
from drink_frontend.rpc.connections import Connections
from drink_frontend.rpc.interceptors import Behaviour, Context, Layer, Wrapper, behaviour_of
from drink_frontend.rpc.origin import origin
from drink_frontend.rpc.pace import Pace
from drink_frontend.rpc.peers import parse_peer
from drink_frontend.rpc.responses import Responses
from drink_frontend.usecases.accounts import Accounts, digest

CHECK = "/grpc.health.v1.Health/Check"
"""The method whose calls have a class of their own, so that it always answers."""

CANCELLED_WITHIN_S = 0.05
"""Seconds within which a call that has no message turns out to be cancelled; both arrive together,
and nobody who asks for something waits for this."""

_ASKED_TOO_LATE = "the request's message did not come in time"


class Admitting(Layer):
    """Counts every call in its class for as long as it is under way.

    Args:
        admission: Where calls are counted.
        pace: How fast they may begin.
        responses: Where responses that have not left are counted.
        connections: Where it is known what is called on a connection.
        accounts: Whose tokens users have.
    """

    def __init__(
        self,
        admission: Admission,
        pace: Pace,
        responses: Responses,
        connections: Connections,
        accounts: Accounts,
    ) -> None:
        self._admission = admission
        self._pace = pace
        self._connections = connections
        self._responses = responses
        self._accounts = accounts

    async def around(self, method: str, inner: Behaviour, request: Any, context: Context) -> Any:
        """Runs the call.

        Raises:
            RateLimitedError: it comes too soon, is not let in, or was ended in favour of another.
        """
        kind, owner = self._class_of(method, context)
        peer, where = parse_peer(context.peer()), place(origin(context))
        self._pace.begin(Kind.STRANGER if kind is Kind.UNKNOWN else kind, owner, peer, where)
        call = self._admission.enter(kind, owner, peer, where)
        self._connections.began(peer)
        if where != peer.place:
            self._connections.belongs(peer, "gateway")
        over: Any = partial(self._over, call)  # The stubs want a callback for one kind of messages.
        context.add_done_callback(over)
        try:
            return await inner(request, context)
        except asyncio.CancelledError:
            if call.refused is None:
                raise
            call.task.uncancel()
            raise RateLimitedError(call.refused) from None

    def _class_of(self, method: str, context: Context) -> tuple[Kind, str]:
        """What is known of the caller without asking the database."""
        if method == CHECK:
            return Kind.HEALTH, ""
        token = given_token(context)
        if token is None:
            return Kind.STRANGER, ""
        access = access_of(method)
        if access is Access.AGENT:
            machine = self._admission.machine_of(digest(token))
            return (Kind.UNKNOWN, "") if machine is None else (Kind.MACHINE, machine)
        account = self._accounts.recall(digest(token))
        if account is not None:
            return Kind.ACCOUNT, account.name
        # Nobody looks up what comes with a call that is for anyone.
        return Kind.UNKNOWN if access is Access.USER else Kind.STRANGER, ""

    def _over(self, call: Call, _context: Context) -> None:
        # gRPC calls this once the call's task is over, and so once its response has left.
        self._responses.left(call)
        self._admission.left(call)
        self._connections.ended(call.peer)


class Reading(Wrapper):
    """Reads the requests, and gives each only so much time to come.

    Args:
        admission: Where calls are counted.
        wait_s: Seconds that a message may take to come.
    """

    def __init__(self, admission: Admission, wait_s: float) -> None:
        self._admission = admission
        self._wait_s = wait_s

    def wrap(
        self, _method: str, handler: grpc.RpcMethodHandler[Any, Any]
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """The handler as one that takes a stream of requests.

        The handler of a single request raises FieldInvalidError if there is none, and
        RateLimitedError if it does not come in time.
        """
        inner = behaviour_of(handler)
        counted_elsewhere = handler.response_streaming

        async def behave_once(_: Any, context: Context) -> Any:
            call = current_call()
            message = await self._read(call, context)
            if message is grpc.aio.EOF:
                # A client that has cancelled looks the same at first. To answer it would fail, and
                # gRPC leaks some memory for each answer that fails.
                await asyncio.sleep(CANCELLED_WITHIN_S)
                raise FieldInvalidError("request", "is missing")
            # `Watches` counts the streams of responses.
            self._admission.message_came(call, uncount=counted_elsewhere)
            return await inner(message, context)

        async def behave(_: Any, context: Context) -> Any:
            call = current_call()
            if call.kind is not Kind.STRANGER:
                self._admission.message_came(call, uncount=False)
            return await inner(self._read_all(call, context), context)

        make: Any = (
            grpc.stream_stream_rpc_method_handler
            if handler.response_streaming
            else grpc.stream_unary_rpc_method_handler
        )
        served: grpc.RpcMethodHandler[Any, Any] = make(
            behave if handler.request_streaming else behave_once, None, None
        )
        return served

    async def _read_all(self, call: Call, context: Context) -> AsyncIterator[bytes]:
        while True:
            self._admission.waits_again(call)
            message: Any = await self._read(call, context)
            if message is grpc.aio.EOF:
                return
            self._admission.message_came(call, uncount=False)
            yield message

    async def _read(self, call: Call, context: Context) -> Any:
        # How long an agent may be silent is for its link to say.
        wait_s = None if call.kind is Kind.MACHINE else self._wait_s
        # In a task of its own, which always runs to its end: gRPC keeps the memory of a read that
        # is cancelled while it waits, and writes to it when the message comes after all.
        reading = asyncio.get_running_loop().create_task(context.read())
        try:
            async with asyncio.timeout(wait_s):
                return await asyncio.shield(reading)
        except TimeoutError:
            self._admission.silent(call, _ASKED_TOO_LATE)
            raise RateLimitedError(_ASKED_TOO_LATE) from None
        finally:
            if not reading.done():
                reading.add_done_callback(_forget)


def _forget(reading: asyncio.Task[Any]) -> None:
    """Takes note of how a read ended that nobody waits for, or asyncio would complain of it."""
    if not reading.cancelled():
        reading.exception()
