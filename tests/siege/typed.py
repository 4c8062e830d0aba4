"""Attacks over the session protocol, of strangers and of buyers."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.siege.attacks import BOTH, BUYER, STRANGER, Siege, attack

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

PIECE = b"x" * 65_536


@asynccontextmanager
async def _session(siege: Siege, *, logged_in: bool = False) -> AsyncIterator[Streams]:
    """A session that is greeted, as the attacking buyer or as nobody."""
    async with siege.connection(siege.target.session_port) as (reader, writer):
        greeting = await reader.readuntil(b"\n")
        if not greeting.startswith(b"OK"):
            raise ConnectionResetError
        if logged_in:
            target = siege.target
            writer.write(f"USER {target.buyer}\nPASS {target.password}\n".encode())
            await reader.readuntil(b"\n")
            if not (await reader.readuntil(b"\n")).startswith(b"OK"):
                siege.counts["login refused"] += 1
                raise ConnectionResetError
        yield reader, writer


async def _swallow(siege: Siege, reader: asyncio.StreamReader) -> None:
    """Reads replies until the session ends."""
    while text := await reader.read(65_536):
        siege.counts["answers"] += text.count(b"\n")
        siege.counts["refusals"] += text.count(b"ERR")


async def _type(siege: Siege, lines: list[bytes], per_second: float, *, logged_in: bool) -> None:
    """One session that types lines at a rate and reads the replies."""
    async with _session(siege, logged_in=logged_in) as (reader, writer):
        reading = asyncio.create_task(_swallow(siege, reader))
        try:
            turn = itertools.cycle(lines)
            async for count in siege.paced(per_second):
                writer.write(b"".join(next(turn) for _ in range(count)))
                await writer.drain()
                if reading.done():
                    raise ConnectionResetError
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


@attack(STRANGER, "10 sessions that send a line without end, 10 MB a second in all", origins=BOTH)
async def endless_lines(siege: Siege) -> None:
    """Nothing of it is a command, so the line must not be kept."""

    async def one() -> None:
        async with _session(siege) as (_, writer):
            async for count in siege.paced(10_000_000 / len(PIECE) / 10):
                writer.write(PIECE * count)
                await writer.drain()

    await siege.all(10, one)


@attack(STRANGER, "200 sessions whose command comes a byte every 0.5 s")
async def slow_lines(siege: Siege) -> None:
    """Always a little, never a line."""

    async def one() -> None:
        async with _session(siege) as (_, writer):
            while True:
                writer.write(b"S")
                await writer.drain()
                siege.counts["sent"] += 1
                await asyncio.sleep(0.5)

    await siege.all(200, one)


@attack(STRANGER, "100 sessions that ask without end and read nothing")
async def unread_sessions(siege: Siege) -> None:
    """Replies pile up unless commands wait for the reader."""

    async def one() -> None:
        async with _session(siege) as (reader, writer):
            # Nothing is read any more, and a small buffer fills at once.
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            while True:
                writer.write(b"MACHINE a\nSTAT\nMACHINES\n" * 200)
                siege.counts["sent"] += 600
                await asyncio.wait_for(writer.drain(), None)

    await siege.all(100, one)


@attack(BUYER, "50 logged-in sessions that ask without end and read nothing")
async def unread_buyer_sessions(siege: Siege) -> None:
    """The same with an account."""

    async def one() -> None:
        async with _session(siege, logged_in=True) as (reader, writer):
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            while True:
                writer.write(b"MACHINE a\nSTAT\nWHOAMI\nGETBALANCE\n" * 200)
                siege.counts["sent"] += 800
                await writer.drain()

    await siege.all(50, one)


@attack(STRANGER, "10,000 commands a second in 20 sessions without a login", origins=BOTH)
async def session_commands(siege: Siege) -> None:
    """Commands that anybody may give, and such that are none."""
    lines = [
        b"MACHINES\n",
        b"MACHINE a\n",
        b"STAT\n",
        b"GETBALANCE\n",
        b"BREW\n",
        b"DROP 1\n",
        b"\n",
    ]
    await siege.all(20, lambda: _type(siege, lines, 10_000 / 20, logged_in=False))


@attack(BUYER, "5,000 commands a second in 10 logged-in sessions")
async def buyer_session_commands(siege: Siege) -> None:
    """A buyer with a loop; the slot is empty, so nothing is bought."""
    slot = siege.target.slot.rpartition("/")[2].encode()
    lines = [b"MACHINE a\n", b"STAT\n", b"GETBALANCE\n", b"DROP %s\n" % slot, b"WHOAMI\n"]
    await siege.all(10, lambda: _type(siege, lines, 5000 / 10, logged_in=True))


@attack(BUYER, "500 transfers a second of one credit in 5 logged-in sessions")
async def session_transfers(siege: Siege) -> None:
    """Each is a commit, and an entry that is kept for ever."""
    lines = [b"SENDCREDITS 1 typist-c\n"]
    await siege.all(5, lambda: _type(siege, lines, 500 / 5, logged_in=True))


@attack(STRANGER, "100 wrong logins a second in 20 sessions", origins=BOTH)
async def session_logins(siege: Siege) -> None:
    """The third ends a session; the next one is opened at once."""
    lines = [
        b"USER typist-c\n",
        b"PASS guess\n",
        b"AUTH admin guess\n",
        b"IBUTTON 0123456789ABCDEF\n",
    ]
    await siege.all(20, lambda: _type(siege, lines, 200 / 20, logged_in=False))


@attack(STRANGER, "2,000 odd lines a second in 10 sessions: bytes that are no text, quotes, NULs")
async def odd_lines(siege: Siege) -> None:
    """Each is refused, and none is logged as it is."""
    lines = [
        b"\xff\xfe\xfd\n",
        b"DROP \x00\x00\n",
        b'USER "' + b'"' * 400 + b"\n",
        b"\x1b]0;title\x07\n",
        "USER \N{RIGHT-TO-LEFT OVERRIDE}nimda\n".encode(),
        b"x" * 511 + b"\n",
        b"x" * 513 + b"\n",
        b"\r\r\r\n",
    ]
    await siege.all(10, lambda: _type(siege, lines, 2000 / 10, logged_in=False))


@attack(STRANGER, "200 sessions that ask, close their side and read nothing, and again when ended")
async def half_closed_sessions(siege: Siege) -> None:
    """What was asked is still answered, to somebody who does not listen."""

    async def one() -> None:
        async with _session(siege) as (reader, writer):
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(b"MACHINE a\nSTAT\nMACHINES\n" * 400)
            await writer.drain()
            writer.write_eof()
            siege.counts["sent"] += 1200
            await asyncio.sleep(5)

    await siege.all(200, one)


@attack(STRANGER, "200,000 Telnet options a second in 10 sessions")
async def telnet_options(siege: Siege) -> None:
    """Requests, answers and half a subnegotiation, with a command between them at times."""
    options = [bytes((255, verb, option)) for verb in range(251, 255) for option in range(40)]
    lines = [b"".join(options), b"\xff\xfa\x18\x01" + b"x" * 400, b"\xff\xf0\nMACHINES\n"]
    await siege.all(10, lambda: _type(siege, lines, 200_000 / 50 / 10, logged_in=False))


@attack(STRANGER, "10 sessions that send NULs without end, 10 MB a second in all")
async def nul_bytes(siege: Siege) -> None:
    """Some clients end lines with a NUL, so none of these may be kept."""
    piece = (b"\0" * 511 + b"\n") * 128

    async def one() -> None:
        async with _session(siege) as (reader, writer):
            reading = asyncio.create_task(_swallow(siege, reader))
            try:
                async for count in siege.paced(10_000_000 / len(piece) / 10):
                    writer.write(piece * count)
                    await writer.drain()
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    await siege.all(10, one)
