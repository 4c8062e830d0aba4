"""TLS of session listeners: the renewable certificate, and the layer below each connection.

asyncio's TLS transports close as soon as the client's close_notify arrives, and every reply that is
still being made is lost. TLS 1.3 allows each side to close on its own (RFC 8446, 6.1), and clients
such as socat send everything, close their side and then read to the end.
"""

import asyncio
import ssl
from pathlib import Path
from typing import Any, cast

import structlog

from drink_frontend.sessions.connection import Connection
from drink_frontend.system.certificate import CertificateFiles

log = structlog.get_logger(__name__)

READ_BYTES_MAX = 65_536
"""Bytes decrypted at once; four records of the largest size."""


class Certificate:
    """A TLS context whose handshakes use the newest certificate.

    Args:
        chain: PEM file with the certificate chain, the server's own certificate first.
        key: PEM file with the private key.

    Attributes:
        context: The context that a listener uses.

    Raises:
        OSError: a file cannot be read, or the key is not the certificate's (ssl.SSLError).
    """

    def __init__(self, chain: Path, key: Path) -> None:
        self._files = CertificateFiles(_context, chain, key)
        self.context = _context(chain, key)
        # Called early in every handshake, with or without a server name.
        self.context.sni_callback = self._use_current

    def refresh(self) -> bool:
        """Loads the files if they have changed; blocks on the disk.

        Returns:
            Whether there is a new certificate.
        """
        return self._files.renewed() is not None

    def _use_current(
        self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _context: ssl.SSLContext
    ) -> None:
        connection.context = self._files.current


def _context(chain: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Before TLS 1.3 a client could request handshakes, the most expensive operation, without end.
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.load_cert_chain(chain, key)
    return context


class TlsLayer(asyncio.Protocol, asyncio.Transport):
    """The protocol of a socket's transport, and the transport of its connection.

    Args:
        context: TLS context of the listener.
        connection: The connection above the layer.
        handshake_limit_s: Most seconds of the handshake.
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
        self._close_sent = False

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins the handshake."""
        # uvloop's transports have the interface without the class.
        self._raw = cast("asyncio.Transport", transport)
        loop = asyncio.get_running_loop()
        self._handshake_limit = loop.call_later(self._handshake_limit_s, self._raw.abort)
        self._connection.connection_begun(self)

    def data_received(self, data: bytes) -> None:
        """Decrypts bytes of the client."""
        if self._close_sent or self._peer_closed:
            return
        self._incoming.write(data)
        self._advance()

    def eof_received(self) -> bool:
        """The client's system has closed its side, with or without a close_notify before it."""
        if self._close_sent or not self._established:
            return False
        if not self._peer_closed:
            # Not passed to OpenSSL, which would refuse to encrypt any further reply.
            self._truncated = True
            self._end_reading()
        return True

    def pause_writing(self) -> None:
        """Passes the signal to the connection, once it exists."""
        if self._established:
            self._connection.pause_writing()

    def resume_writing(self) -> None:
        """Passes the signal to the connection, once it exists."""
        if self._established:
            self._connection.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self._end_handshake()
        self._connection.connection_lost(exc)

    # Called by the connection.

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The values of the socket's transport, and two more.

        `truncated`: whether the client ended without close_notify. `undecrypted`: number of bytes
        received and not yet decrypted.
        """
        if name == "truncated":
            return self._truncated
        if name == "undecrypted":
            return self._incoming.pending
        return self._raw.get_extra_info(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Sets the limits of the socket's transport."""
        self._raw.set_write_buffer_limits(high=high, low=low)

    def get_write_buffer_size(self) -> int:
        """Bytes that the client has not received yet."""
        return self._raw.get_write_buffer_size()

    def pause_reading(self) -> None:
        """Stops passing bytes to the connection."""
        self._reading = False
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Passes bytes to the connection again."""
        self._reading = True
        self._raw.resume_reading()
        # Received bytes may wait for decryption; the caller does not expect them in this call.
        asyncio.get_running_loop().call_soon(self._advance)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypts and sends."""
        if self._close_sent or self._raw.is_closing():
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
        """Sends close_notify and ends the server's side."""
        self._send_close()
        self._raw.write_eof()

    def is_closing(self) -> bool:
        """Whether it is closed or closing."""
        return self._raw.is_closing()

    def close(self) -> None:
        """Ends the connection after all written bytes are sent."""
        self._send_close()
        self._raw.close()

    def abort(self) -> None:
        """Ends the connection at once."""
        self._raw.abort()

    # TLS.

    def _advance(self) -> None:
        if self._raw.is_closing() or self._close_sent:
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
        while self._reading and not (self._close_sent or self._peer_closed):
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

    def _send_close(self) -> None:
        if self._close_sent:
            return
        self._close_sent = True
        if not self._established:
            return
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            # OpenSSL would also wait for the client's close_notify, which the server does not need.
            log.debug("tls_close_not_awaited")
        self._flush()

    def _end_handshake(self) -> None:
        if self._handshake_limit is not None:
            self._handshake_limit.cancel()
            self._handshake_limit = None

    def _break(self, error: ssl.SSLError) -> None:
        # Other bytes than a handshake, or a modified record.
        log.debug("session_tls_broken", error=type(error).__name__)
        self._close_sent = True
        self._raw.close()
