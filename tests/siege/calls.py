"""Attacks of strangers who begin calls and do not go on, or go on for ever."""

import asyncio
import gzip
import zlib

from hyperframe.frame import ContinuationFrame, DataFrame, HeadersFrame, RstStreamFrame

from drink.v1 import account_service_pb2 as accounts
from tests.siege.attacks import BOTH, STRANGER, Siege, attack
from tests.support.http2 import PREFACE, Headers, Http2Connection, grpc_message

LIST_MACHINES = "/drink.v1.MachineService/ListMachines"
WATCH_MACHINES = "/drink.v1.MachineService/WatchMachines"
LOGIN = "/drink.v1.AccountService/Login"
GET_ACCOUNT = "/drink.v1.AccountService/GetAccount"
CONNECT = "/drink.v1.MachineLinkService/Connect"
HEALTH = "/grpc.health.v1.Health/Check"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
UNKNOWN_METHOD = "/drink.v1.DropService/Brew"

CALLS_PER_CONNECTION = 100
"""What HTTP/2 recommends that a server allows at least, and gRPC servers do."""

BOMB_BYTES = 64 << 20
"""Size of a bomb once it is unpacked."""

FLOOD_CONNECTIONS = 4

AGAIN_S = 0.2
"""Seconds between two calls of one connection that begin in place of calls that were ended."""


async def _stall(siege: Siege, *methods: str) -> None:
    """One connection full of calls whose message never comes; PING is answered."""
    async with siege.wire() as wire:
        for number in range(CALLS_PER_CONNECTION):
            wire.write(wire.headers(methods[number % len(methods)]))
            siege.counts["calls"] += 1
        while True:
            # Calls that were ended by the server are begun again.
            await wire.room(CALLS_PER_CONNECTION)
            wire.write(wire.headers(methods[0]))
            siege.counts["calls"] += 1
            await asyncio.sleep(AGAIN_S)


@attack(STRANGER, "42 connections x 100 calls of ListMachines without a message", origins=BOTH)
async def stalled_calls_42(siege: Siege) -> None:
    """From this many on gRPC used to be full."""
    await siege.all(42, lambda: _stall(siege, LIST_MACHINES))


@attack(STRANGER, "90 connections x 100 calls of ListMachines without a message", origins=BOTH)
async def stalled_calls(siege: Siege) -> None:
    """Enough for any number of calls in all."""
    await siege.all(90, lambda: _stall(siege, LIST_MACHINES))


@attack(STRANGER, "90 connections x 100 calls of every method without a message")
async def stalled_kinds(siege: Siege) -> None:
    """Streams, links, logins and unknown methods stall as well."""
    methods = (WATCH_MACHINES, LOGIN, CONNECT, HEALTH, REFLECTION, GET_ACCOUNT, UNKNOWN_METHOD)
    await siege.all(90, lambda: _stall(siege, *methods))


@attack(STRANGER, "200 connections whose preface and headers come a byte every 0.5 s")
async def slow_headers(siege: Siege) -> None:
    """Neither the preface nor the first header block is ever complete."""

    async def one() -> None:
        async with siege.connection(siege.target.rpc_port) as (_, writer):
            if siege.random.random() < 0.5:
                slowly = PREFACE
            else:
                frame = HeadersFrame(1, data=b"\x83").serialize()
                parts = b"".join(
                    ContinuationFrame(1, data=b"\x40\x01a\x01b").serialize() for _ in range(100)
                )
                writer.write(PREFACE + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + frame)
                slowly = parts
            for byte in slowly:
                writer.write(bytes((byte,)))
                await writer.drain()
                siege.counts["sent"] += 1
                await asyncio.sleep(0.5)

    await siege.all(200, one)


@attack(STRANGER, "20 connections x 100 calls whose message comes a byte every second")
async def slow_bodies(siege: Siege) -> None:
    """Each call promises a message of a kilobyte."""

    async def one() -> None:
        async with siege.wire() as wire:
            calls = []
            for _ in range(CALLS_PER_CONNECTION):
                wire.write(wire.headers(LIST_MACHINES))
                calls.append(max(wire.open_calls))
                wire.send(DataFrame(calls[-1], data=grpc_message(bytes(1024))[:5]))
            while True:
                for call in calls:
                    if call in wire.open_calls:
                        wire.send(DataFrame(call, data=b"\x00"))
                        siege.counts["sent"] += 1
                await wire.drain()
                await asyncio.sleep(1)

    await siege.all(20, one)


@attack(STRANGER, "3,000 calls a second on 4 connections, each reset at once", origins=BOTH)
async def rapid_resets(siege: Siege) -> None:
    """HEADERS and RST_STREAM in one go: the server begins work that nobody waits for."""
    per_second = 3000 / FLOOD_CONNECTIONS

    async def one() -> None:
        async with siege.wire() as wire:
            async for count in siege.paced(per_second):
                for _ in range(count):
                    number = wire.call(LIST_MACHINES, b"")
                    wire.send(RstStreamFrame(number, error_code=8))
                    wire.open_calls.discard(number)
                await wire.drain()

    await siege.all(FLOOD_CONNECTIONS, one)


async def _calls(
    siege: Siege, per_second: float, method: str, message: bytes, more: Headers = ()
) -> None:
    """Complete calls at a rate, over a few connections."""

    async def one() -> None:
        async with siege.wire() as wire:
            async for count in siege.paced(per_second / FLOOD_CONNECTIONS):
                for _ in range(count):
                    await wire.room(CALLS_PER_CONNECTION)
                    wire.call(method, message, more)

    await siege.all(FLOOD_CONNECTIONS, one)


async def _bomb(wire: Http2Connection, packed: bytes, encoding: str) -> None:
    wire.write(wire.headers(LOGIN, [("grpc-encoding", encoding)]))
    number = max(wire.open_calls)
    data = grpc_message(packed, compressed=True)
    for at in range(0, len(data), 16_000):
        wire.send(DataFrame(number, data=data[at : at + 16_000]))
        await wire.drain()
    wire.send(DataFrame(number, flags=["END_STREAM"]))


@attack(STRANGER, "20 messages a second of 64 KB that unpack to 64 MB, gzip and deflate")
async def compression_bombs(siege: Siege) -> None:
    """The limit of a message must hold for what it unpacks to."""
    bombs = [
        (gzip.compress(bytes(BOMB_BYTES)), "gzip"),
        (zlib.compress(bytes(BOMB_BYTES)), "deflate"),
    ]

    async def one() -> None:
        async with siege.wire() as wire:
            async for count in siege.paced(20 / FLOOD_CONNECTIONS):
                for _ in range(count):
                    await wire.room(CALLS_PER_CONNECTION)
                    await _bomb(wire, *siege.random.choice(bombs))

    await siege.all(FLOOD_CONNECTIONS, one)


@attack(STRANGER, "200 calls a second with metadata of 12 to 60 KB")
async def huge_metadata(siege: Siege) -> None:
    """Some below the limit, some above it."""

    async def one() -> None:
        async with siege.wire() as wire:
            async for count in siege.paced(200 / FLOOD_CONNECTIONS):
                for _ in range(count):
                    await wire.room(CALLS_PER_CONNECTION)
                    size = siege.random.choice((12_000, 20_000, 60_000))
                    wire.call(LIST_MACHINES, b"", [("x-junk", "j" * size)])

    await siege.all(FLOOD_CONNECTIONS, one)


ODD = (
    ("authorization", "Bearer stolen-but-secret\N{NO-BREAK SPACE}"),
    ("authorization", "Bearer \x00\x07secret"),
    ("authorization", "\N{RIGHT-TO-LEFT OVERRIDE}Bearer secret"),
    ("x-junk-bin", "not base64 !"),
    ("grpc-timeout", "99999999999999H"),
    ("grpc-timeout", "now"),
    ("grpc-encoding", "rot13"),
    ("content-type", "text/html"),
    ("te", "gzip"),
    ("X-UPPER", "case"),
    ("user-agent", "\r\nforged: yes"),
    ("grpc-accept-encoding", "," * 4000),
    ("", "nameless"),
    (":path", "/again"),
    (":method", "GET"),
)
"""Metadata that no honest client sends."""


@attack(
    STRANGER, "400 calls a second with metadata of odd bytes, types, times and names", origins=BOTH
)
async def odd_metadata(siege: Siege) -> None:
    """Tokens with letters outside ASCII, broken encodings, names that may not be."""

    async def one() -> None:
        async with siege.wire() as wire:
            async for count in siege.paced(400 / FLOOD_CONNECTIONS):
                for _ in range(count):
                    await wire.room(CALLS_PER_CONNECTION)
                    wire.call(GET_ACCOUNT, b"", [siege.random.choice(ODD)])

    await siege.all(FLOOD_CONNECTIONS, one)


@attack(STRANGER, "300 calls a second with a token that nobody has", origins=BOTH)
async def junk_tokens(siege: Siege) -> None:
    """Each token is another one, so none can be remembered."""

    async def one() -> None:
        async with siege.wire() as wire:
            async for count in siege.paced(300 / FLOOD_CONNECTIONS):
                for _ in range(count):
                    await wire.room(CALLS_PER_CONNECTION)
                    token = siege.random.randbytes(24).hex()
                    method = siege.random.choice((GET_ACCOUNT, CONNECT))
                    wire.call(method, b"", [("authorization", f"Bearer {token}")])

    await siege.all(FLOOD_CONNECTIONS, one)


@attack(
    STRANGER, "50 logins a second with wrong passwords, for real and unknown names", origins=BOTH
)
async def wrong_logins(siege: Siege) -> None:
    """Each costs the system a password's hash, unless it is refused before."""

    async def one() -> None:
        async with siege.wire() as wire:
            async for count in siege.paced(50 / FLOOD_CONNECTIONS):
                for _ in range(count):
                    await wire.room(CALLS_PER_CONNECTION)
                    name = siege.random.choice(("typist-c", "admin", f"u{siege.random.random()}"))
                    credentials = accounts.PasswordCredentials(
                        account=f"accounts/{name}", password=str(siege.random.random())
                    )
                    request = accounts.LoginRequest(password=credentials)
                    wire.call(LOGIN, request.SerializeToString())

    await siege.all(FLOOD_CONNECTIONS, one)


@attack(STRANGER, "500 calls a second of ListMachines without a token", origins=BOTH)
async def public_calls(siege: Siege) -> None:
    """What anybody may ask, asked all the time."""
    await _calls(siege, 500, LIST_MACHINES, b"")


@attack(STRANGER, "500 calls a second of methods that are not there, and broken messages")
async def unknown_calls(siege: Siege) -> None:
    """UNIMPLEMENTED, and bytes that are no message."""

    async def one() -> None:
        async with siege.wire() as wire:
            async for count in siege.paced(500 / FLOOD_CONNECTIONS):
                for _ in range(count):
                    await wire.room(CALLS_PER_CONNECTION)
                    method = siege.random.choice((UNKNOWN_METHOD, "/", "/x/y", LOGIN))
                    wire.call(method, b"\xff\xff\xff")

    await siege.all(FLOOD_CONNECTIONS, one)
