"""gRPC's channels, calls and servers as the services know them, over the simulated network."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any, Self, cast

import grpc

from tests.simulation.network import End, Network, Stream
from tests.simulation.world import Process


class Channel:
    """Stands for `grpc.aio.Channel`."""

    def __init__(self, network: Network, process: Process) -> None:
        self._network, self._process = network, process
        self._calls: list[Call] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for call in self._calls:
            call.cancel()

    def _call(
        self, method: str, encode: Any, decode: Any, metadata: Iterable[tuple[str, str]] | None
    ) -> "Call":
        call = Call(self._network.open(method, metadata or (), self._process), encode, decode)
        self._calls.append(call)
        return call

    def stream_stream(
        self, method: str, request_serializer: Any, response_deserializer: Any, **_: Any
    ) -> Callable[..., "Call"]:
        def start(requests: AsyncIterator[Any], metadata: Any = None) -> Call:
            call = self._call(method, request_serializer, response_deserializer, metadata)
            call.send_all(requests)
            return call

        return start

    def unary_stream(
        self, method: str, request_serializer: Any, response_deserializer: Any, **_: Any
    ) -> Callable[..., "Call"]:
        def start(request: Any, metadata: Any = None) -> Call:
            call = self._call(method, request_serializer, response_deserializer, metadata)
            call.send_one(request)
            return call

        return start

    def unary_unary(
        self, method: str, request_serializer: Any, response_deserializer: Any, **_: Any
    ) -> Callable[..., Any]:
        async def ask(request: Any, metadata: Any = None, timeout: float | None = None) -> Any:
            call = self._call(method, request_serializer, response_deserializer, metadata)
            call.send_one(request)
            try:
                async with asyncio.timeout(timeout):
                    response = await call.read()
                    assert await call.read() is grpc.aio.EOF
            except TimeoutError:
                raise _error(grpc.StatusCode.DEADLINE_EXCEEDED, "deadline") from None
            finally:
                call.cancel()
                self._calls.remove(call)
            return response

        return ask

    def stream_unary(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError("drink.v1 has no such method")


class Call:
    """The client's side of a call; stands for the calls of `grpc.aio`."""

    def __init__(self, stream: Stream, encode: Any, decode: Any) -> None:
        self._stream, self._encode, self._decode = stream, encode, decode
        self._sending: asyncio.Task[None] | None = None
        self._ended: End | None = None

    def send_one(self, request: Any) -> None:
        self._stream.say_up(self._encode(request))
        self._stream.half_close()

    def send_all(self, requests: AsyncIterator[Any]) -> None:
        async def send() -> None:
            async for request in requests:
                self._stream.say_up(self._encode(request))
            self._stream.half_close()

        self._sending = asyncio.get_running_loop().create_task(send())

    async def read(self) -> Any:
        item = self._ended or await self._stream.to_client.get()
        if not isinstance(item, End):
            return self._decode(item)
        self._ended = item
        if self._sending is not None:
            self._sending.cancel()
        if item.code in (None, grpc.StatusCode.OK):
            return grpc.aio.EOF
        raise _error(item.code or grpc.StatusCode.UNKNOWN, item.details, item.metadata)

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (message := await self.read()) is not grpc.aio.EOF:
            yield message

    def cancel(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
        self._stream.cancel()


def _error(
    code: grpc.StatusCode, details: str, metadata: Iterable[tuple[str, str | bytes]] = ()
) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        code, grpc.aio.Metadata(), grpc.aio.Metadata(*metadata), details=details
    )


def make_server(
    network: Network, process: Process, *, interceptors: Iterable[Any], **_: Any
) -> grpc.aio.Server:
    """Stands for `grpc.aio.server`."""
    return cast("grpc.aio.Server", Server(network, process, list(interceptors)))


class Server:
    """Stands for `grpc.aio.Server` in a process."""

    def __init__(self, network: Network, process: Process, interceptors: list[Any]) -> None:
        self._network, self.process = network, process
        self._interceptors = interceptors
        self._handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._stopped = asyncio.Event()

    def add_generic_rpc_handlers(self, _: Any) -> None: ...

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        for name, handler in handlers.items():
            self._handlers[f"/{service}/{name}"] = handler

    def add_insecure_port(self, _: str) -> int:
        return 50051

    async def start(self) -> None:
        self._network.server = self

    async def wait_for_termination(self, timeout: float | None) -> bool:
        # Nothing ends it but its process, which ends the wait too.
        await self._stopped.wait()
        return False

    async def stop(self, grace: float | None) -> None:
        self._stopped.set()
        if self._network.server is self:
            self._network.server = None
        if self._serving:
            await asyncio.wait(list(self._serving), timeout=grace)
        for task in self._serving:
            task.cancel()

    async def serve(self, stream: Stream) -> None:
        """Runs one call to its end."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        context = Context(stream)
        task.add_done_callback(lambda _: context.over())
        try:
            await self._run(await self._handler(stream.method), context)
        except grpc.aio.AbortError:
            assert context.end is not None
            stream.finish(context.end)
        except asyncio.CancelledError:
            stream.finish(End(grpc.StatusCode.CANCELLED))
        else:
            stream.finish(End(grpc.StatusCode.OK))
        finally:
            self._serving.discard(task)

    async def _handler(self, method: str) -> "grpc.RpcMethodHandler[Any, Any]":
        handler = self._handlers[method]
        details = SimpleNamespace(method=method)
        for interceptor in reversed(self._interceptors):
            handler = await interceptor.intercept_service(partial(_given, handler), details)
        return handler

    async def _run(self, handler: "grpc.RpcMethodHandler[Any, Any]", context: "Context") -> None:
        assert handler.request_streaming, (
            "interceptors serve every method with a stream of requests"
        )
        response = await _behaviour(handler)(context.requests, context)
        if not handler.response_streaming:
            await context.write(response)


async def _given(handler: Any, _: Any) -> Any:
    return handler


def _behaviour(handler: "grpc.RpcMethodHandler[Any, Any]") -> Any:
    return handler.stream_unary or handler.stream_stream


async def _requests(stream: Stream) -> AsyncIterator[bytes]:
    while isinstance(item := await stream.to_server.get(), bytes):
        yield item


@dataclass
class Context:
    """Stands for `grpc.aio.ServicerContext`."""

    stream: Stream
    end: End | None = None
    callbacks: list[Callable[["Context"], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.requests = _requests(self.stream)

    async def read(self) -> Any:
        return await anext(self.requests, grpc.aio.EOF)

    async def send_initial_metadata(self, _: Any) -> None:
        """Returns at once: headers have no delay here."""

    def add_done_callback(self, callback: Callable[["Context"], None]) -> None:
        self.callbacks.append(callback)

    def over(self) -> None:
        for callback in self.callbacks:
            callback(self)

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self.stream.metadata

    def peer(self) -> str:
        return "ipv4:192.0.2.1:4000"

    def auth_context(self) -> dict[str, list[bytes]]:
        return {}

    def time_remaining(self) -> None:
        return None

    def code(self) -> int:
        code = self.end and self.end.code
        return code.value[0] if code else 0

    async def write(self, message: Any) -> None:
        self.stream.say_down(message)

    async def abort(
        self,
        code: grpc.StatusCode,
        details: str = "",
        trailing_metadata: tuple[tuple[str, str | bytes], ...] = (),
    ) -> None:
        self.end = End(code, details, trailing_metadata)
        if code is grpc.StatusCode.INTERNAL:
            world = self.stream.client.world
            world.violate(f"{self.stream.method} failed: {details}")
        raise grpc.aio.AbortError
