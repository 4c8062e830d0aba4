"""A proxy before a PostgreSQL server that delays what passes, and counts the turns of frontends.

    python -m benchmarks.postgres_proxy SERVER_PORT

It listens on two free ports, which it prints: one for frontends, one for `Control`.
"""

import asyncio
import ctypes
import json
import selectors
import socket
import sys
from dataclasses import asdict, dataclass, field
from typing import Self, cast

HOST = "127.0.0.1"

WRITES = b"SERIALIZABLE"
"""What only a writer says: it begins a turn."""

READY, IDLE = b"Z", b"I"
"""The server's message that it is ready for the next statement, and its status outside a
transaction: https://www.postgresql.org/docs/current/protocol-message-formats.html."""

_PR_SET_TIMERSLACK = 29


@dataclass(slots=True)
class Counts:
    """The turns since the last question.

    Attributes:
        round_trips: Of each turn.
        held_s: Seconds that turns were held, together. A turn is held from when the server has its
            first statement, or the turn before has ended if that is later, to when the server has
            answered its commit.
    """

    round_trips: list[int] = field(default_factory=list)
    held_s: float = 0


class Turns:
    """Counts turns, of one frontend after another."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.ended_at = 0.0

    def end(self, round_trips: int, asked_at: float, now: float) -> None:
        """Counts a turn that has ended."""
        self.counts.round_trips.append(round_trips)
        self.counts.held_s += now - max(asked_at, self.ended_at)
        self.ended_at = now


class Exchange:
    """What passes on one connection.

    A round trip begins with the first bytes that a client sends after it was given an answer.

    Args:
        turns: Told of each turn.
    """

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._writes = False
        self._round_trips = 0
        self._asked_at: float | None = None
        self._answered = True
        self._unread = b""

    def asked(self, data: bytes, now: float) -> None:
        """A client has sent bytes."""
        self._writes = self._writes or WRITES in data
        if self._asked_at is None:
            self._asked_at = now
        if self._answered:
            self._round_trips += 1
            self._answered = False

    def answers(self, data: bytes, now: float) -> None:
        """The server has sent bytes."""
        if not self._ready_and_idle(data):
            return
        if self._writes and self._asked_at is not None:
            self._turns.end(self._round_trips, self._asked_at, now)
        self._asked_at, self._round_trips = None, 0

    def answered(self) -> None:
        """The client has bytes of the server."""
        self._answered = True

    def _ready_and_idle(self, data: bytes) -> bool:
        """Whether these bytes complete a message that ends all work and the transaction."""
        data, at, idle = self._unread + data, 0, False
        while len(data) >= at + 5:
            end = at + 1 + int.from_bytes(data[at + 1 : at + 5], "big")
            if len(data) < end:
                break
            if data[at : at + 1] == READY:
                idle = data[end - 1 : end] == IDLE
            at = end
        self._unread = data[at:]
        return idle


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
        self._exchange = Exchange(proxy.turns)
        self._near: asyncio.Transport | None = None
        self._far: asyncio.Transport | None = None
        self._due = 0.0
        self._dialling: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Dials the server; the client's bytes wait until it answers."""
        self._near = cast("asyncio.Transport", transport)
        self._near.pause_reading()
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
            near.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Takes the client's bytes."""
        self._exchange.asked(data, asyncio.get_running_loop().time())
        if self._far is not None:
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
        server_port: Where the server listens.

    Attributes:
        delay_s: Seconds by which answers are late. What a round trip and a turn take is the same
            as if half of it were on each way.
    """

    def __init__(self, server_port: int) -> None:
        self.server_port = server_port
        self.turns = Turns()
        self.delay_s = 0.0

    async def serve(self) -> tuple[asyncio.Server, asyncio.Server]:
        """Listens on a free port for frontends, and on one for `Control`."""
        loop = asyncio.get_running_loop()
        return (
            await loop.create_server(lambda: Client(self), HOST, 0),
            await asyncio.start_server(self._obey, HOST, 0),
        )

    async def _obey(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Each line is a delay in seconds; answers with the counts since the line before."""
        while line := await reader.readline():
            self.delay_s = float(line)
            counts, self.turns.counts = self.turns.counts, Counts()
            writer.write(json.dumps(asdict(counts)).encode() + b"\n")
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

    def delay(self, seconds: float) -> Counts:
        """From now on a round trip takes so much longer; returns the counts so far."""
        self._socket.sendall(f"{seconds}\n".encode())
        return Counts(**json.loads(self._lines.readline()))


async def main(server_port: str) -> None:
    """Passes on until the process is killed."""
    doors = await Proxy(int(server_port)).serve()
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
