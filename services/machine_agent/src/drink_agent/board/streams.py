"""Byte streams to a board, opened by URL."""

import ipaddress
from dataclasses import dataclass
from typing import Final, Literal, Protocol, cast
from urllib.parse import parse_qsl, urlsplit

READ_BYTES: Final = 4096
"""Most bytes handed over at once: a burst of ten full statuses."""

_BAUD_RATES: Final = frozenset(
    (300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400)
)

Scheme = Literal["serial", "listen", "tcp", "rfc2217"]


class StreamError(Exception):
    """A stream cannot be opened now.

    Args:
        reason: Why, for the log.
        errno: The system's error number, such as ENOENT, where the system refused.
    """

    def __init__(self, reason: str, *, errno: int | None = None) -> None:
        super().__init__(reason)
        self.errno = errno


class StreamLostError(Exception):
    """A stream that was open has ended."""

    def __init__(self, reason: str, *, unsent: bool = False) -> None:
        super().__init__(reason)
        self.unsent = unsent
        """Not one byte of the last write can have reached the board."""


class ByteStream(Protocol):
    """An open stream; used from the event loop only."""

    @property
    def peer(self) -> str:
        """The other end, for the log."""

    async def read(self) -> bytes:
        """At least one byte and at most `READ_BYTES`.

        Raises:
            StreamLostError: the stream has ended.
        """

    def write(self, data: bytes) -> None:
        """Sends bytes in order, without waiting; a later failure ends `read`.

        Raises:
            StreamLostError: the stream has ended, and none of these bytes were sent.
        """

    def hang_up(self, reason: str) -> None:
        """Ends the stream; `read` will then say so."""

    async def close(self) -> None:
        """Sends what is written if that is possible at once, and waits for the stream's end."""


class StreamSource(Protocol):
    """Opens one stream after the other to the same board."""

    @property
    def passive(self) -> bool:
        """Whether it is the board that dials, and so decides how often."""

    async def open(self) -> ByteStream:
        """The next stream; waits for a board that dials in. Cancellable.

        Raises:
            StreamError: not now.
        """

    async def close(self) -> None:
        """Stops listening, if it does."""


@dataclass(frozen=True, slots=True)
class StreamUrl:
    """A board's URL, taken apart."""

    scheme: Scheme
    """How to reach it."""
    host: str = ""
    """Host of `listen:`, `tcp:` and `rfc2217:`; empty listens on every address."""
    port: int = 0
    """Port; 0 lets `listen:` take any."""
    path: str = ""
    """Device of `serial:`."""
    baudrate: int = 9600
    """Symbols per second of `serial:` and `rfc2217:`. Default 9600, what small boards speak."""


def parse_url(url: str) -> StreamUrl:
    """Takes a board's URL apart.

    Raises:
        ValueError: it is none; the message says what is wrong with it.
    """
    parts = urlsplit(url)
    scheme = parts.scheme
    if scheme not in ("serial", "listen", "tcp", "rfc2217"):
        raise ValueError(f"url {url!r}: must begin with serial://, listen://, tcp:// or rfc2217://")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    baudrate = 9600
    if scheme in ("serial", "rfc2217"):
        baudrate = _parse_baudrate(url, options.pop("baudrate", "9600"))
    if options or parts.fragment or parts.username is not None:
        raise ValueError(f"url {url!r}: unknown option {min(options, default='')!r}")
    if scheme == "serial":
        if parts.netloc or not parts.path.startswith("/") or parts.path == "/":
            raise ValueError(f"url {url!r}: needs a device, as in serial:///dev/ttyUSB0")
        return StreamUrl("serial", path=parts.path, baudrate=baudrate)
    host, port = _parse_address(url)
    if scheme != "listen" and not (host and port):
        raise ValueError(f"url {url!r}: needs a host and a port")
    return StreamUrl(cast("Scheme", scheme), host=host, port=port, baudrate=baudrate)


def _parse_address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    if parts.path not in ("", "/"):
        raise ValueError(f"url {url!r}: must end after the port")
    try:
        port = parts.port
    except ValueError:
        port = None
    if port is None:
        raise ValueError(f"url {url!r}: needs a port from 0 to 65535")
    return parts.hostname or "", port


def _parse_baudrate(url: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) not in _BAUD_RATES:
        raise ValueError(f"url {url!r}: {text!r} is no usual baud rate")
    return int(text)


def parse_peers(
    peers: tuple[str, ...],
) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """Addresses and networks as such.

    Raises:
        ValueError: one of them is none.
    """
    return tuple(ipaddress.ip_network(peer, strict=False) for peer in peers)
