"""The network between processes: gRPC's channels and servers over streams that fail as real ones.

The generated stubs, the frontend's interceptors and services and the agent's link run on it as they
are; messages pass as the bytes they are on a real wire. Inside one stream bytes keep their order.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from tests.simulation.world import Event, Process, World

if TYPE_CHECKING:
    from tests.simulation.rpc import Server

KEEPALIVE_S = (20.0, 32.0)
"""When gRPC's keepalive notices a dead connection, for the settings of both services."""

REPEATABLE: dict[str, Callable[[bytes, bool], bool]] = {}
"""By method: which messages may be delivered twice; the flag is true on the way to the server."""

CONNECT_LIMIT_S = 20.0
"""Seconds after which a dial without an answer is given up."""


@dataclass
class Weather:
    """What befalls connections; drawn once per world.

    Attributes:
        latency_s: Mean of a message's way.
        reset: Chance, per message, that its connection is reset.
        half_open: Chance, per message, that its connection goes dead without a word.
        stall: Chance, per message, that its direction stands still for a while.
        stall_s: Longest of these.
        repeat: Chance that a message which may come twice does.
    """

    latency_s: float = 0.005
    reset: float = 0.0
    half_open: float = 0.0
    stall: float = 0.0
    stall_s: float = 5.0
    repeat: float = 0.0


@dataclass(frozen=True)
class End:
    """The end of one direction: a call's status, the end of requests, or a lost connection."""

    code: grpc.StatusCode | None = None
    details: str = ""
    metadata: tuple[tuple[str, str | bytes], ...] = ()
    gone: bool = False


_Item = bytes | End


class Pipe:
    """One direction of one stream."""

    def __init__(
        self, world: World, latency_s: Callable[[], float], deliver: Callable[[_Item], None]
    ) -> None:
        self._world = world
        self._latency_s = latency_s
        self._deliver = deliver
        self._queue: deque[tuple[float, _Item]] = deque()
        self._timer: Event | None = None
        self._stalled_until = 0.0
        self._dead = False

    def send(self, item: _Item) -> None:
        if not self._dead:
            self._queue.append((self._world.now + self._latency_s(), item))
            self._arm()

    def stall(self, seconds: float) -> None:
        self._stalled_until = max(self._stalled_until, self._world.now + seconds)

    def hold(self) -> None:
        """Holds messages until the other end exists."""
        self._stalled_until = float("inf")

    def let_go(self) -> None:
        self._stalled_until = self._world.now
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._arm()

    def mend(self) -> None:
        """Ends the slowness; messages that are held stay held."""
        if self._stalled_until < float("inf"):
            self.let_go()

    def lose(self, kept: int) -> None:
        """Loses the messages under way after the first `kept`, and all that follow."""
        while len(self._queue) > kept:
            self._queue.pop()
        self._dead = True

    def end(self, item: End) -> None:
        """Sends the end of the direction, unless it is broken."""
        self.send(item)
        self._dead = True

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def _arm(self) -> None:
        if self._timer is None and self._queue and self._stalled_until < float("inf"):
            at = max(self._queue[0][0], self._stalled_until)
            self._timer = self._world.after(at - self._world.now, self._pump)

    def _pump(self) -> None:
        self._timer = None
        now = self._world.now
        if self._queue and self._stalled_until <= now and self._queue[0][0] <= now:
            self._deliver(self._queue.popleft()[1])
        self._arm()


class Stream:
    """One call between two processes.

    Args:
        network: Where it is.
        method: `/package.Service/Method`.
        metadata: Of the call.
        client: Who calls.
    """

    def __init__(
        self,
        network: "Network",
        method: str,
        metadata: tuple[tuple[str, str], ...],
        client: Process,
    ) -> None:
        self._network = network
        self._world = network.world
        self.method, self.metadata, self.client = method, metadata, client
        self.server: Process | None = None
        self.weather = network.weather_at(client)
        self.up = Pipe(self._world, self.latency_s, self._at_server)
        self.down = Pipe(self._world, self.latency_s, self._at_client)
        self.to_server = _Mailbox()
        self.to_client = _Mailbox()
        self.handler: asyncio.Task[None] | None = None
        self.over = self.broken = False
        self.said: deque[bytes] = deque(maxlen=20)
        """The client's last messages."""
        self.up.hold()
        client.on_death.append(self._client_died)

    def latency_s(self) -> float:
        return self._network.rng.expovariate(1 / self.weather.latency_s)

    def reach(self, server: "Server | None") -> None:
        """Delivers the call, or fails it when no server listens."""
        if self.over:
            return
        if server is None or not server.process.alive:
            self._fail("connection refused", 0)
            return
        self.server = server.process
        server.process.on_death.append(self._server_died)
        self.handler = server.process.spawn(server.serve(self))
        self.up.let_go()

    def say_up(self, data: bytes) -> None:
        if not self.over and self.client.alive:
            self.said.append(data)
            self._network.weather_of(self, self.up)
            self.up.send(data)
            self._network.may_repeat(self, self.up, data)

    def say_down(self, data: bytes) -> None:
        if self.server is not None and self.server.alive:
            self._network.on_sent(self, data)
            self._network.weather_of(self, self.down)
            self.down.send(data)
            self._network.may_repeat(self, self.down, data)

    def half_close(self) -> None:
        self.up.send(End())

    def finish(self, end: End) -> None:
        """The server ends the call."""
        if self.server is not None and self.server.alive:
            self.down.send(end)

    def cancel(self) -> None:
        """The client cancels the call."""
        if not self.over and self.client.alive:
            self.over = True
            self.up.send(End(gone=True))

    def cut(self, rng: random.Random) -> None:
        """Breaks the connection; each end notices at a time of its own, or by keepalive."""
        self.broken = True
        for pipe in (self.up, self.down):
            pipe.lose(rng.randint(0, pipe.waiting))
        told = rng.choice(["both", "client", "server"])
        late_s = rng.uniform(0, 60)
        self._client_told(0.0 if told != "server" else late_s)
        self._server_told(0.0 if told != "client" else late_s)

    def linger(self, rng: random.Random) -> None:
        """The client loses the connection; its sent messages still arrive, much later."""
        self.broken = True
        self.up.stall(rng.uniform(1, 40))
        self.up.end(End(gone=True))
        self.down.lose(0)
        self._client_told(0.0)

    def go_dead(self, rng: random.Random, *, keepalive: bool) -> None:
        """Nothing passes any more and neither end is notified; keepalive may notice."""
        self.broken = True
        self.up.lose(0)
        self.down.lose(0)
        if keepalive:
            self._client_told(rng.uniform(*KEEPALIVE_S))
            self._server_told(rng.uniform(*KEEPALIVE_S))

    def mend(self) -> None:
        """Ends the slowness; both ends of a broken connection are notified."""
        self.up.mend()
        self.down.mend()
        if self.broken:
            self._client_told(0.0)
            self._server_told(0.0)

    def _fail(self, details: str, delay_s: float) -> None:
        end = End(grpc.StatusCode.UNAVAILABLE, details)
        self._world.after(delay_s, lambda: self._at_client(end))

    def _client_told(self, delay_s: float) -> None:
        self._fail("connection lost", delay_s)

    def _server_told(self, delay_s: float) -> None:
        self._world.after(delay_s, lambda: self._at_server(End(gone=True)))

    def _at_server(self, item: _Item) -> None:
        server = self.server
        if server is None or not server.alive or self.handler is None:
            return
        if isinstance(item, End) and item.gone:
            server.post(self.handler.cancel)
        else:
            server.post(self.to_server.put, item)

    def _at_client(self, item: _Item) -> None:
        if self.over or not self.client.alive:
            return
        if isinstance(item, End):
            self.over = True
        else:
            self._network.on_received(self, item)
        self.client.post(self.to_client.put, item)

    def _client_died(self) -> None:
        if self.over:
            return
        self.over = True
        if self._network.is_powered(self.client):
            self.up.end(End(gone=True))
        else:
            self._server_told(self._network.rng.uniform(*KEEPALIVE_S))

    def _server_died(self) -> None:
        assert self.server is not None
        if self._network.is_powered(self.server):
            self.down.end(End(grpc.StatusCode.UNAVAILABLE, "socket closed"))
        else:
            self._client_told(self._network.rng.uniform(*KEEPALIVE_S))


class _Mailbox:
    """Messages that have arrived and wait to be read."""

    def __init__(self) -> None:
        self._items: deque[_Item] = deque()
        self._arrived = asyncio.Event()

    def put(self, item: _Item) -> None:
        self._items.append(item)
        self._arrived.set()

    async def get(self) -> _Item:
        while not self._items:
            self._arrived.clear()
            await self._arrived.wait()
        return self._items.popleft()


class Network:
    """All of the network.

    Args:
        world: The world.
        weather: What befalls the streams of each client's kind: agents, and all others.

    Attributes:
        on_sent: Told what a server says on a stream.
        on_received: Told what a client's host receives on a stream.
    """

    def __init__(self, world: World, weather: dict[bool, Weather]) -> None:
        self.world = world
        self.weather = weather
        self.on_sent: Callable[[Stream, bytes], None] = lambda _stream, _data: None
        self.on_received: Callable[[Stream, bytes], None] = lambda _stream, _data: None
        self.rng = world.stream("network")
        self.server: Server | None = None
        self.streams: list[Stream] = []
        self.unpowered: set[str] = set()
        self.partitioned: dict[str, float] = {}

    def weather_at(self, client: Process) -> Weather:
        return self.weather[client.name.startswith("agent ")]

    def is_powered(self, process: Process) -> bool:
        return process.name not in self.unpowered

    def open(self, method: str, metadata: Iterable[tuple[str, str]], client: Process) -> Stream:
        """Dials the frontend."""
        stream = Stream(self, method, tuple(metadata), client)
        self.streams = [each for each in self.streams if not each.over or each.up.waiting]
        self.streams.append(stream)
        self.world.after(stream.latency_s(), lambda: self._dial(stream))
        return stream

    def _dial(self, stream: Stream) -> None:
        if self.world.now < self.partitioned.get(stream.client.name, 0.0):
            stream._fail("no route", self.rng.uniform(1, CONNECT_LIMIT_S))
        else:
            stream.reach(self.server)

    def mend(self) -> None:
        """Ends partitions, delays and unnoticed broken connections."""
        self.partitioned.clear()
        for stream in self.streams:
            if not stream.over:
                stream.mend()

    def partition(self, client: str, seconds: float) -> None:
        """Separates a client's host from the frontend; keepalive notices if it lasts."""
        self.partitioned[client] = self.world.now + seconds
        for stream in self.streams_of(client):
            stream.up.stall(seconds)
            stream.down.stall(seconds)
            if seconds > KEEPALIVE_S[0]:
                stream.go_dead(self.rng, keepalive=True)

    def streams_of(self, client: str) -> list[Stream]:
        return [each for each in self.streams if each.client.name == client and not each.over]

    def weather_of(self, stream: Stream, pipe: Pipe) -> None:
        """Draws what happens to a connection as one more message is sent."""
        weather, rng, name = stream.weather, self.rng, place_of(stream.client)
        chance = rng.random()
        if chance < weather.reset:
            if rng.random() < 0.5:
                self.world.fault("network.reset", name, 90)
                self.world.after(rng.uniform(0, 0.05), lambda: stream.cut(rng))
            else:
                self.world.fault("network.linger", name, 90)
                self.world.after(rng.uniform(0, 0.05), lambda: stream.linger(rng))
        elif chance < weather.reset + weather.half_open:
            self.world.fault("network.half_open", name, 120)
            stream.go_dead(rng, keepalive=rng.random() < 0.7)
        elif chance < weather.reset + weather.half_open + weather.stall:
            self.world.fault("network.stall", name, 60 + weather.stall_s)
            pipe.stall(rng.uniform(0, weather.stall_s))

    def may_repeat(self, stream: Stream, pipe: Pipe, data: bytes) -> None:
        """Delivers some messages twice, of those that the protocol allows to repeat."""
        if stream.weather.repeat and self.rng.random() < stream.weather.repeat:
            repeatable = REPEATABLE.get(stream.method)
            if repeatable is not None and repeatable(data, pipe is stream.up):
                self.world.fault("network.repeat", place_of(stream.client))
                pipe.send(data)


def place_of(client: Process) -> str:
    """The machine that a client belongs to, or the client's own name."""
    return client.name.removeprefix("agent ")
