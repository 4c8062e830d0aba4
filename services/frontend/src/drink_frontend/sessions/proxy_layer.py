"""A connection of a proxy that may say for whom it connects, until it has said so."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import structlog

from drink_frontend.domain.origin import place
from drink_frontend.sessions.listening import ip_address
from drink_frontend.sessions.proxy_header import Forwarded, ProxyHeaderError, read_header
from drink_frontend.sessions.roll import Roll

log = structlog.get_logger(__name__)

PROXIES = "proxies"
"""The place on the roll of connections whose proxy has not said yet for whom they are."""


class ForwardedTransport:
    """A proxy's transport, with the ends of the connection that it forwards.

    It has the interface of `asyncio.Transport` without the class, as uvloop's transports have.

    Args:
        raw: The proxy's transport.
        forwarded: The ends.
    """

    def __init__(self, raw: asyncio.Transport, forwarded: Forwarded) -> None:
        self._raw = raw
        self._facts = {"peername": forwarded.source, "sockname": forwarded.destination}

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As of the proxy's transport, but the ends."""
        return self._facts.get(name) or self._raw.get_extra_info(name, default)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


class ProxyLayer(asyncio.Protocol):
    """Reads the header, and hands the connection to the protocol that is meant.

    It is a member of the roll meanwhile, as a stranger.

    Args:
        roll: All connections.
        make: Makes the protocol of the connection behind the header.
        limit_s: Seconds in which the header has to come.
        full: What is said to a client for whom there is no room.
    """

    _raw: asyncio.Transport

    def __init__(
        self,
        roll: Roll,
        make: Callable[[], asyncio.Protocol],
        *,
        limit_s: float,
        full: bytes,
    ) -> None:
        self._roll = roll
        self._make = make
        self._limit_s = limit_s
        self._full = full
        self._limit: asyncio.TimerHandle | None = None
        self._received = b""

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Waits for the header."""
        self._raw = cast("asyncio.Transport", transport)
        loop = asyncio.get_running_loop()
        self._limit = loop.call_later(self._limit_s, self._refuse, "no PROXY header in time")
        self._roll.enter(self, PROXIES, None, loop.time())

    def data_received(self, data: bytes) -> None:
        """Takes the header, and hands over once it is whole."""
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
        """The proxy has gone before its header was whole."""
        self._leave()

    # What the roll and the server call.

    @property
    def busy(self) -> bool:
        """Never: it waits for the proxy."""
        return False

    @property
    def known(self) -> bool:
        """Nobody has logged in."""
        return False

    def time_out(self) -> None:
        """It has a limit of its own."""

    def make_way(self) -> None:
        """Ends the connection at once."""
        self._raw.abort()

    def finish(self) -> None:
        """Ends the connection: the server stops."""
        self._raw.abort()

    def give_up(self) -> None:
        """Ends the connection: the server stops."""
        self._raw.abort()

    def abort(self) -> None:
        """Ends the connection at once."""
        self._raw.abort()

    # The work.

    def _hand_over(self, forwarded: Forwarded | None, rest: bytes) -> None:
        transport = self._raw
        if forwarded is not None:
            transport = cast("asyncio.Transport", ForwardedTransport(self._raw, forwarded))
        if not self._roll.make_room(place(ip_address(transport.get_extra_info("peername")))):
            log.warning("session_turned_away", sessions=len(self._roll))
            self._raw.write(self._full)
            self._raw.close()
            return
        protocol = self._make()
        self._raw.set_protocol(protocol)
        protocol.connection_made(transport)
        if rest:
            protocol.data_received(rest)

    def _refuse(self, why: str) -> None:
        proxy = ip_address(self._raw.get_extra_info("peername"))
        log.warning("session_proxy_refused", proxy=proxy, detail=why)
        self._raw.abort()

    def _leave(self) -> None:
        self._roll.forget(self)
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
