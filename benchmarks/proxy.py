"""A proxy before a server that delays its answers and counts what passes.

    python -m benchmarks.proxy COUNTER SERVER_PORT

COUNTER is the class of a `Counter`, as module:name. The proxy listens on two free ports, which it
prints: one for clients, one for `Control`.
"""

import asyncio
import ctypes
import importlib
import json
import selectors
import socket
import sys
from dataclasses import asdict
from typing import Any, Protocol, Self, cast

HOST = "127.0.0.1"

_PR_SET_TIMERSLACK = 29


class Exchange:
    """Told of what passes on one connection."""

    def asked(self, data: bytes, now: float, /) -> None:
        """A client has sent bytes."""

    def answers(self, data: bytes, now: float, /) -> None:
        """The server has sent bytes."""

    def answered(self) -> None:
        """The client has bytes of the server."""


class Counter(Protocol):
    """Counts what passes on all connections."""

    def exchange(self) -> Exchange:
        """For a new connection."""

    def take(self) -> Any:
        """The counts since the last call, a dataclass."""


class Server(asyncio.Protocol):
    """The server's end of a connection."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def data_received(self, data: bytes) -> None:
        """Takes the server's bytes."""
        self._client.answer(data)

    def connection_lost(self, _error: Exception | None) -> None:
        """Ends the client's end too."""
        self._client.answer(b"")


class Client(asyncio.Protocol):
    """A client's end of a connection."""

    def __init__(self, proxy: "Proxy") -> None:
        self._proxy = proxy
        self._exchange = proxy.counter.exchange()
        self._near: asyncio.Transport | None = None
        self._far: asyncio.Transport | None = None
        self._due = 0.0
        self._dialling: asyncio.Task[None] | None = None
        # Not left unread instead: asyncio of Python 3.11.2 reads from a transport that was paused
        # while its connection was made; that of 3.11.7 does not.
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Dials the server; the client's bytes wait until it answers."""
        self._near = cast("asyncio.Transport", transport)
        self._dialling = asyncio.create_task(self._dial(self._near))

    async def _dial(self, near: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._far, _ = await loop.create_connection(
                lambda: Server(self), HOST, self._proxy.server_port
            )
        except OSError:
            near.abort()
        else:
            self._far.write(self._early)

    def data_received(self, data: bytes) -> None:
        """Takes the client's bytes."""
        self._exchange.asked(data, asyncio.get_running_loop().time())
        if self._far is None:
            self._early += data
        else:
            self._far.write(data)

    def connection_lost(self, _error: Exception | None) -> None:
        """Ends the server's end too."""
        if self._far is not None:
            self._far.close()

    def answer(self, data: bytes) -> None:
        """Takes the server's bytes; none: it has closed the connection."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._exchange.answers(data, now)
        # In their order: timers of the same moment have none.
        self._due = max(now + self._proxy.delay_s, self._due + 1e-9)
        if self._due > now:
            loop.call_at(self._due, self._pass_on, data)
        else:
            self._pass_on(data)

    def _pass_on(self, data: bytes) -> None:
        assert self._near is not None, "the server was dialled for a client"
        if data:
            self._exchange.answered()
            self._near.write(data)
        else:
            self._near.close()


class Proxy:
    """The proxy.

    Args:
        counter: Counts what passes.
        server_port: Where the server listens.

    Attributes:
        delay_s: Seconds by which answers are late. What a round trip and a turn take is the same
            as if half of it were on each way.
    """

    def __init__(self, counter: Counter, server_port: int) -> None:
        self.counter = counter
        self.server_port = server_port
        self.delay_s = 0.0

    async def serve(self) -> tuple[asyncio.Server, asyncio.Server]:
        """Listens on a free port for clients, and on one for `Control`."""
        loop = asyncio.get_running_loop()
        return (
            await loop.create_server(lambda: Client(self), HOST, 0),
            await asyncio.start_server(self._obey, HOST, 0),
        )

    async def _obey(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Each line is a delay in seconds; answers with the counts since the line before."""
        while line := await reader.readline():
            self.delay_s = float(line)
            writer.write(json.dumps(asdict(self.counter.take())).encode() + b"\n")
            await writer.drain()
        writer.close()


class Control:
    """Tells a running proxy what to do; a context manager.

    Args:
        port: The proxy's second port.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((HOST, port))
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def delay(self, seconds: float) -> dict[str, Any]:
        """From now on a round trip takes so much longer; returns the counts since the last call."""
        self._socket.sendall(f"{seconds}\n".encode())
        counts: dict[str, Any] = json.loads(self._lines.readline())
        return counts


async def main(counter: str, server_port: str) -> None:
    """Passes on until the process is killed."""
    module, name = counter.split(":")
    made = getattr(importlib.import_module(module), name)()
    doors = await Proxy(made, int(server_port)).serve()
    port, control_port = (door.sockets[0].getsockname()[1] for door in doors)
    told = {"event": "serving", "port": port, "control_port": control_port}
    print(json.dumps(told), flush=True)
    await doors[0].serve_forever()


if __name__ == "__main__":
    # Delays below a millisecond: epoll and uvloop count whole ones, select does not.
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1)
    with asyncio.Runner(
        loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())
    ) as runner:
        runner.run(main(*sys.argv[1:]))
