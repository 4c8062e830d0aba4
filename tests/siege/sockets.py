"""Attacks of strangers who connect, and then do nothing or send what nobody speaks."""

import asyncio
import contextlib
import itertools
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tests.siege.attacks import BOTH, STRANGER, Needs, Siege, attack
from tests.siege.calls import stalled_calls
from tests.support.http2 import PREFACE

IDLE = 10_000
"""Sockets that are opened and left alone."""

OPENED_PER_S = 500
"""How fast they are opened, and opened again once they are closed. Against more new connections a
second a gate is needed, which docs/security.md says."""

CONNECTING = 5_000
"""Attempts that may be under way at a time: more than begin in the time after which one is given
up, so that a system that answers none of them does not slow the attacker down."""

PIECE = bytes(65_536)


@asynccontextmanager
async def _silent(
    siege: Siege, ports: Sequence[int], count: int, first: bytes
) -> AsyncIterator[None]:
    """So many connections that send a few bytes and are then kept, and opened again when closed."""
    held: set[socket.socket] = set()
    attempts: set[asyncio.Task[None]] = set()
    turn = itertools.cycle(ports)

    async def connect(port: int) -> None:
        try:
            made = await siege.socket(port)
        except (OSError, TimeoutError):
            siege.counts["refused"] += 1
            return
        held.add(made)
        with contextlib.suppress(OSError):
            made.send(first)

    async def keep_connecting() -> None:
        async for due in siege.paced(OPENED_PER_S):
            for _ in range(min(due, count - len(held), CONNECTING - len(attempts))):
                attempt = asyncio.create_task(connect(next(turn)))
                attempts.add(attempt)
                attempt.add_done_callback(attempts.discard)

    async def keep_looking() -> None:
        """Finds those that the system has closed."""
        while True:
            for each in list(held):
                with contextlib.suppress(BlockingIOError):
                    try:
                        if each.recv(4096):
                            continue
                    except ConnectionError:
                        pass
                    siege.counts["closed"] += 1
                    held.discard(each)
                    each.close()
            siege.counts["held"] = max(siege.counts["held"], len(held))
            await asyncio.sleep(1)

    work = [asyncio.create_task(keep_connecting()), asyncio.create_task(keep_looking())]
    try:
        yield
    finally:
        siege.counts["unanswered"] = len(attempts)
        for task in (*work, *attempts):
            task.cancel()
        await asyncio.gather(*work, *attempts, return_exceptions=True)
        for each in held:
            each.close()


async def _idle(siege: Siege, *ports: int, count: int = IDLE, first: bytes = b"") -> None:
    async with _silent(siege, ports, count, first):
        await asyncio.Event().wait()


@attack(
    STRANGER,
    f"{IDLE:,} connections to every port that send nothing, opened at {OPENED_PER_S} a second",
    origins=BOTH,
)
async def idle_sockets(siege: Siege) -> None:
    """As many to gRPC as to sessions of each kind, and to finger."""
    await _idle(siege, *siege.target.ports)


@attack(STRANGER, "1,200 connections to gRPC that finish the HTTP/2 handshake and stay idle")
async def idle_connections(siege: Siege) -> None:
    """Too polite for a limit on handshakes."""

    async def one() -> None:
        async with siege.wire() as wire:
            await wire.gone.wait()

    await siege.all(1200, one)


@attack(STRANGER, "1,200 sessions that are greeted and stay idle", origins=BOTH)
async def idle_sessions(siege: Siege) -> None:
    """More than a service may have files open; half of them in a dialect without a limit."""
    await _idle(siege, siege.target.session_port, siege.target.drinkjs_port, count=1200)


@attack(
    STRANGER,
    f"{IDLE:,} idle connections, opened at {OPENED_PER_S} a second, and 90 x 100 stalled calls",
    origins=BOTH,
)
async def idle_and_stalled(siege: Siege) -> None:
    """Both at once."""
    async with _silent(siege, siege.target.ports, IDLE, b""):
        await stalled_calls(siege)


@attack(STRANGER, "500 connections a second to every port, closed at once", origins=BOTH)
async def connection_churn(siege: Siege) -> None:
    """Comes and goes."""
    ports = itertools.cycle(siege.target.ports)

    async def one() -> None:
        async for count in siege.paced(500 / 10):
            for _ in range(count):
                try:
                    (await siege.socket(next(ports))).close()
                except (OSError, TimeoutError):
                    siege.counts["thrown out"] += 1

    await siege.all(10, one)


@attack(STRANGER, "500 connections a second to every port, reset in the middle of what they send")
async def reset_connections(siege: Siege) -> None:
    """The system closes at once (SO_LINGER of 0 s), and what was sent may be lost."""
    ports = itertools.cycle(siege.target.ports)
    texts = (PREFACE, PREFACE[:10], b"MACHINES\nUSER a", b"\r\n", bytes(5_000))
    linger = struct.pack("ii", 1, 0)

    async def one() -> None:
        async for count in siege.paced(500 / 10):
            for _ in range(count):
                made = await siege.socket(next(ports))
                with made:
                    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    with contextlib.suppress(OSError):
                        made.send(siege.random.choice(texts))

    await siege.all(10, one)


@attack(STRANGER, "200 half-open TLS handshakes on the sessions' TLS port, and again when ended")
async def half_open_tls_sessions(siege: Siege) -> None:
    """The beginning of a ClientHello, and silence."""
    await _idle(siege, siege.target.tls_session_port, count=200, first=_client_hello()[:40])


@attack(
    STRANGER, "200 half-open TLS handshakes on gRPC's port, and again when ended", needs=Needs.TLS
)
async def half_open_tls(siege: Siege) -> None:
    """The beginning of a ClientHello, and silence."""
    await _idle(siege, siege.target.rpc_port, count=200, first=_client_hello()[:40])


@attack(
    STRANGER,
    "100 failing TLS handshakes a second on gRPC's port and the sessions'",
    needs=Needs.TLS,
)
async def failing_tls(siege: Siege) -> None:
    """Old versions, no common cipher, plain text, alerts: each fails on its own way."""
    ports = (siege.target.rpc_port, siege.target.tls_session_port)
    hello = _client_hello()
    broken = (
        hello[:9] + b"\x03\x01" + hello[11:],
        hello[:60] + bytes(len(hello) - 60),
        b"\x15\x03\x01\x00\x02\x02\x28",
        PREFACE,
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        siege.random.randbytes(300),
    )

    async def one() -> None:
        async for count in siege.paced(100 / 10):
            for _ in range(count):
                async with siege.connection(siege.random.choice(ports)) as (reader, writer):
                    writer.write(siege.random.choice(broken))
                    with contextlib.suppress(TimeoutError, ConnectionError):
                        await asyncio.wait_for(reader.read(100), 0.5)

    await siege.all(10, one)


@attack(
    STRANGER, "50 whole TLS handshakes a second on gRPC's port and the sessions'", needs=Needs.TLS
)
async def whole_tls(siege: Siege) -> None:
    """Each costs the server a signature, and the attacker hangs up as soon as it has it."""
    ports = (siege.target.rpc_port, siege.target.tls_session_port)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])

    async def one() -> None:
        async for count in siege.paced(50 / 10):
            for _ in range(count):
                async with siege.connection(siege.random.choice(ports), tls=context):
                    pass

    await siege.all(10, one)


def _client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2"])
    hello = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    return outgoing.read()


@attack(STRANGER, "200 HTTP/1 requests a second to every port, some without end")
async def http1(siege: Siege) -> None:
    """What browsers and scanners send."""
    ports = itertools.cycle(siege.target.ports)
    requests = (
        b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"POST /drink.v1.DropService/Drop HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n",
        b"GET / HTTP/1.1\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n" + b"x: y\r\n" * 500,
        b"CONNECT localhost:22 HTTP/1.1\r\n\r\n",
    )
    await _send_and_go(siege, 200, ports, requests)


@attack(STRANGER, "100 connections a second to every port with 64 KB of random bytes")
async def garbage(siege: Siege) -> None:
    """No protocol at all; half of them after a sound HTTP/2 preface."""
    ports = itertools.cycle(siege.target.ports)
    junk = [siege.random.randbytes(65_536) for _ in range(8)]
    await _send_and_go(siege, 100, ports, (*junk, *(PREFACE + each for each in junk)))


async def _send_and_go(
    siege: Siege, per_second: float, ports: "itertools.cycle[int]", texts: Sequence[bytes]
) -> None:
    async def one() -> None:
        async for count in siege.paced(per_second / 10):
            for _ in range(count):
                async with siege.connection(next(ports)) as (reader, writer):
                    writer.write(siege.random.choice(texts))
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(reader.read(100), 0.2)

    await siege.all(10, one)


@attack(STRANGER, "200 finger questions a second, answers read late or never", origins=BOTH)
async def finger_questions(siege: Siege) -> None:
    """Each is a look at the machines."""
    questions = (b"\r\n", b"graph\r\n", b"a\r\n", b"Can\r\n", b"x" * 4000)
    await _send_and_go(siege, 200, itertools.cycle((siege.target.finger_port,)), questions)


PROXY_V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"


@attack(
    STRANGER,
    "100 PROXY headers a second that claim other addresses, to gRPC and sessions",
    origins=BOTH,
)
async def proxy_headers(siege: Siege) -> None:
    """Versions 1 and 2, sound and broken, from somebody who is no gateway; then a wrong login."""
    ports = itertools.cycle((siege.target.rpc_port, siege.target.session_port))
    login = b"USER admin\nPASS guess\n"
    claims = (
        b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n" + login,
        b"PROXY TCP4 10.0.0.1 127.0.0.1 1 2\r\n" + PREFACE,
        b"PROXY UNKNOWN " + b"x" * 200,
        b"PROXY TCP6 ::1 ::1 70000 -1\r\n",
        PROXY_V2 + bytes((10, 0, 0, 1, 127, 0, 0, 1, 0, 1, 0, 2)) + login,
        PROXY_V2[:14] + b"\xff\xff" + PIECE,
    )
    started = time.monotonic()
    await _send_and_go(siege, 100, ports, claims)
    siege.counts["seconds"] = int(time.monotonic() - started)
