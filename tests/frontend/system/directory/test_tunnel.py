"""Encrypted connections whose plain end is handed out, and what never becomes one."""

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drink_frontend.system.directory.settings import LdapSettings
from drink_frontend.system.directory.tunnel import START_TLS, TunnelError, open_tunnel
from tests.support.certificates import Certificates, Files
from tests.support.directory import SilentServer

ACCEPTED = bytes.fromhex("300c02010178070a010004000400")
REFUSED = bytes.fromhex("300c02010178070a013404000400")


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "tls")


def settings(port: int, scheme: str = "ldap", **changes: Any) -> LdapSettings:
    """Settings that are not checked, so that python-ldap is not needed."""
    values = {"url": f"{scheme}://127.0.0.1:{port}", "connect_limit_s": 2.0, **changes}
    return LdapSettings.model_construct(**{**LdapSettings().model_dump(), **values})


@contextlib.contextmanager
def serving(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server for one connection; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                peer, _ = listener.accept()
                with peer:
                    behave(peer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(30)
            assert not thread.is_alive()


def echo(files: Files, *, start_tls: bool) -> Callable[[socket.socket], None]:
    """Encrypts, and says everything back until the other end closes."""

    def behave(peer: socket.socket) -> None:
        if start_tls:
            assert peer.recv(100) == START_TLS
            # In pieces, as a network may deliver it.
            peer.sendall(ACCEPTED[:1])
            peer.sendall(ACCEPTED[1:])
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(files.certificate, files.key)
        with context.wrap_socket(peer, server_side=True) as channel:
            while data := channel.recv(65_536):
                channel.sendall(data)

    return behave


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
def test_bytes_pass_both_ways(certificates: Certificates, scheme: str) -> None:
    behave = echo(certificates.server(), start_tls=scheme == "ldap")
    with serving(behave) as port:
        descriptor = open_tunnel(settings(port, scheme, ca_file=certificates.ca), 60)
        with socket.socket(fileno=descriptor) as plain:
            plain.settimeout(30)
            sent = os.urandom(300_000)
            for start in range(0, len(sent), 30_000):
                plain.sendall(sent[start : start + 30_000])
                back = b""
                while len(back) < 30_000:
                    back += plain.recv(65_536)
                assert back == sent[start : start + 30_000]


def test_an_end_that_closes_closes_the_other(certificates: Certificates) -> None:
    def behave(peer: socket.socket) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        files = certificates.server()
        context.load_cert_chain(files.certificate, files.key)
        context.wrap_socket(peer, server_side=True).close()

    with serving(behave) as port:
        descriptor = open_tunnel(settings(port, "ldaps", ca_file=certificates.ca), 60)
        with socket.socket(fileno=descriptor) as plain:
            plain.settimeout(30)
            assert plain.recv(1) == b""


def test_it_ends_with_its_time(certificates: Certificates) -> None:
    with serving(echo(certificates.server(), start_tls=False)) as port:
        descriptor = open_tunnel(settings(port, "ldaps", ca_file=certificates.ca), 0.2)
        with socket.socket(fileno=descriptor) as plain:
            plain.settimeout(30)
            assert plain.recv(1) == b""


@pytest.mark.parametrize(
    "answer",
    [b"", REFUSED, b"\x30\x84" + bytes(90), b"HTTP/1.1 400\r\n", ACCEPTED[:5], bytes(10_000)],
)
def test_an_answer_that_does_not_accept_is_an_end(
    certificates: Certificates, answer: bytes
) -> None:
    def behave(peer: socket.socket) -> None:
        peer.recv(100)
        peer.sendall(answer)

    with serving(behave) as port, pytest.raises(TunnelError):
        open_tunnel(settings(port, ca_file=certificates.ca), 60)


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
def test_silence_is_an_end(scheme: str) -> None:
    with SilentServer() as server, pytest.raises(TunnelError):
        open_tunnel(settings(server.port, scheme, connect_limit_s=0.1), 60)


def test_silence_in_the_handshake_is_an_end() -> None:
    def behave(peer: socket.socket) -> None:
        peer.recv(100)
        peer.sendall(ACCEPTED)
        while peer.recv(1_000):
            pass

    with serving(behave) as port, pytest.raises(TunnelError):
        open_tunnel(settings(port, connect_limit_s=0.1), 60)


def test_certificates_that_do_not_fit_are_an_end(
    certificates: Certificates, tmp_path: Path
) -> None:
    other = certificates.server("ldap.example.org", file="other")
    for files, ca in (
        (other, certificates.ca),
        (certificates.server(), Certificates(tmp_path / "others").ca),
    ):

        def behave(peer: socket.socket, files: Files = files) -> None:
            with contextlib.suppress(OSError):
                echo(files, start_tls=False)(peer)

        with serving(behave) as port, pytest.raises(TunnelError, match="certificate"):
            open_tunnel(settings(port, "ldaps", ca_file=ca), 60)


def test_nobody_listens_or_the_authority_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TunnelError):
        open_tunnel(settings(1), 60)
    with pytest.raises(TunnelError):
        open_tunnel(settings(1, ca_file=tmp_path / "none"), 60)


def test_without_encryption_it_is_the_connection_itself() -> None:
    def behave(peer: socket.socket) -> None:
        peer.sendall(peer.recv(100))

    with serving(behave) as port:
        plain = socket.socket(fileno=open_tunnel(settings(port, start_tls=False), 60))
        with plain:
            assert plain.gettimeout() is None
            plain.sendall(b"hello")
            assert plain.recv(100) == b"hello"
