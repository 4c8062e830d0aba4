"""A connection from a proxy, until its PROXY header has arrived."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import structlog

from drink_frontend.domain.origin import place
from drink_frontend.sessions.connection_tracker import ConnectionTracker
from drink_frontend.sessions.proxy_header import Forwarded, ProxyHeaderError, read_header
from drink_frontend.system.sockets import endpoint_address

log = structlog.get_logger(__name__)

PROXIES = "proxies"
"""Place of connections whose header has not arrived: their clients are not known yet."""


class ForwardedTransport:
    """A proxy's transport, with the endpoints of the connection that the proxy forwards.

    It has the interface of `asyncio.Transport` without the class, as uvloop's transports do.

    Args:
        raw: The proxy's transport.
        forwarded: The endpoints.
    """

    def __init__(self, raw: asyncio.Transport, forwarded: Forwarded) -> None:
        self._raw = raw
        self._facts = {"peername": forwarded.source, "sockname": forwarded.destination}

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The value of the proxy's transport, except for the endpoints."""
        return self._facts.get(name) or self._raw.get_extra_info(name, default)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


class ProxyLayer(asyncio.Protocol):
    """Reads the header, then passes the connection to the protocol of the listener.

    Until then it is tracked as a connection without a login.

    Args:
        tracker: All connections.
        make: Makes the protocol behind the header.
        limit_s: Seconds in which the header must arrive.
        full: Last line for a client past the limit of connections.

    Attributes:
        active_at: When the proxy connected, in seconds of the loop's clock.
    """

    _raw: asyncio.Transport
    active_at: float

    def __init__(
        self,
        tracker: ConnectionTracker,
        make: Callable[[], asyncio.Protocol],
        *,
        limit_s: float,
        full: bytes,
    ) -> None:
        self._tracker = tracker
        self._make = make
        self._limit_s = limit_s
        self._full = full
        self._limit: asyncio.TimerHandle | None = None
        self._received = b""

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins the wait for the header."""
        self._raw = cast("asyncio.Transport", transport)
        loop = asyncio.get_running_loop()
        self._limit = loop.call_later(self._limit_s, self._refuse, "no PROXY header in time")
        self._tracker.add(self, PROXIES, None, loop.time())

    def data_received(self, data: bytes) -> None:
        """Collects the header; passes the connection on once it is complete."""
        if self._raw.is_closing():
            return
        self._received += data
        try:
            header = read_header(self._received)
        except ProxyHeaderError as error:
            self._refuse(str(error))
            return
        if header is not None:
            self._leave()
            self._hand_over(header.forwarded, self._received[header.size :])

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The proxy closed the connection before its header was complete."""
        self._leave()

    # Called by the tracker and the server.

    @property
    def busy(self) -> bool:
        """False: it only waits."""
        return False

    @property
    def has_logged_in(self) -> bool:
        """False: no line has been executed."""
        return False

    @property
    def buffered_bytes(self) -> int:
        """Bytes of the incomplete header."""
        return len(self._received)

    def time_out(self) -> None:
        """Does nothing: `limit_s` ends the wait."""

    def abort(self) -> None:
        """Ends the connection at once."""
        self._raw.abort()

    make_way = cut_off = finish = give_up = abort

    # The header.

    def _hand_over(self, forwarded: Forwarded | None, rest: bytes) -> None:
        transport = self._raw
        if forwarded is not None:
            transport = cast("asyncio.Transport", ForwardedTransport(self._raw, forwarded))
        if not self._tracker.make_room(
            place(endpoint_address(transport.get_extra_info("peername")))
        ):
            log.warning("session_turned_away", sessions=len(self._tracker))
            self._raw.write(self._full)
            self._raw.close()
            return
        protocol = self._make()
        self._raw.set_protocol(protocol)
        protocol.connection_made(transport)
        if rest:
            protocol.data_received(rest)

    def _refuse(self, why: str) -> None:
        proxy = endpoint_address(self._raw.get_extra_info("peername"))
        log.warning("session_proxy_refused", proxy=proxy, detail=why)
        self._raw.abort()

    def _leave(self) -> None:
        self._tracker.remove(self)
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
