"""Connections of an emulated board: a pseudo terminal, or TCP in either direction."""

import asyncio
import contextlib
import os
import pty
import socket
import tty
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Self

from drink_agent.board.emulator.board import EmulatedBoard, HangUp, Output, Send

_READ_BYTES: Final = 4096
"""Most bytes of one read."""

_DIAL_LIMIT_S: Final = 5.0
"""Longest connection attempt in seconds."""


class Host(ABC):
    """Connects one emulated board to an agent, and calls it when something is due."""

    def __init__(self, board: EmulatedBoard) -> None:
        self.board = board
        """The emulated board."""
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self._later: set[asyncio.TimerHandle] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def now(self) -> float:
        """The time for the board, in monotonic seconds."""
        return self._loop.time()

    @property
    @abstractmethod
    def where(self) -> str:
        """The URL for the agent's configuration."""

    @abstractmethod
    async def start(self) -> None:
        """Starts to accept or open connections."""

    async def stop(self) -> None:
        """Closes the connection and stops all timers."""
        for timer in (self._timer, *self._later):
            if timer is not None:
                timer.cancel()
        self._close(silently=False)
        if self.board.connected:
            self.board.disconnect()

    def apply(self, outputs: Sequence[Output]) -> None:
        """Executes the board's output."""
        for output in outputs:
            match output:
                case Send(data):
                    self._send(data)
                case HangUp(seconds, silently):
                    self.lose(seconds, silently=silently)
        self._wake()

    def lose(self, seconds: float, *, silently: bool = False) -> None:
        """Interrupts the connection for some seconds."""
        self._close(silently=silently)
        if self.board.connected:
            self.board.disconnect()
        for timer in self._later:
            timer.cancel()
        self._later.clear()
        self._after(seconds, silently=silently)
        self._wake()

    async def wait_until(self, condition: Callable[[EmulatedBoard], bool], limit_s: float) -> bool:
        """Waits until the condition holds; returns False if it does not within `limit_s`."""
        try:
            async with asyncio.timeout(limit_s):
                while not condition(self.board):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    @abstractmethod
    def _send(self, data: bytes) -> None: ...

    @abstractmethod
    def _close(self, *, silently: bool) -> None: ...

    @abstractmethod
    def _reopen(self, *, silently: bool) -> None: ...

    def _after(self, seconds: float, *, silently: bool) -> None:
        def reopen() -> None:
            self._later.discard(timer)
            self._reopen(silently=silently)

        timer = self._loop.call_later(seconds, reopen)
        self._later.add(timer)

    def _connected(self) -> None:
        self.apply(self.board.connect(self.now))

    def _received(self, data: bytes) -> None:
        if self.board.connected:
            self.apply(self.board.receive(data, self.now))

    def _wake(self) -> None:
        self._changed.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self.board.next_deadline
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        self.apply(self.board.tick(max(self.now, self.board.next_deadline or 0.0)))


class PtyHost(Host):
    """A pseudo terminal behind a symbolic link; an interruption removes both."""

    def __init__(self, board: EmulatedBoard, link: Path) -> None:
        super().__init__(board)
        self._link = link
        self._master = -1
        self._slave = -1

    @property
    def where(self) -> str:
        """The URL for the agent's configuration."""
        return f"serial://{self._link.absolute()}"

    async def start(self) -> None:
        """Creates the terminal and the link."""
        self._reopen(silently=False)

    def _reopen(self, *, silently: bool) -> None:  # noqa: ARG002
        # After a power failure the terminal still exists, unless it was unplugged meanwhile.
        if self._master < 0:
            self._master, self._slave = pty.openpty()
            tty.setraw(self._slave)
            os.set_blocking(self._master, False)
            self._loop.add_reader(self._master, self._readable)
            new = self._link.with_name(f"{self._link.name}.new")
            new.unlink(missing_ok=True)
            new.symlink_to(os.ttyname(self._slave))
            new.replace(self._link)
        self._connected()

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._received(os.read(self._master, _READ_BYTES))

    def _send(self, data: bytes) -> None:
        with contextlib.suppress(BlockingIOError):  # no agent reads: the bytes are lost
            os.write(self._master, data)

    def _close(self, *, silently: bool) -> None:
        if silently or self._master < 0:
            return
        self._loop.remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1
        self._link.unlink(missing_ok=True)


class _TcpHost(Host):
    def __init__(self, board: EmulatedBoard) -> None:
        super().__init__(board)
        self._writer: asyncio.StreamWriter | None = None
        self._powered = True
        self._tasks: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """Closes the connection and waits for its end."""
        await super().stop()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _take(self, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._writer = writer
        if self._powered:
            self._connected()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_READ_BYTES):
                if self._writer is writer:
                    self._received(data)
        writer.close()
        if self._writer is writer:
            self._writer = None
            if self.board.connected:
                self.board.disconnect()
            self._wake()
            self._hung_up_on()

    def _hung_up_on(self) -> None:
        """Called when the agent has closed the connection."""

    def _send(self, data: bytes) -> None:
        if self._writer is not None:
            self._writer.write(data)

    def _close(self, *, silently: bool) -> None:
        if self._writer is not None and not silently:
            self._writer.close()
            self._writer = None

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class DialHost(_TcpHost):
    """A board that dials the agent like the firmware, and dials again when the connection ends."""

    def __init__(self, board: EmulatedBoard, host: str, port: int, redial_s: float = 1.0) -> None:
        super().__init__(board)
        self._host = host
        self._port = port
        self._redial_s = redial_s
        self._dialling: asyncio.Task[None] | None = None
        self._abandoned: list[asyncio.StreamWriter] = []

    @property
    def where(self) -> str:
        """The URL for the agent's configuration."""
        return f"listen://{self._host}:{self._port}"

    async def start(self) -> None:
        """Starts dialling."""
        self._reopen(silently=False)

    async def stop(self) -> None:
        """Stops dialling, and closes abandoned connections too."""
        for writer in self._abandoned:
            writer.transport.abort()
        if self._dialling is not None:
            self._dialling.cancel()
        await super().stop()

    def _close(self, *, silently: bool) -> None:
        """Closes the connection; without power it stays open at the agent's end."""
        self._dialling = None  # a connection that it still opens is closed
        if silently and self._writer is not None:
            self._abandoned.append(self._writer)
            self._writer = None
        super()._close(silently=silently)

    def _reopen(self, *, silently: bool) -> None:  # noqa: ARG002
        self._dialling = self._loop.create_task(self._dial())
        self._keep(self._dialling)

    def _hung_up_on(self) -> None:
        self._after(self._redial_s, silently=False)

    async def _dial(self) -> None:
        this = asyncio.current_task()
        while self._dialling is this:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_DIAL_LIMIT_S):
                    reader, writer = await asyncio.open_connection(self._host, self._port)
                break
            await asyncio.sleep(self._redial_s)
        else:
            return
        if self._dialling is this:
            self._dialling = None
            self._take(writer)
            await self._serve(reader, writer)
        else:
            writer.close()


class ListenHost(_TcpHost):
    """A board behind a serial server that accepts one agent at a time.

    If the board loses power, the server keeps its connections.
    """

    def __init__(self, board: EmulatedBoard, host: str, port: int) -> None:
        super().__init__(board)
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._plugged_in = True

    @property
    def where(self) -> str:
        """The URL for the agent's configuration."""
        return f"tcp://{self._host}:{self._port}"

    async def start(self) -> None:
        """Starts listening; port 0 takes any."""
        self._server = await asyncio.start_server(self._accept, self._host, self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stops listening."""
        if self._server is not None:
            self._server.close()
        await super().stop()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._writer is not None or not self._plugged_in:
            writer.close()
            return
        task = asyncio.current_task()
        assert task is not None
        self._keep(task)
        self._take(writer)
        await self._serve(reader, writer)

    def _close(self, *, silently: bool) -> None:
        super()._close(silently=silently)
        self._powered = False
        self._plugged_in = silently

    def _reopen(self, *, silently: bool) -> None:  # noqa: ARG002
        self._powered = self._plugged_in = True
        if self._writer is not None:
            self._connected()
