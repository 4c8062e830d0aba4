"""A client of HTTP/2 that sends what no gRPC client would, frame by frame."""

import asyncio
import struct
from collections import defaultdict
from typing import Self

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, ACK, END_HEADERS = 1, 1, 4
INITIAL_WINDOW_SIZE = 4


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame (RFC 9113, 4.1)."""
    return (
        struct.pack(">I", len(payload))[1:]
        + bytes([kind, flags])
        + struct.pack(">I", stream)
        + payload
    )


def call_headers(path: str, **extra: str) -> bytes:
    """The header block of a gRPC call; no name or value may be longer than 126 bytes."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
        **extra,
    }
    return b"".join(
        b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in fields.items()
    )


class Http2Client:
    """A connection. It answers nothing by itself, except pings if it is told to.

    Args:
        reader: What the server sends.
        writer: What it is sent.
        window: Bytes of each response that the server may send unasked; None for HTTP/2's 65,535.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, window: int | None
    ) -> None:
        self._reader, self._writer = reader, writer
        settings = b"" if window is None else struct.pack(">HI", INITIAL_WINDOW_SIZE, window)
        writer.write(PREFACE + frame(SETTINGS, 0, 0, settings))
        self._next_stream = 1
        self._begins: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self._ends: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self.closed = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, host: str, port: int, window: int | None = None) -> Self:
        """A connection to a server, which is read until it ends."""
        return cls(*await asyncio.open_connection(host, port), window)

    @property
    def port(self) -> int:
        """The port on this side."""
        port: int = self._writer.get_extra_info("sockname")[1]
        return port

    def call(self, path: str, message: bytes | None = None, **metadata: str) -> int:
        """Begins a call; without a message its headers are all that is sent."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        self._writer.write(frame(HEADERS, END_HEADERS, stream, call_headers(path, **metadata)))
        if message is not None:
            self.send(stream, message)
        return stream

    def send(self, stream: int, message: bytes, *, last: bool = True) -> None:
        """Sends a message of a call."""
        data = b"\0" + struct.pack(">I", len(message)) + message
        self._writer.write(frame(DATA, END_STREAM if last else 0, stream, data))

    def write(self, data: bytes) -> None:
        """Sends bytes as they are."""
        self._writer.write(data)

    def reset(self, stream: int) -> None:
        """Cancels a call."""
        self._writer.write(frame(RST_STREAM, 0, stream, struct.pack(">I", 8)))

    async def begun(self, stream: int) -> None:
        """Waits until the server has sent the headers of its answer."""
        await self._begins[stream].wait()

    def has_ended(self, stream: int) -> bool:
        """Whether the server has ended a call."""
        return self._ends[stream].is_set()

    async def ended(self, stream: int) -> None:
        """Waits until the server ends a call."""
        await self._ends[stream].wait()

    async def drain(self) -> None:
        """Waits until what was sent has left."""
        await self._writer.drain()

    async def close(self) -> None:
        """Ends the connection."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        self._writer.transport.abort()

    async def _read(self) -> None:
        try:
            while True:
                head = await self._reader.readexactly(9)
                size, kind, flags = int.from_bytes(head[:3]), head[3], head[4]
                stream = int.from_bytes(head[5:])
                payload = await self._reader.readexactly(size)
                if kind == PING and not flags & ACK:
                    self._writer.write(frame(PING, ACK, 0, payload))
                if kind == HEADERS:
                    self._begins[stream].set()
                if kind == RST_STREAM or (kind in (DATA, HEADERS) and flags & END_STREAM):
                    self._ends[stream].set()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self.closed.set()
