"""The interfaces of byte streams to a board, and the URLs of boards."""

import ipaddress
from dataclasses import dataclass
from typing import Final, Literal, Protocol, cast
from urllib.parse import parse_qsl, urlsplit

READ_BYTES: Final = 4096
"""Most bytes that one read returns: ten full statuses."""

_BAUD_RATES: Final = frozenset(
    (300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400)
)

Scheme = Literal["serial", "listen", "tcp", "rfc2217"]


class StreamError(Exception):
    """A stream cannot be opened at present.

    Args:
        reason: The reason, for the log.
        errno: The system's error number, such as ENOENT; None if the system gave none.
    """

    def __init__(self, reason: str, *, errno: int | None = None) -> None:
        super().__init__(reason)
        self.errno = errno


class StreamLostError(Exception):
    """An open stream has ended."""

    def __init__(self, reason: str, *, unsent: bool = False) -> None:
        super().__init__(reason)
        self.unsent = unsent
        """Whether no byte of the last write can have reached the board."""


class ByteStream(Protocol):
    """An open stream, to be used on the event loop only."""

    @property
    def peer(self) -> str:
        """Address or device of the board, for the log."""

    async def read(self) -> bytes:
        """Waits for bytes and returns 1 to `READ_BYTES` of them.

        Raises:
            StreamLostError: The stream has ended.
        """

    def write(self, data: bytes) -> None:
        """Sends bytes in order, without waiting; a later failure is raised by `read`.

        Raises:
            StreamLostError: The stream has ended, and none of these bytes were sent.
        """

    def hang_up(self, reason: str) -> None:
        """Ends the stream; `read` then raises StreamLostError with the reason."""

    async def close(self) -> None:
        """Sends the written bytes as far as possible at once, and waits for the stream's end."""


class StreamSource(Protocol):
    """Opens streams to one board, one after the other."""

    @property
    def passive(self) -> bool:
        """Whether the board dials in, so that the agent does not back off."""

    async def open(self) -> ByteStream:
        """Opens the next stream, or waits for a board that dials in. Cancellable.

        Raises:
            StreamError: The stream cannot be opened at present.
        """

    async def close(self) -> None:
        """Stops listening, if the board dials in."""


@dataclass(frozen=True, slots=True)
class StreamUrl:
    """The parts of a board's URL."""

    scheme: Scheme
    """Type of the connection."""
    host: str = ""
    """Host of `listen:`, `tcp:` and `rfc2217:`; empty listens on every address."""
    port: int = 0
    """Port; 0 lets `listen:` take any."""
    path: str = ""
    """Device of `serial:`."""
    baudrate: int = 9600
    """Symbols per second of `serial:` and `rfc2217:`. Default 9600, usual for small boards."""


def parse_url(url: str) -> StreamUrl:
    """Parses a board's URL.

    Raises:
        ValueError: The URL is invalid; the message names the problem.
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
    """Parses IP addresses and networks.

    Raises:
        ValueError: One of them is invalid.
    """
    return tuple(ipaddress.ip_network(peer, strict=False) for peer in peers)
