"""Byte streams without a board, for what real ones do too rarely."""

import asyncio

from drink_agent.board.streams import ByteStream, StreamError, StreamLostError


class FakeStream:
    """A stream whose other end is the test.

    Attributes:
        written: What the agent wrote.
        refuses: Whether writes fail with nothing sent.
        status: What each status request is answered with; nothing if empty.
    """

    peer = "a test"

    def __init__(self, status: bytes = b"") -> None:
        self.status = status
        self.written = b""
        self.refuses = False
        self._said: asyncio.Queue[bytes | StreamLostError] = asyncio.Queue()

    def say(self, data: bytes) -> None:
        self._said.put_nowait(data)

    def fail(self, *, unsent: bool = False) -> None:
        self._said.put_nowait(StreamLostError("unplugged", unsent=unsent))

    async def read(self) -> bytes:
        said = await self._said.get()
        if isinstance(said, StreamLostError):
            raise said
        return said

    def write(self, data: bytes) -> None:
        if self.refuses:
            raise StreamLostError("gone", unsent=True)
        self.written += data
        if data.startswith(b"6") and self.status:
            self.say(self.status)

    def hang_up(self, reason: str) -> None:
        self._said.put_nowait(StreamLostError(reason))

    async def close(self) -> None: ...


class FakeSource:
    """Gives one stream after the other.

    Attributes:
        opened_at: Loop times of all calls of `open`.
        streams: What it will give; an error for an attempt that fails.
    """

    passive = False

    def __init__(self, *streams: FakeStream | StreamError) -> None:
        self.streams = list(streams)
        self.opened_at: list[float] = []
        self._opened = asyncio.Event()

    async def open(self) -> ByteStream:
        self.opened_at.append(asyncio.get_running_loop().time())
        self._opened.set()
        if not self.streams:
            await asyncio.Event().wait()
        stream = self.streams.pop(0)
        if isinstance(stream, StreamError):
            raise stream
        return stream

    async def opened(self, times: int) -> None:
        """Waits for so many calls of `open`."""
        async with asyncio.timeout(20):
            while len(self.opened_at) < times:
                self._opened.clear()
                await self._opened.wait()

    async def close(self) -> None: ...
