"""The wire between an agent and its emulated board, and the record of the board's commands."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from drink_agent.board.emulator.board import EmulatedBoard, HangUp, Output, Send
from drink_agent.board.streams import ByteStream, StreamError, StreamLostError
from tests.simulation.world import Event, Process, World


@dataclass
class WireTrouble:
    """What befalls a wire; drawn once per world.

    Attributes:
        latency_s: Mean of a byte's way.
        lose: Chance, per write, that the connection breaks at it.
        coalesce: Chance, per write of the board, that it waits for the next.
    """

    latency_s: float = 0.002
    lose: float = 0.0
    coalesce: float = 0.0


class Wire:
    """One machine's board, its power and its cable; implements `board.streams.StreamSource`.

    Args:
        world: The world.
        name: Of the machine.
        board: The board.
        trouble: What befalls the wire.
        on_written: Told what the agent hands to the wire, whatever of it arrives.
    """

    passive = False

    def __init__(
        self,
        world: World,
        name: str,
        board: EmulatedBoard,
        trouble: WireTrouble,
        on_written: Callable[[bytes], None],
    ) -> None:
        self.world, self.name, self.board, self.trouble = world, name, board, trouble
        self.rng = world.stream(f"wire of {name}")
        self.on_written = on_written
        self.unplugged_until = 0.0
        self._stream: _Stream | None = None
        self._powered = True
        self._deadline: Event | None = None
        self._to_board: deque[bytes] = deque()

    async def open(self, process: Process) -> ByteStream:
        """A connection, as soon as the board is reachable."""
        await asyncio.sleep(self.rng.expovariate(1 / self.trouble.latency_s))
        if self._stream is not None and self._stream.process.alive and not self._stream.over:
            raise StreamError("in use")
        if self.world.now < self.unplugged_until:
            raise StreamError("not there")
        stream = self._stream = _Stream(self, process)
        process.on_death.append(lambda: self._agent_died(stream))
        if self._powered:
            self._apply(self.board.connect(self.world.now))
        return stream

    def unplug(self, seconds: float) -> None:
        """Unplugs the cable for a while."""
        self.unplugged_until = max(self.unplugged_until, self.world.now + seconds)
        self._lose("unplugged")

    @property
    def is_idle(self) -> bool:
        """Whether no motor runs, so that the board's output cannot be taken for an answer."""
        return self.board.connected and not self.board._motor_busy and not self._to_board

    def mend(self) -> None:
        """Plugs the cable in and switches the power on."""
        self.unplugged_until = self.world.now
        self._power_on()

    def cut_power(self, seconds: float) -> None:
        """Cuts the board's power for a while; a can that has not fallen yet stays."""
        self.board._lose_power(seconds)
        self._apply(self.board.tick(self.world.now))

    def write(self, stream: "_Stream", data: bytes) -> None:
        """The agent writes; the wire decides how much of it arrives."""
        if stream is not self._stream or stream.over:
            raise StreamLostError("closed", unsent=True)
        if self.rng.random() < self.trouble.lose:
            arrives = self.rng.randint(0, len(data))
            self.world.fault("wire.torn", self.name, 2, f"{data[:arrives]!r} of {data!r}")
            self.on_written(data)
            if arrives:
                self._carry(data[:arrives])
            self.world.after(self.rng.uniform(0.01, 0.5), lambda: self._lose("torn"))
        else:
            self.on_written(data)
            self._carry(data)

    def _carry(self, data: bytes) -> None:
        self._to_board.append(data)
        stream = self._stream
        delay_s = self.rng.expovariate(1 / self.trouble.latency_s)

        def arrive() -> None:
            if stream is self._stream and self._to_board:
                arrived = b"".join(self._to_board)
                self._to_board.clear()
                if self.board.connected:
                    self._apply(self.board.receive(arrived, self.world.now))

        self.world.after(delay_s, arrive)

    def tell(self, outputs: Sequence[Output]) -> None:
        """Delivers the board's output."""
        self._apply(outputs)

    def _agent_died(self, stream: "_Stream") -> None:
        if stream is not self._stream or stream.over:
            return
        # What the system had of its last write still goes out, or a part of it.
        if self._to_board and self.rng.random() < 0.5:
            last = self._to_board[-1]
            arrives = self.rng.randint(0, len(last))
            self.world.note(f"{self.name}: {last[:arrives]!r} of {last!r} goes out")
            self._to_board[-1] = last[:arrives]
        left = b"".join(self._to_board)
        self._to_board.clear()
        if left and self.board.connected:
            self._apply(self.board.receive(left, self.world.now))
        stream.over = True
        if self.board.connected:
            self.board.disconnect()
        self._wake()

    def close(self, stream: "_Stream") -> None:
        """The agent closes its end."""
        if stream is self._stream:
            self._agent_died(stream)

    def _lose(self, reason: str) -> None:
        self._to_board.clear()
        if self._stream is not None:
            self._stream.say(StreamLostError(reason))
            self._stream.over = True
        if self.board.connected:
            self.board.disconnect()
        self._wake()

    def _apply(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            match output:
                case Send(data):
                    self._to_agent(data)
                case HangUp(seconds, silently):
                    self._hang_up(seconds, silently=silently)
        self._wake()

    def _to_agent(self, data: bytes) -> None:
        stream = self._stream
        if stream is None or stream.over:
            return
        waits = self.rng.random() < self.trouble.coalesce
        delay_s = 0.05 if waits else self.rng.expovariate(1 / self.trouble.latency_s)
        stream.carry(data, delay_s)

    def _hang_up(self, seconds: float, *, silently: bool) -> None:
        if not silently:
            self.unplug(seconds)
            return
        # Without power nobody closes the connection; the board starts anew on the same wire.
        if self.board.connected:
            self.board.disconnect()
        self._to_board.clear()
        self._powered = False
        self.world.after(seconds, self._power_on)

    def _power_on(self) -> None:
        self._powered = True
        if self._stream is not None and not self._stream.over and not self.board.connected:
            self._apply(self.board.connect(self.world.now))

    def _wake(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        at = self.board.next_deadline
        if at is not None:
            self._deadline = self.world.after(at - self.world.now, self._tick)

    def _tick(self) -> None:
        self._deadline = None
        due = self.board.next_deadline
        self._apply(self.board.tick(max(self.world.now, due or 0.0)))


class _Stream:
    """One connection; implements `board.streams.ByteStream`."""

    def __init__(self, wire: Wire, process: Process) -> None:
        self._wire = wire
        self.process = process
        self.peer = wire.name
        self.over = False
        self._said: deque[bytes | StreamLostError] = deque()
        self._arrived = asyncio.Event()
        self._carried: deque[bytes] = deque()
        self._due_at = 0.0

    def carry(self, data: bytes, delay_s: float) -> None:
        world = self._wire.world
        self._carried.append(data)
        self._due_at = max(self._due_at, world.now + delay_s)
        world.after(self._due_at - world.now, self._arrive)

    def _arrive(self) -> None:
        """Delivers all output so far in one read, or cut anywhere."""
        if not self._carried or self.over:
            return
        data = b"".join(self._carried)
        self._carried.clear()
        for piece in _cut(data, self._wire.rng):
            self.say(piece)

    def say(self, said: bytes | StreamLostError) -> None:
        self.process.post(self._say, said)

    def _say(self, said: bytes | StreamLostError) -> None:
        self._said.append(said)
        self._arrived.set()

    async def read(self) -> bytes:
        while not self._said:
            self._arrived.clear()
            await self._arrived.wait()
        said = self._said.popleft()
        if isinstance(said, StreamLostError):
            raise said
        return said

    def write(self, data: bytes) -> None:
        if self.process.alive:
            self._wire.write(self, data)

    def hang_up(self, reason: str) -> None:
        self._say(StreamLostError(reason))

    async def close(self) -> None:
        if self.process.alive:
            self._wire.close(self)


class Source:
    """A wire as one agent's process opens it; implements `board.streams.StreamSource`."""

    passive = False

    def __init__(self, wire: Wire, process: Process) -> None:
        self._wire, self._process = wire, process

    async def open(self) -> ByteStream:
        return await self._wire.open(self._process)

    async def close(self) -> None: ...


def _cut(data: bytes, rng: random.Random) -> list[bytes]:
    if len(data) < 2 or rng.random() < 0.7:
        return [data]
    at = rng.randrange(1, len(data))
    return [data[:at], data[at:]]
