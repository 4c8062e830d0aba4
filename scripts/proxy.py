"""A TCP proxy that does to a connection what networks do: cut, stall, delay, refuse.

It runs in a thread with an event loop of its own; its methods may be called from any other.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from enum import StrEnum
from typing import Any, Self

CHUNK_BYTES = 65_536
"""Bytes read at a time."""

LIMIT_S = 20
"""Seconds that the proxy's thread may take to do as it is told."""

CHUNKS_MAX = 64
"""Chunks held up in one direction; then the sender is held up too."""

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER without waiting."""


class Way(StrEnum):
    """A direction through the proxy."""

    UP = "up"
    """From the side that dialled to the server."""
    DOWN = "down"
    """From the server to the side that dialled."""


class _Pipe:
    """One direction of one connection."""

    def __init__(self) -> None:
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.delay_s = 0.0
        self.bytes_left: int | None = None
        self._chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_MAX)

    async def read(self, reader: asyncio.StreamReader) -> None:
        """Takes in bytes until their source ends."""
        data = b"-"
        while data:
            try:
                data = await reader.read(CHUNK_BYTES)
            except OSError:
                data = b""
            await self._chunks.put((asyncio.get_running_loop().time() + self.delay_s, data))

    async def write(self, writer: asyncio.StreamWriter) -> None:
        """Passes them on."""
        while True:
            due, data = await self._chunks.get()
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            await self.flowing.wait()
            if not data:
                break
            if self.bytes_left is not None:
                data = data[: self.bytes_left]
                self.bytes_left -= len(data)
                if not self.bytes_left:
                    self.flowing.clear()
            if writer.is_closing():  # it was reset; what it would have been told is lost
                continue
            with contextlib.suppress(OSError):
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()


class _Connection:
    """Both directions between one that dialled and the server."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.task = asyncio.current_task()
        self.pipes = {Way.UP: _Pipe(), Way.DOWN: _Pipe()}
        self._ends = {Way.DOWN: near, Way.UP: far}

    async def run(self, near: asyncio.StreamReader, far: asyncio.StreamReader) -> None:
        """Passes bytes on until both sides have ended."""
        async with asyncio.TaskGroup() as tasks:
            for way, reader in ((Way.UP, near), (Way.DOWN, far)):
                tasks.create_task(self.pipes[way].read(reader))
                tasks.create_task(self.pipes[way].write(self._ends[way]))

    def reset(self, *ways: Way) -> None:
        """Resets the end that each of these ways leads to."""
        for way in ways:
            sock = self._ends[way].get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self._ends[way].transport.abort()


class FaultProxy:
    """Stands before a server; a context manager.

    A fault hits the connections there are; later ones are sound, as after a new dial.

    Args:
        port: The server's port; may be given later.
        server: The server's host name or address, looked up for each connection.
        host: Address to listen on.
        listen_port: Port to listen on; 0 takes any free one.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        server: str = "127.0.0.1",
        host: str = "127.0.0.1",
        listen_port: int = 0,
    ) -> None:
        self.server_port = port
        """Where connections lead that come from now on."""
        self.port = listen_port
        """Where to dial."""
        self._server = server
        self._host = host
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._listener: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self.accept()
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT_S)
        self._loop.close()

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._connections)

    def accept(self) -> None:
        """Takes connections, on the same port as before."""
        self._do(self._listen)

    def refuse(self) -> None:
        """Takes no more connections: they are refused."""
        self._do(self._stop_listening)

    def cut(self, end: Way | None = None) -> None:
        """Resets connections: both ends, or the end that a way leads to.

        The other end is then left as it is, hears nothing more and is not told.
        """

        async def cut() -> None:
            for connection in tuple(self._connections):
                for pipe in connection.pipes.values():
                    pipe.flowing.clear()
                connection.reset(*([end] if end else Way))
                if end is None and connection.task is not None:
                    connection.task.cancel()

        self._do(cut)

    def stall(self, *ways: Way) -> None:
        """Passes nothing more on in these directions, both by default, and closes nothing."""
        self._each(ways, lambda pipe: pipe.flowing.clear())

    def flow(self) -> None:
        """Ends a stall: what was held up passes on."""
        self._each((), lambda pipe: pipe.flowing.set())

    def delay(self, seconds: float, *ways: Way) -> None:
        """Passes bytes on so much later in these directions, both by default."""

        def change(pipe: _Pipe) -> None:
            pipe.delay_s = seconds

        self._each(ways, change)

    def swallow_after(self, count: int, *ways: Way) -> None:
        """Passes on so many more bytes in these directions, then nothing more."""

        def change(pipe: _Pipe) -> None:
            pipe.bytes_left = count
            if count == 0:
                pipe.flowing.clear()

        self._each(ways, change)

    def _each(self, ways: tuple[Way, ...], change: Callable[[_Pipe], None]) -> None:
        async def each() -> None:
            for connection in self._connections:
                for way in ways or Way:
                    change(connection.pipes[way])

        self._do(each)

    def _do(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        asyncio.run_coroutine_threadsafe(work(), self._loop).result(LIMIT_S)

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._accepted, self._host, self.port)
            self.port = self._listener.sockets[0].getsockname()[1]

    async def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _end(self) -> None:
        await self._stop_listening()
        # The loop's next rounds make the tasks of connections that were accepted just now.
        for _ in range(3):
            await asyncio.sleep(0)
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # A reset connection is lost in the loop's next round.
        await asyncio.sleep(0)

    async def _accepted(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            far_reader, far = await asyncio.open_connection(self._server, self.server_port)
        except (OSError, asyncio.CancelledError):
            near.transport.abort()
            self._tasks.discard(task)
            return
        connection = _Connection(near, far)
        self._connections.add(connection)
        try:
            await connection.run(reader, far_reader)
        except asyncio.CancelledError:
            pass  # reset on purpose
        finally:
            self._connections.discard(connection)
            self._tasks.discard(task)
            connection.reset(*Way)
