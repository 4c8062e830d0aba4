"""Lines out of a byte stream, and nothing else: no socket, no clock, no commands.

`feed` takes what arrived, however it was cut; `next_event` gives the lines in it one at a time, so
that a client who sends ten thousand at once costs no more memory than their bytes.
"""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Line:
    """One line, without its end: printable text, at most as long as the decoder allows."""

    text: str


class Garbage(StrEnum):
    """A line that is refused as a whole, up to its end."""

    TOO_LONG = "TOO_LONG"
    """More bytes than the decoder allows."""
    NOT_TEXT = "NOT_TEXT"
    """Not UTF-8, or with control characters; a CR that no LF follows is one."""


Event = Line | Garbage


class LineDecoder:
    r"""Takes bytes, gives lines that end in LF or CRLF.

    Args:
        line_max: Most bytes of a line, its end not counted. A longer one is swallowed to its end
            and then reported once.
    """

    __slots__ = ("_buffer", "_ended_by_silence", "_line_max", "_start", "_swallowing")

    def __init__(self, line_max: int) -> None:
        assert line_max > 0
        self._line_max = line_max
        self._buffer = b""
        self._start = 0
        self._swallowing = False
        self._ended_by_silence = False

    @property
    def backlog(self) -> int:
        """Bytes taken and not yet given as lines."""
        return len(self._buffer) - self._start

    @property
    def partial(self) -> bool:
        """Whether a line has begun that has no end yet."""
        return self._swallowing or (self.backlog > 0 and not self._buffer.endswith(b"\n"))

    def feed(self, data: bytes) -> None:
        """Takes bytes from the peer."""
        if self._ended_by_silence:
            data = self._without_late_end(data)
        self._buffer = self._buffer[self._start :] + data
        self._start = 0

    def silence(self) -> None:
        """Ends the line that has begun: the peer has been silent for as long as it may.

        Should the end of that line still come, alone and late, it is not another, empty line.
        """
        if self.partial:
            self._buffer += b"\n"
            self._ended_by_silence = True

    def _without_late_end(self, data: bytes) -> bytes:
        if data == b"\r":
            return b""
        self._ended_by_silence = False
        return (
            data.removeprefix(b"\r").removeprefix(b"\n")
            if data[:2] == b"\r\n"
            else (data.removeprefix(b"\n"))
        )

    def next_event(self) -> Event | None:
        """The next line, or None until more has arrived."""
        if not self._buffer:
            return None
        end = self._buffer.find(b"\n", self._start)
        if end < 0:
            self._drop_overlong_tail()
            return None
        raw = self._buffer[self._start : end]
        self._start = end + 1
        if self._start == len(self._buffer):
            self._buffer, self._start = b"", 0
        if self._swallowing:
            self._swallowing = False
            return Garbage.TOO_LONG
        return self._decoded(raw.removesuffix(b"\r"))

    def _drop_overlong_tail(self) -> None:
        # One byte more than allowed may still be the CR of a line end.
        if self._swallowing or self.backlog > self._line_max + 1:
            self._swallowing = True
            self._buffer, self._start = b"", 0

    def _decoded(self, raw: bytes) -> Event:
        if len(raw) > self._line_max:
            return Garbage.TOO_LONG
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            return Garbage.NOT_TEXT
        return Line(text) if text.isprintable() else Garbage.NOT_TEXT
