"""What strangers send to the gRPC ports is in the log: as JSON, seldom, and not in their words."""

import contextlib
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.processes import Process, run, wait_until
from tests.support.certificates import Certificates
from tests.support.http2 import PREFACE, raw_frame

TIMES = 120
"""How often each attack is made, within seconds."""

LINES_MAX = 100
"""Lines that an attack may cause in a minute."""

LIMIT_S = 20

SECRET = b"s3cr3t-t0k3n"

DATA, HEADERS, SETTINGS, CONTINUATION = 0, 1, 4, 9
END_STREAM, END_HEADERS = 1, 4


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@contextlib.contextmanager
def serving(
    folder: Path, certificates: Certificates, *, tls: bool
) -> Iterator[tuple[Process, int]]:
    """A frontend that runs, and its port."""
    server = certificates.server()
    text = f"""
        [storage]
        path = "{folder / "drink.db"}"
        [rpc]
        port = 0
        connections.uncalled_interval_s = 1
        connections.uncalled_report_min = 5
        connections.per_address_max = 4096
        connections.opening.pause_max_s = 0
        pace.strangers_busy_per_s = 20
    """
    if tls:
        text += f'tls_certificate = "{server.certificate}"\ntls_key = "{server.key}"\n'
    text += "[sessions]\nlisteners = []\n"
    (folder / "frontend.toml").write_text(text)
    command = ["drink-frontend", f"--config={folder / 'frontend.toml'}"]
    run([*command, "migrate"], folder)
    process = Process("frontend", [*command, "serve"], folder)
    process.start()
    try:
        yield process, process.wait_for("serving")["rpc_port"]
        assert process.stop() == 0
    finally:
        process.kill()


def said(port: int, data: bytes, *, until_end: bool = True) -> None:
    """Connects, sends the bytes, and waits for the end or the first answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as peer:
        try:
            peer.sendall(data)
            while until_end and peer.recv(65_536):
                continue
        except OSError:
            return


def called(port: int, path: bytes = b"/drink.v1.DropService/ListDrops", **extra: bytes) -> None:
    """Makes a call in the bytes of HTTP/2 and waits for its end."""
    fields = {
        b":method": b"POST", b":scheme": b"http", b":path": path, b":authority": b"x",
        b"te": b"trailers", b"content-type": b"application/grpc",
    }  # fmt: skip
    fields |= {name.replace("_", "-").encode(): value for name, value in extra.items()}
    block = b"".join(b"\0" + _string(name) + _string(value) for name, value in fields.items())
    parts = [block[at : at + 16_000] for at in range(0, len(block), 16_000)]
    frames = b"".join(
        raw_frame(CONTINUATION if at else HEADERS, END_HEADERS if part is parts[-1] else 0, 1, part)
        for at, part in enumerate(parts)
    )
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as peer:
        peer.sendall(PREFACE + raw_frame(SETTINGS, 0, 0) + frames)
        peer.sendall(raw_frame(DATA, END_STREAM, 1, bytes(5)))
        answer = b""
        while not _ends(answer):
            if not (data := peer.recv(65_536)):
                return
            answer += data


def _string(text: bytes) -> bytes:
    """A string of HPACK (RFC 7541, 5.2), not compressed."""
    if len(text) < 127:
        return bytes([len(text)]) + text
    left, length = len(text) - 127, bytearray([127])
    while left >= 128:
        length.append(left % 128 + 128)
        left //= 128
    return bytes([*length, left]) + text


def _ends(answer: bytes) -> bool:
    """Whether stream 1, or the connection, has ended."""
    at = 0
    while at + 9 <= len(answer):
        kind, flags = answer[at + 3], answer[at + 4]
        stream = int.from_bytes(answer[at + 5 : at + 9], "big")
        if kind == 7 or (stream == 1 and (kind == 3 or (kind == HEADERS and flags & END_STREAM))):
            return True
        at += 9 + int.from_bytes(answer[at : at + 3], "big")
    return False


def handshake(port: int, **settings: object) -> None:
    """Begins TLS as a client that does not go on with it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for name, value in settings.items():
        setattr(context, name, value)
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as peer:
        try:
            context.wrap_socket(peer, server_hostname="localhost").close()
        except OSError:
            return


ATTACKS: dict[str, Callable[[int], None]] = {
    "token with a no-break space of Latin-1": lambda port: called(
        port, authorization=b"Bearer " + SECRET + b"\xa0"
    ),
    "token with a no-break space of UTF-8": lambda port: called(
        port, authorization=b"Bearer " + SECRET + b"\xc2\xa0"
    ),
    "token that is no text": lambda port: called(
        port, authorization=b"Bearer \xff" + SECRET + b"\xfe"
    ),
    "metadata that is no text": lambda port: called(port, x_odd=SECRET + b"\xff\x1b[2J"),
    "wrong deadline": lambda port: called(port, grpc_timeout=SECRET),
    "wrong compression": lambda port: called(port, grpc_encoding=SECRET),
    "large metadata": lambda port: called(port, x_large=SECRET * 3_000),
    "unknown method": lambda port: called(port, path=b"/" + SECRET + b"/\x1b"),
    "junk": lambda port: said(port, SECRET * 100),
    "HTTP/1": lambda port: said(
        port, b"GET / HTTP/1.1\r\nAuthorization: Bearer " + SECRET + b"\r\n\r\n"
    ),
    "wrong frame": lambda port: said(port, PREFACE + raw_frame(SETTINGS, 0, 0, SECRET[:5])),
    "silence": lambda port: said(port, b"", until_end=False),
}

TLS_ATTACKS: dict[str, Callable[[int], None]] = {
    "junk": ATTACKS["junk"],
    "HTTP/1": ATTACKS["HTTP/1"],
    "certificate not trusted": handshake,
    "too old a version": lambda port: handshake(
        port, maximum_version=ssl.TLSVersion.TLSv1_2, minimum_version=ssl.TLSVersion.TLSv1_2
    ),
    "silence": ATTACKS["silence"],
}


@pytest.mark.parametrize(
    ("tls", "attack"),
    [(False, attack) for attack in ATTACKS] + [(True, attack) for attack in TLS_ATTACKS],
)
def test_an_attack_is_told_seldom_and_in_the_service_s_words(
    tmp_path: Path, certificates: Certificates, tls: bool, attack: str
) -> None:
    with serving(tmp_path, certificates, tls=tls) as (process, port):
        begins = process.log.stat().st_size
        for _ in range(TIMES):
            (TLS_ATTACKS if tls else ATTACKS)[attack](port)
        wait_until(lambda: process.log.stat().st_size > begins, "the attack is told of")
        text = since(process.log, begins)
    lines = [json.loads(line) for line in text.splitlines()]
    assert 1 <= len(lines) <= LINES_MAX, lines[:5]
    assert SECRET.decode() not in text
    assert "\x1b" not in text


def since(log: Path, at: int) -> str:
    with log.open("rb") as file:
        file.seek(at)
        return file.read().decode()
