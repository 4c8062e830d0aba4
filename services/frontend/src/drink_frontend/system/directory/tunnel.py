"""Connects to a directory, encrypted by Python's TLS, and hands the plain end to the LDAP library.

The library's own TLS handshake has no limit of time: a server that accepts a connection and then
says nothing would hold its thread for ever (libldap 2.5 with GnuTLS, `ldaps` and StartTLS alike).
"""

import contextlib
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from drink_frontend.system.directory.settings import LdapSettings

START_TLS = bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037"
"""The request for encryption (RFC 4511, 4.14.1), as the first message of a connection."""

START_TLS_ANSWER = 0x78
"""Tag of its answer: an extended response."""

ANSWER_MAX = 4_096
"""Bytes of the longest answer to it that is read."""

CHUNK = 65_536
"""Bytes that are moved at a time."""

PORTS = {"ldap": 389, "ldaps": 636}


class TunnelError(Exception):
    """There is no connection, or no encrypted one."""


def open_tunnel(settings: LdapSettings, limit_s: float) -> int:
    """Connects, and returns the descriptor of a socket with plain LDAP; the caller closes it.

    Args:
        settings: Where and how; with `url`.
        limit_s: Seconds after which an encrypted connection ends in any case.

    Raises:
        TunnelError: the directory cannot be reached, is too slow, refuses encryption, or its
            certificate does not fit.
    """
    parts = urlsplit(settings.url or "")
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        raw = socket.create_connection((host, port), settings.connect_limit_s)
    except OSError as error:
        raise TunnelError(_told(error)) from error
    try:
        if not settings.is_encrypted:
            raw.settimeout(None)
            return raw.detach()
        if parts.scheme == "ldap":
            _start_tls(raw)
        channel = context.wrap_socket(raw, server_hostname=host)
        ours, theirs = socket.socketpair()
    except (OSError, ValueError) as error:
        raise TunnelError(_told(error)) from error
    finally:
        # What was detached or wrapped is another object's by now.
        raw.close()
    threading.Thread(
        target=_move,
        args=(channel, ours, settings.connect_limit_s, time.monotonic() + limit_s),
        name="tunnel",
        daemon=True,
    ).start()
    return theirs.detach()


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]


def _start_tls(raw: socket.socket) -> None:
    """Asks for encryption.

    Raises:
        OSError: the directory does not answer, or refuses.
    """
    raw.sendall(START_TLS)
    answer = b""
    while len(answer) < 2 or len(answer) < 2 + answer[1]:
        data = raw.recv(ANSWER_MAX)
        if not data or len(answer) + len(data) > ANSWER_MAX or (answer + data)[0] != 0x30:
            raise ConnectionError("no answer to StartTLS")
        answer += data
        if len(answer) > 1 and answer[1] > 127:
            raise ConnectionError("StartTLS was refused")
    # A message: sequence, message id 1, extended response, enumerated result code.
    number, tag, code = answer[2:5], answer[5:6], answer[7:10]
    if (number, tag, code) != (b"\x02\x01\x01", bytes([START_TLS_ANSWER]), b"\x0a\x01\x00"):
        raise ConnectionError("StartTLS was refused")


def _move(channel: ssl.SSLSocket, ours: socket.socket, limit_s: float, ends: float) -> None:
    """Moves bytes both ways until an end closes, takes none for `limit_s`, or time is over."""
    with channel, ours, selectors.DefaultSelector() as selector, contextlib.suppress(OSError):
        for each in (channel, ours):
            selector.register(each, selectors.EVENT_READ)
        for ready in _readable(selector, channel, ends):
            ready.setblocking(False)
            try:
                data = ready.recv(CHUNK)
            except ssl.SSLWantReadError:
                # It was no data, such as a ticket for the next session.
                continue
            if not data:
                return
            other = ours if ready is channel else channel
            other.settimeout(limit_s)
            other.sendall(data)


def _readable(
    selector: selectors.BaseSelector, channel: ssl.SSLSocket, ends: float
) -> Iterator[socket.socket]:
    """The sockets with something to read, one after another, until time is over."""
    while (left_s := ends - time.monotonic()) > 0:
        if channel.pending():
            yield channel
            continue
        for key, _ in selector.select(left_s):
            assert isinstance(key.fileobj, socket.socket)
            yield key.fileobj
