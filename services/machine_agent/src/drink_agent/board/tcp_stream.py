"""TCP connections to boards: boards that dial in, and serial servers that the agent dials."""

import asyncio
import contextlib
import ipaddress
import logging
import os
import re
import socket
from typing import Final

from drink_agent.board.drivers.tini_codec import LoginGate, LoginRefused, LoginVerdict, encode
from drink_agent.board.settings import BoardSettings
from drink_agent.board.streams import (
    READ_BYTES,
    StreamError,
    StreamLostError,
    StreamUrl,
    parse_peers,
)

_CONNECT_LIMIT_S: Final = 10.0
"""Longest connection attempt in seconds: three lost packets on a slow line."""

_MAX_UNSENT_BYTES: Final = 4096
"""Most bytes that wait for a board that does not read; then it counts as lost. A line takes 5."""

_MAX_STRANGERS: Final = 8
"""Most connections without a login; one board needs one."""

_KEEPALIVE_IDLE_S: Final = 30
"""Seconds without traffic until the kernel probes the connection. The firmware sends a line every
60 s, and a dead connection should be detected before the next drop."""

_KEEPALIVE_TRIES: Final = 3
"""Unanswered probes, 10 s apart, until the connection counts as dead."""

_log: Final = logging.getLogger(__name__)


class TcpStream:
    """An open connection.

    Args:
        reader: Its incoming bytes.
        writer: Its outgoing bytes.
        held: Bytes that were received before, to be read first.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, held: bytes = b""
    ) -> None:
        address = writer.get_extra_info("peername") or ("?", 0)
        self.peer = f"{address[0]} port {address[1]}"
        self._reader = reader
        self._writer = writer
        self._held = held
        self._end_reason = "closed by the board"

    async def read(self) -> bytes:
        """Waits for bytes and returns them.

        Raises:
            StreamLostError: The connection has ended.
        """
        if self._held:
            data, self._held = self._held[:READ_BYTES], self._held[READ_BYTES:]
            return data
        try:
            data = await self._reader.read(READ_BYTES)
        except OSError as error:
            raise StreamLostError(f"{self.peer}: {error}") from None
        if not data:
            raise StreamLostError(f"{self.peer}: {self._end_reason}")
        return data

    def write(self, data: bytes) -> None:
        """Sends bytes.

        Raises:
            StreamLostError: The connection has ended, or the board does not read.
        """
        transport = self._writer.transport
        if transport.is_closing():
            raise StreamLostError(f"{self.peer}: {self._end_reason}", unsent=True)
        if transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            raise StreamLostError(f"{self.peer}: does not read", unsent=True)
        self._writer.write(data)

    async def close(self) -> None:
        """Sends the bytes that the board accepts now, and closes the connection."""
        self.hang_up(self._end_reason)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                await self._writer.wait_closed()

    def hang_up(self, reason: str) -> None:
        """Ends the connection; `read` then raises StreamLostError with the reason."""
        self._end_reason = reason
        if self._writer.transport.get_write_buffer_size() > 0:
            self._writer.transport.abort()
        else:
            self._writer.close()


class DialSource:
    """Dials a serial server or a board that listens."""

    passive: Final = False

    def __init__(self, url: StreamUrl) -> None:
        self._url = url

    async def open(self) -> TcpStream:
        """Opens a connection.

        Raises:
            StreamError: The connection could not be opened.
        """
        where = f"{self._url.host} port {self._url.port}"
        try:
            async with asyncio.timeout(_CONNECT_LIMIT_S):
                reader, writer = await asyncio.open_connection(self._url.host, self._url.port)
        except TimeoutError:
            raise StreamError(f"{where}: no answer") from None
        except (OSError, ValueError) as error:  # ValueError: an invalid host name
            reason, number = _reason(error)
            raise StreamError(f"{where}: {reason}", errno=number) from None
        _watch(writer)
        return TcpStream(reader, writer)

    async def close(self) -> None:
        """Nothing is held between two streams."""


class ListenSource:
    """Listens for the board, which dials in.

    A second connection replaces the first one, which may be dead without notice, but only after its
    login. So a connection without the password disturbs nothing.
    """

    passive: Final = True

    def __init__(self, url: StreamUrl, settings: BoardSettings) -> None:
        self._url = url
        self._settings = settings
        self._allowed_peers = parse_peers(settings.allowed_peers)
        self._server: asyncio.Server | None = None
        self._admitted: TcpStream | None = None
        self._current: TcpStream | None = None
        self._arrived = asyncio.Event()
        self._strangers: set[TcpStream] = set()
        self._all_gone = asyncio.Event()
        self.listening = asyncio.Event()
        """Set when the port is open."""

    @property
    def port(self) -> int | None:
        """The port, for a URL with port 0; None before `open`."""
        return self._server.sockets[0].getsockname()[1] if self._server else None

    async def open(self) -> TcpStream:
        """Waits for the next connection with a login.

        Raises:
            StreamError: The agent cannot listen on the port.
        """
        if self._server is None:
            try:
                self._server = await asyncio.start_server(
                    self._on_connection, self._url.host or None, self._url.port
                )
            except (OSError, ValueError) as error:
                reason, number = _reason(error)
                raise StreamError(
                    f"cannot listen on port {self._url.port}: {reason}",
                    errno=number,
                ) from None
            self.listening.set()
        while self._admitted is None:
            self._arrived.clear()
            await self._arrived.wait()
        self._current, self._admitted = self._admitted, None
        return self._current

    async def close(self) -> None:
        """Stops listening, and ends all connections but the stream in use."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for stranger in self._strangers:
            stranger.hang_up("shutting down")
        while self._strangers:
            self._all_gone.clear()
            await self._all_gone.wait()
        if self._admitted is not None:
            await self._admitted.close()
            self._admitted = None

    async def _on_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        stranger = TcpStream(reader, writer)
        if not self._is_allowed(writer):
            await self._turn_away(stranger, "its address is not allowed")
        elif len(self._strangers) >= _MAX_STRANGERS:
            await self._turn_away(stranger, "too many connections that have not logged in")
        else:
            self._strangers.add(stranger)
            try:
                await self._admit(stranger, reader, writer)
            finally:
                self._strangers.discard(stranger)
                self._all_gone.set()

    def _is_allowed(self, writer: asyncio.StreamWriter) -> bool:
        peer = writer.get_extra_info("peername")
        if peer is None:  # disconnected already
            return False
        address = ipaddress.ip_address(peer[0].partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        return not self._allowed_peers or any(
            (mapped or address) in network for network in self._allowed_peers
        )

    async def _admit(
        self, stranger: TcpStream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        gate = LoginGate(self._settings.password, self._settings.max_line_bytes)
        verdict = LoginVerdict.UNDECIDED
        try:
            async with asyncio.timeout(self._settings.login_limit_s):
                while verdict is LoginVerdict.UNDECIDED:
                    verdict = gate.feed(await stranger.read())
        except (TimeoutError, StreamLostError):
            await self._turn_away(stranger, "no login")
            return
        if verdict is LoginVerdict.REFUSED:
            with contextlib.suppress(StreamLostError):
                stranger.write(encode(LoginRefused()))
            await self._turn_away(stranger, "wrong password")
            return
        _watch(writer)
        _log.info("board_logged_in", extra={"peer": stranger.peer})
        for replaced in (self._current, self._admitted):
            if replaced is not None:
                replaced.hang_up(f"replaced by a new connection from {stranger.peer}")
        self._current = None
        self._admitted = TcpStream(reader, writer, bytes(gate.held))
        self._arrived.set()

    async def _turn_away(self, stranger: TcpStream, reason: str) -> None:
        _log.warning("stranger_turned_away", extra={"peer": stranger.peer, "reason": reason})
        await stranger.close()


def _reason(error: OSError | ValueError) -> tuple[str, int | None]:
    """Returns the system's text and error number of an error.

    If a name has several addresses, asyncio joins their errors in one text without a number.
    """
    numbers = {int(each) for each in re.findall(r"\[Errno (\d+)\]", str(error))}
    if len(numbers) == 1:
        number = numbers.pop()
        return os.strerror(number), number
    if isinstance(error, OSError):
        return error.strerror or str(error), error.errno
    return str(error), None


def _watch(writer: asyncio.StreamWriter) -> None:
    """Makes the kernel detect a peer that disappears without closing the connection."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_IDLE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEPALIVE_TRIES)
