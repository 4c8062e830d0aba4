"""A client of HTTP/2 that sends single frames, also those that no gRPC client would send."""

import asyncio
import contextlib
import struct
from collections import Counter
from collections.abc import Iterable
from typing import Self

from hpack import Encoder
from hyperframe.exceptions import HyperframeError
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    ExtensionFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from tests.support.tasks import cancel

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

FRAME_BYTES_MAX = 16_384
"""Longest frame that may be sent before the other side allows more."""

WINDOW_MAX = 0x7FFFFFFF
"""The largest flow control window."""

FIRST_WINDOW = 65_535
"""The window that a connection begins with."""

_HEADER_BYTES = 9
_END_STREAM = "END_STREAM"

CANCEL = 8
"""The error code of a call that its client cancels (RFC 9113, 7)."""

Headers = Iterable[tuple[str, str]]


def grpc_message(message: bytes, *, compressed: bool = False) -> bytes:
    """A message as gRPC puts it into DATA frames."""
    return struct.pack(">BI", compressed, len(message)) + message


class Http2Connection:
    """One connection; the server's frames are read and counted until it ends.

    Args:
        reader: From the server.
        writer: To the server.
        reads: Whether anything is read at all; otherwise the kernel's buffers fill up.
        answers: Whether PING and SETTINGS are answered.

    Attributes:
        heard: Received frames, by type; calls that ended, as `answers`.
        open_calls: Streams that have not ended.
        gone: Set once the server has closed the connection or sent GOAWAY.
        closed: Set once the server has closed the connection.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        reads: bool = True,
        answers: bool = True,
    ) -> None:
        self.heard: Counter[str] = Counter()
        self.open_calls: set[int] = set()
        self.gone = asyncio.Event()
        self.closed = asyncio.Event()
        self._reader = reader
        self._writer = writer
        self._answers = answers
        self._next_stream = 1
        self._encoder = Encoder()
        self._begun: set[int] = set()
        self._changed = asyncio.Condition()
        self._reading = asyncio.create_task(self._read()) if reads else None

    @classmethod
    async def connect(cls, host: str, port: int, window: int = WINDOW_MAX) -> Self:
        """Opens a connection and begins it."""
        connection = cls(*await asyncio.open_connection(host, port))
        connection.begin(window=window)
        return connection

    @property
    def port(self) -> int:
        """The port on this side."""
        port: int = self._writer.get_extra_info("sockname")[1]
        return port

    def begin(self, *, window: int = WINDOW_MAX) -> None:
        """Sends preface and settings.

        Args:
            window: Bytes of each response that the server may send before it is given more.
        """
        settings = SettingsFrame(settings={SettingsFrame.INITIAL_WINDOW_SIZE: window})
        self._writer.write(PREFACE + settings.serialize())
        if window:
            self.send(WindowUpdateFrame(0, window_increment=WINDOW_MAX - FIRST_WINDOW))

    def write(self, data: bytes) -> None:
        """Sends bytes as they are."""
        self._writer.write(data)

    def send(self, *frames: Frame) -> None:
        """Sends frames."""
        self._writer.write(b"".join(frame.serialize() for frame in frames))

    async def drain(self) -> None:
        """Waits until the server has taken most of what was sent.

        Raises:
            ConnectionError: the connection is closed, or the server wants no more calls on it.
        """
        if self.gone.is_set():
            raise ConnectionResetError
        await self._writer.drain()

    def stream(self) -> int:
        """The number of the next call."""
        number = self._next_stream
        self._next_stream += 2
        self.open_calls.add(number)
        return number

    def headers(
        self, method: str, more: Headers = (), *, end: bool = False, stream: int | None = None
    ) -> bytes:
        """The frames that begin a call of `/package.Service/Method`, as bytes to be sent."""
        number = self.stream() if stream is None else stream
        block = self._encoder.encode(
            [
                (":method", "POST"),
                (":scheme", "http"),
                (":path", method),
                (":authority", "localhost"),
                ("te", "trailers"),
                ("content-type", "application/grpc"),
                *more,
            ],
            huffman=False,
        )
        parts = [block[at : at + FRAME_BYTES_MAX] for at in range(0, len(block), FRAME_BYTES_MAX)]
        frames: list[Frame] = [HeadersFrame(number, data=parts[0])]
        frames += [ContinuationFrame(number, data=part) for part in parts[1:]]
        frames[-1].flags.add("END_HEADERS")
        if end:
            frames[0].flags.add(_END_STREAM)
        return b"".join(frame.serialize() for frame in frames)

    def trailers(self, stream: int) -> bytes:
        """A frame with the headers that end a call, and none of those that begin one."""
        frame = HeadersFrame(stream, data=self._encoder.encode([("grpc-status", "0")]))
        frame.flags.add("END_HEADERS")
        frame.flags.add(_END_STREAM)
        return frame.serialize()

    def headers_as_they_are(self, stream: int, block: bytes) -> bytes:
        """A frame with an encoded header block that need not make sense."""
        frame = HeadersFrame(stream, data=block)
        frame.flags.add("END_HEADERS")
        return frame.serialize()

    def call(
        self, method: str, message: bytes | None = None, more: Headers = (), /, **metadata: str
    ) -> int:
        """Begins a call; without a message its headers are all that is sent.

        Returns:
            The number of its stream.
        """
        number = self.stream()
        self.write(self.headers(method, [*more, *metadata.items()], stream=number))
        if message is not None:
            self.send_message(number, message)
        return number

    def send_message(self, stream: int, message: bytes, *, last: bool = True) -> None:
        """Sends a message of a call."""
        flags = [_END_STREAM] if last else []
        self.send(DataFrame(stream, data=grpc_message(message), flags=flags))

    def reset(self, stream: int) -> None:
        """Cancels a call."""
        self.send(RstStreamFrame(stream, error_code=CANCEL))

    async def begun(self, stream: int) -> None:
        """Waits until the server has sent the headers of its answer."""
        async with self._changed:
            await self._changed.wait_for(lambda: stream in self._begun)

    def has_ended(self, stream: int) -> bool:
        """Whether the server has ended a call."""
        return stream not in self.open_calls

    async def ended(self, stream: int) -> None:
        """Waits until the server ends a call."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.has_ended(stream))

    async def room(self, calls_max: int) -> None:
        """Waits until fewer calls than that are under way.

        Raises:
            ConnectionError: the connection ended.
        """
        async with self._changed:
            await self._changed.wait_for(
                lambda: self.gone.is_set() or len(self.open_calls) < calls_max
            )
        await self.drain()

    async def close(self) -> None:
        """Hangs up."""
        if self._reading is not None:
            await cancel(self._reading)
        self._writer.transport.abort()

    async def _read(self) -> None:
        try:
            while True:
                header = memoryview(await self._reader.readexactly(_HEADER_BYTES))
                frame, length = Frame.parse_frame_header(header)
                body = memoryview(await self._reader.readexactly(length))
                with contextlib.suppress(HyperframeError):
                    frame.parse_body(body)
                await self._received(frame)
        except (OSError, asyncio.IncompleteReadError, HyperframeError):
            pass
        finally:
            self.gone.set()
            self.closed.set()
            async with self._changed:
                self._changed.notify_all()

    async def _received(self, frame: Frame) -> None:
        self.heard[type(frame).__name__.removesuffix("Frame")] += 1
        match frame:
            case PingFrame() | SettingsFrame() if "ACK" not in frame.flags and self._answers:
                answer = type(frame)(0, flags=["ACK"])
                if isinstance(frame, PingFrame) and isinstance(answer, PingFrame):
                    answer.opaque_data = frame.opaque_data
                self.send(answer)
            case GoAwayFrame():
                self.gone.set()
            case HeadersFrame():
                self._begun.add(frame.stream_id)
        if _END_STREAM in frame.flags or isinstance(frame, RstStreamFrame | GoAwayFrame):
            self.heard["answers"] += 1
            self.open_calls.discard(frame.stream_id)
        elif not isinstance(frame, HeadersFrame):
            return
        async with self._changed:
            self._changed.notify_all()


def any_frame(kind: int, flags: int = 0, stream: int = 0, body: bytes = b"") -> Frame:
    """A frame of any type with any body (RFC 9113, 4.1), which need not make sense."""
    frame = ExtensionFrame(kind, stream, flag_byte=flags, body=body)
    # hyperframe sets the length only of frames that it has parsed.
    frame.body_len = len(body)
    return frame


def raw_frame(kind: int, flags: int = 0, stream: int = 0, body: bytes = b"") -> bytes:
    """The bytes of `any_frame`."""
    return any_frame(kind, flags, stream, body).serialize()
