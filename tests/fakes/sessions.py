"""A client of sessions without sockets, and one with."""

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

from drink_frontend.sessions.codec import LineDecoder
from drink_frontend.sessions.dialects import CLASSIC, Dialect
from drink_frontend.sessions.server import SessionServer
from drink_frontend.sessions.session import Session
from tests.fakes.usecases import World

PATIENCE_S = 5.0
"""Longest wait of a test for something that must come."""


async def until(true: Callable[[], bool]) -> None:
    """Waits until something is so that gives no sign of its own."""
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class Typist:
    """Types into a session and reads what it says, line after line, without a socket."""

    def __init__(
        self,
        world: World,
        dialect: Dialect = CLASSIC,
        machine: str | None = "d",
        *,
        line_max: int = 512,
        may_stop: bool = False,
    ) -> None:
        self.session = Session(
            world.services(may_stop=may_stop), dialect, "192.0.2.7", machine, login_failures_max=3
        )
        self.decoder = LineDecoder(line_max)
        self.hung_up = False

    async def send(self, data: bytes) -> bytes:
        """The replies to what comes with these bytes."""
        self.decoder.feed(data)
        replies = b""
        while not self.hung_up and (event := self.decoder.next_event()) is not None:
            answer = self.session.handle(event)
            if isinstance(answer, Coroutine):
                answer = await answer
            if answer is not None:
                replies += b"".join(answer.parts)
                self.hung_up = answer.hang_up
        return replies

    async def type(self, line: str) -> str:
        """The reply to one line, as text."""
        return (await self.send(line.encode() + b"\n")).decode()

    async def login(self, name: str = "user") -> Self:
        await self.type(f"USER {name}")
        assert "OK" in await self.type("PASS pw")
        return self


class Caller:
    """A client with a socket."""

    def __init__(self, server: SessionServer, listener: int = 0, **more: Any) -> None:
        self.address = server.addresses[listener]
        self.more = more

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(*self.address, **self.more)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.writer.transport.abort()
        await asyncio.sleep(0)

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def read(self, end: bytes = b"\n") -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readuntil(end)

    async def read_lines(self, count: int) -> list[bytes]:
        return [await self.read() for _ in range(count)]

    async def read_all(self) -> bytes:
        """Everything until the server hangs up."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.read()

    async def ask(self, line: bytes, end: bytes = b"\n") -> bytes:
        self.send(line)
        return await self.read(end)

    def reset(self) -> None:
        """Goes away without a word: the server gets a reset, not an end of the stream."""
        at_once = struct.pack("ii", 1, 0)
        own_socket = self.writer.get_extra_info("socket")
        own_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        self.writer.transport.abort()

    async def login(self, name: bytes = b"user") -> Self:
        await self.read()
        await self.ask(b"USER " + name + b"\n")
        assert b"OK" in await self.ask(b"PASS pw\n")
        return self
