"""Reads and decodes requests, encodes and writes responses.

gRPC runs the implementation of a method with a single request only once that request has come. So
every such method is served as one with a stream of requests, of which one is read; the bytes on the
wire are the same. The call then exists, and counts, before its message comes.
"""

from __future__ import annotations  # grpc.RpcMethodHandler is generic in its type stubs only

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from drink_frontend.domain.errors import FieldInvalidError, RateLimitedError
from drink_frontend.rpc.admission import Admission
from drink_frontend.rpc.calls import Call, Context, Kind, Peer
from drink_frontend.rpc.response_limits import ResponseLimits

CANCELLED_WITHIN_S = 0.05
"""Seconds within which a call without a message turns out to be cancelled; both arrive together,
and no call with a message waits for this."""

_CAME_TOO_LATE = "the request's message did not come in time"

Decode = Callable[[bytes], Any]
"""Makes a message of its bytes."""

Implementation = Callable[[Call, Context], Awaitable[bytes | None]]
"""Runs a method: reads its requests and answers with a response, or writes a stream of them."""


class Messages:
    """The messages of all calls.

    Args:
        admission: Counts calls by whether their message has come.
        responses: Counts responses while they leave.
        wait_s: Seconds that a message may take to come.
        carried: Told the bytes of each message in a stream of an account.
    """

    def __init__(
        self,
        admission: Admission,
        responses: ResponseLimits,
        wait_s: float,
        carried: Callable[[Peer, int], None] = lambda _peer, _size: None,
    ) -> None:
        self._admission = admission
        self._responses = responses
        self._wait_s = wait_s
        self._carried = carried
        # In the order of their time limits, which are equally long.
        self._limited: dict[asyncio.Future[Any], float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def implementation(
        self, method: str, handler: grpc.RpcMethodHandler[Any, Any]
    ) -> Implementation:
        """Runs the method of a handler on messages in bytes.

        The method raises FieldInvalidError if bytes are no message or a single request is missing,
        and RateLimitedError if a message does not come in time.
        """
        decode, encode = handler.request_deserializer, handler.response_serializer
        assert decode is not None, f"{method} has no decoder"
        assert encode is not None, f"{method} has no encoder"
        implementation: Any = (
            handler.unary_unary
            or handler.unary_stream
            or handler.stream_unary
            or handler.stream_stream
        )

        async def answer(call: Call, context: Context) -> bytes:
            if handler.request_streaming:
                request = self._read_all(decode, call, context)
            else:
                request = await self._read(decode, call, context)
            response = encode(await implementation(request, context))
            self._responses.leaving(call, len(response))
            return response

        async def write(call: Call, context: Context) -> None:
            if handler.request_streaming:
                request = self._read_all(decode, call, context)
            else:
                request = await self._read(decode, call, context, uncount=True)
            # gRPC leaves the generator of a cancelled call to the garbage collector. Here it is
            # closed, and gives back what it holds, before the call ends.
            async with contextlib.aclosing(implementation(request, context)) as responses:
                async for response in responses:
                    raw = encode(response)
                    self._responses.leaving(call, len(raw))
                    try:
                        await context.write(raw)
                    finally:
                        self._responses.left(call)

        return write if handler.response_streaming else answer

    async def _read_all(self, decode: Decode, call: Call, context: Context) -> AsyncIterator[Any]:
        if call.kind is not Kind.STRANGER:
            self._admission.message_came(call, uncount=False)
        while True:
            self._admission.waits_again(call)
            message = await self._read(decode, call, context, may_end=True)
            if message is None:
                return
            yield message

    async def _read(
        self,
        decode: Decode,
        call: Call,
        context: Context,
        *,
        uncount: bool = False,
        may_end: bool = False,
    ) -> Any:
        """The next message; None if there is none and `may_end`.

        Args:
            decode: Makes a message of its bytes.
            call: The call.
            context: gRPC's view of the call.
            uncount: Whether the call no longer takes a place in its class; see `Admission`.
            may_end: Whether the client may have sent all its messages.
        """
        loop = asyncio.get_running_loop()
        came: asyncio.Future[Any] = loop.create_future()
        # A task of its own always runs to its end: gRPC keeps the memory of a read that is
        # cancelled while it waits, and writes to it when the message comes after all.
        loop.create_task(_pass_on(context, came))  # noqa: RUF006 - gRPC keeps it
        # How long an agent may be silent is decided by its link.
        if call.kind is not Kind.MACHINE:
            self._limit(came, loop)
        try:
            raw = await came
        except TimeoutError:
            self._admission.silent(call, _CAME_TOO_LATE)
            raise RateLimitedError(_CAME_TOO_LATE) from None
        finally:
            self._limited.pop(came, None)
        if raw is grpc.aio.EOF and may_end:
            return None
        if raw is grpc.aio.EOF:
            # A client that has cancelled looks the same at first. To answer it would fail, and
            # gRPC leaks some memory for each answer that fails.
            await asyncio.sleep(CANCELLED_WITHIN_S)
            raise FieldInvalidError("request", "is missing")
        self._admission.message_came(call, uncount=uncount)
        if may_end and call.kind is Kind.ACCOUNT:
            self._carried(call.peer, len(raw))
        # gRPC itself would answer with the text of the exception.
        try:
            return decode(raw)
        except DecodeError:
            raise FieldInvalidError("request", "is not a well-formed message") from None

    def _limit(self, came: asyncio.Future[Any], loop: asyncio.AbstractEventLoop) -> None:
        """Fails `came` if it takes too long; one timer serves all."""
        due_s = self._limited[came] = loop.time() + self._wait_s
        if self._timer is None:
            self._timer = loop.call_at(due_s, self._end_late, loop)

    def _end_late(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now_s = loop.time()
        for came, due_s in list(self._limited.items()):
            if due_s > now_s:
                self._timer = loop.call_at(due_s, self._end_late, loop)
                return
            del self._limited[came]
            if not came.done():
                came.set_exception(TimeoutError())


async def _pass_on(context: Context, came: asyncio.Future[Any]) -> None:
    """Reads a message for somebody who may have given up by the time it comes."""
    try:
        raw = await context.read()
    except BaseException as error:
        if not came.done():
            came.set_exception(error)
    else:
        if not came.done():
            came.set_result(raw)
