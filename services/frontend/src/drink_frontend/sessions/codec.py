r"""Decodes lines from a byte stream; has no socket, clock or commands.

`feed` takes what arrived, however it was cut; `next_event` gives the lines in it one at a time, so
that a client who sends ten thousand at once costs no more memory than their bytes.
"""

from collections.abc import Callable
from enum import Enum, auto

from drink_frontend.sessions.telnet import IAC, TelnetFilter

_NUL, _LF, _CR = b"\0\n\r"
# Numbers: to look for bytes in bytes, Python first makes the error that they are no number.


class Garbage(Enum):
    """Why a whole line is refused."""

    TOO_LONG = auto()
    """More bytes than the decoder allows."""
    NOT_TEXT = auto()
    """Not UTF-8, or with control characters."""


Event = str | Garbage
"""One line, without its end: printable text, at most as long as the decoder allows; or why not."""


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

    Attributes:
        endless: Whether the peer has sent too many bytes without a line end.
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
        "endless",
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
        self.endless = False
        self._telnet: TelnetFilter | None = None
        """None until the peer sends what is no part of a line."""
        self._buffer = b""
        """Bytes in which LF is the only line end; empty if none is left from `_start` on."""
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

    def feed(self, data: bytes) -> None:
        """Adds bytes from the peer."""
        size = len(data)
        if self._telnet is not None or IAC in data or _NUL in data:
            data = self._without_telnet(data)
        if self._after_cr or _CR in data:
            data = self._with_plain_ends(data)
        if _LF in data:
            self._without_end = 0
        else:
            self._without_end += size
            if self._without_end > self._endless_max:
                self.endless = True
        if self._buffer or self._ended_by_silence:
            data = self._joined(data)
        self._buffer = data

    def _joined(self, data: bytes) -> bytes:
        """What has not been returned yet, and more."""
        if self._ended_by_silence and data:
            # A late end of that line is not another, empty line.
            self._ended_by_silence = False
            data = data.removeprefix(b"\n")
        if data and self.partial and not self._swallowing:
            begun = self._buffer[max(self._start, self._buffer.rfind(b"\n") + 1) :]
            if self._ends_line(begun, data):
                self._buffer += b"\n"
        rest, self._start = self._buffer[self._start :], 0
        return rest + data

    def _without_telnet(self, data: bytes) -> bytes:
        if self._telnet is None:
            self._telnet = TelnetFilter()
        data = self._telnet.feed(data)
        if self._telnet.flooded:
            self.endless = True
        return data

    def _with_plain_ends(self, data: bytes) -> bytes:
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if _CR not in data:
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
        buffer = self._buffer
        if not buffer:
            return None
        end = buffer.find(b"\n", self._start)
        if end < 0:
            self._drop_overlong_tail()
            return None
        raw = buffer[self._start : end]
        self._start = end + 1
        if self._start == len(buffer):
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
        return text if text.isprintable() else Garbage.NOT_TEXT
