"""TLS between a socket and a connection, which may answer after its client has closed its side.

asyncio's TLS transports close as soon as the client's close_notify arrives, and with it every reply
that is still being made is lost. TLS 1.3 lets each side close on its own (RFC 8446, 6.1), and
clients such as socat send all they have, close their side and then read to the end.
"""

import asyncio
import ssl
from typing import Any, cast

import structlog

from drink_frontend.sessions.connection import Connection

log = structlog.get_logger(__name__)

READ_BYTES_MAX = 65_536
"""Bytes decrypted at once; four records of the largest size."""


class TlsLayer(asyncio.Protocol, asyncio.Transport):
    """The protocol of a socket's transport, and the transport of its connection.

    Args:
        context: What to serve with.
        connection: Whom it is for.
        handshake_limit_s: Seconds that the handshake may take.
    """

    _raw: asyncio.Transport

    def __init__(
        self, context: ssl.SSLContext, connection: Connection, handshake_limit_s: float
    ) -> None:
        super().__init__()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._connection = connection
        self._handshake_limit_s = handshake_limit_s
        self._handshake_limit: asyncio.TimerHandle | None = None
        self._established = False
        self._reading = True
        self._peer_closed = False
        self._truncated = False
        self._said_close = False

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Waits for the handshake."""
        # uvloop's transports have the interface without the class.
        self._raw = cast("asyncio.Transport", transport)
        loop = asyncio.get_running_loop()
        self._handshake_limit = loop.call_later(self._handshake_limit_s, self._raw.abort)
        self._connection.connection_begun(self)

    def data_received(self, data: bytes) -> None:
        """Decrypts what the client sends."""
        if self._said_close or self._peer_closed:
            return
        self._incoming.write(data)
        self._advance()

    def eof_received(self) -> bool:
        """The client's system has closed its side, with or without a close_notify before it."""
        if self._said_close or not self._established:
            return False
        if not self._peer_closed:
            # Not told to OpenSSL, which would refuse to encrypt any further reply.
            self._truncated = True
            self._end_reading()
        return True

    def pause_writing(self) -> None:
        """The client leaves too much unread."""
        if self._established:
            self._connection.pause_writing()

    def resume_writing(self) -> None:
        """The client reads again."""
        if self._established:
            self._connection.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self._end_handshake()
        self._connection.connection_lost(exc)

    # What the connection calls.

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As of the socket's transport.

        And `truncated`: whether the client ended without close_notify; `undecrypted`: bytes that
        have come and not been looked at.
        """
        if name == "truncated":
            return self._truncated
        if name == "undecrypted":
            return self._incoming.pending
        return self._raw.get_extra_info(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """As the socket's transport."""
        self._raw.set_write_buffer_limits(high=high, low=low)

    def get_write_buffer_size(self) -> int:
        """Bytes that the client has not taken yet."""
        return self._raw.get_write_buffer_size()

    def pause_reading(self) -> None:
        """Gives the connection nothing more for now."""
        self._reading = False
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Gives the connection what the client sends again."""
        self._reading = True
        self._raw.resume_reading()
        # Some may have been decrypted only in part; the caller is not ready for it in this call.
        asyncio.get_running_loop().call_soon(self._advance)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypts and sends."""
        if self._said_close or self._raw.is_closing():
            return
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            self._break(error)
            return
        self._flush()

    def can_write_eof(self) -> bool:
        """Always: close_notify ends one side."""
        return True

    def write_eof(self) -> None:
        """Tells the client that nothing more will come."""
        self._say_close()
        self._raw.write_eof()

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._raw.is_closing()

    def close(self) -> None:
        """Ends the connection after everything that was written."""
        self._say_close()
        self._raw.close()

    def abort(self) -> None:
        """Ends the connection at once."""
        self._raw.abort()

    # The work.

    def _advance(self) -> None:
        if self._raw.is_closing() or self._said_close:
            return
        try:
            if not self._established:
                self._tls.do_handshake()
                self._flush()
                self._end_handshake()
                self._established = True
                self._connection.connection_made(self)
            self._read()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self._flush()
            self._break(error)

    def _read(self) -> None:
        while self._reading and not (self._said_close or self._peer_closed):
            if self._raw.is_closing():
                return
            try:
                data = self._tls.read(READ_BYTES_MAX)
            except ssl.SSLZeroReturnError:
                data = b""
            self._flush()
            if data:
                self._connection.data_received(data)
            else:
                self._end_reading()

    def _end_reading(self) -> None:
        self._peer_closed = True
        if not self._connection.eof_received():
            self.close()

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._raw.write(data)

    def _say_close(self) -> None:
        if self._said_close:
            return
        self._said_close = True
        if not self._established:
            return
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            # It would also wait for the client's close_notify, for which nobody here waits.
            log.debug("tls_close_not_awaited")
        self._flush()

    def _end_handshake(self) -> None:
        if self._handshake_limit is not None:
            self._handshake_limit.cancel()
            self._handshake_limit = None

    def _break(self, error: ssl.SSLError) -> None:
        # Junk instead of a handshake, or a record that was tampered with.
        log.debug("session_tls_broken", error=type(error).__name__)
        self._said_close = True
        self._raw.close()
