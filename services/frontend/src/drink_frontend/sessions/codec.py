r"""Decodes lines from a byte stream; has no socket, clock or commands.

`feed` takes what arrived, however it was cut; `next_event` gives the lines in it one at a time, so
that a client who sends ten thousand at once costs no more memory than their bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from drink_frontend.sessions.telnet import TelnetFilter


@dataclass(frozen=True, slots=True)
class Line:
    """One line, without its end: printable text, at most as long as the decoder allows."""

    text: str


class Garbage(StrEnum):
    """Why a whole line is refused."""

    TOO_LONG = "TOO_LONG"
    """More bytes than the decoder allows."""
    NOT_TEXT = "NOT_TEXT"
    """Not UTF-8, or with control characters."""


Event = Line | Garbage


def _never(_line: bytes, _more: bytes) -> bool:
    return False


class LineDecoder:
    r"""Decodes lines that end in LF, CR LF, CR NUL or CR.

    What telnet clients mix into them (NUL, sequences of IAC) is dropped.

    Args:
        line_max: Most bytes of a line, its end not counted. A longer one is swallowed to its end
            and then reported once.
        endless_max: Bytes without a line end after which `endless` is true.
        ends_line: Whether what just arrived (its second argument) ends the line before it that has
            no end (its first).
    """

    __slots__ = (
        "_after_cr",
        "_buffer",
        "_ended_by_silence",
        "_endless_max",
        "_ends_line",
        "_line_max",
        "_start",
        "_swallowing",
        "_telnet",
        "_without_end",
    )

    def __init__(
        self,
        line_max: int,
        endless_max: int = 1 << 20,
        ends_line: Callable[[bytes, bytes], bool] = _never,
    ) -> None:
        assert line_max > 0
        self._line_max = line_max
        self._endless_max = endless_max
        self._ends_line = ends_line
        self._telnet = TelnetFilter()
        self._buffer = b""
        """Bytes in which LF is the only line end."""
        self._start = 0
        self._after_cr = False
        self._swallowing = False
        self._ended_by_silence = False
        self._without_end = 0

    @property
    def backlog(self) -> int:
        """Bytes received and not yet returned as lines."""
        return len(self._buffer) - self._start

    @property
    def partial(self) -> bool:
        """Whether the last line has no end yet."""
        return self._swallowing or (self.backlog > 0 and not self._buffer.endswith(b"\n"))

    @property
    def endless(self) -> bool:
        """Whether the peer has sent too many bytes without a line end."""
        return self._without_end > self._endless_max or self._telnet.flooded

    def feed(self, data: bytes) -> None:
        """Adds bytes from the peer."""
        self._without_end += len(data)
        data = self._with_plain_ends(self._telnet.feed(data))
        if not data:
            return
        if b"\n" in data:
            self._without_end = 0
        if self._ended_by_silence:
            # A late end of that line is not another, empty line.
            self._ended_by_silence = False
            data = data.removeprefix(b"\n")
        if self.partial and not self._swallowing:
            begun = self._buffer[max(self._start, self._buffer.rfind(b"\n") + 1) :]
            if self._ends_line(begun, data):
                self._buffer += b"\n"
        self._buffer = self._buffer[self._start :] + data
        self._start = 0

    def _with_plain_ends(self, data: bytes) -> bytes:
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if b"\r" not in data:
            return data
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def silence(self) -> None:
        """Ends the unfinished line, since the peer has been silent for too long."""
        self._without_end = 0
        if self.partial:
            self._buffer += b"\n"
            self._ended_by_silence = True

    def next_event(self) -> Event | None:
        """The next line; None until more bytes have arrived."""
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
        return self._decoded(raw)

    def _drop_overlong_tail(self) -> None:
        if self._swallowing or self.backlog > self._line_max:
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
