"""Attacks of strangers whose calls are complete, and too many, too large or never over."""

import asyncio

from hyperframe.frame import DataFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame

from tests.siege.attacks import STRANGER, Siege, attack
from tests.siege.calls import (
    CALLS_PER_CONNECTION,
    FLOOD_CONNECTIONS,
    LIST_MACHINES,
    LOGIN,
    WATCH_MACHINES,
)
from tests.support.http2 import FRAME_BYTES_MAX, Http2Connection, grpc_message

HEALTH_WATCH = "/grpc.health.v1.Health/Watch"

REFERENCE = b"\xbe"
"""One byte of a header block: the newest entry of the table of headers, whatever its size."""


async def _hpack_bomb(wire: Http2Connection) -> None:
    """One header of 3 KB, and 10,000 references to it: 13 KB that unpack to 30 MB."""
    begin = wire.headers(LIST_MACHINES, [("x-junk", "j" * 3000)])
    wire.write(begin)
    stream = wire.stream()
    pieces = REFERENCE * 10_000
    wire.write(wire.headers_as_they_are(stream, pieces))
    await wire.drain()


@attack(STRANGER, "100 header blocks a second of 13 KB that unpack to 30 MB")
async def header_bombs(siege: Siege) -> None:
    """The limit of metadata must hold for what it unpacks to."""

    async def one() -> None:
        async with siege.wire() as wire:
            async for count in siege.paced(100 / FLOOD_CONNECTIONS):
                for _ in range(count):
                    await wire.room(CALLS_PER_CONNECTION)
                    await _hpack_bomb(wire)

    await siege.all(FLOOD_CONNECTIONS, one)


@attack(STRANGER, "4 connections that begin 500 calls each at once, whatever the server allows")
async def too_many_streams(siege: Siege) -> None:
    """The server says how many it takes, and is not listened to."""

    async def one() -> None:
        async with siege.wire() as wire:
            for _ in range(500):
                wire.write(wire.headers(LIST_MACHINES))
                siege.counts["calls"] += 1
            await wire.drain()
            await asyncio.wait_for(wire.gone.wait(), 2)

    await siege.all(FLOOD_CONNECTIONS, one)


@attack(STRANGER, "50 messages a second of 1 MB, and as many that claim 4 GB")
async def oversized_messages(siege: Siege) -> None:
    """Sixteen times and more what is taken."""
    piece = DataFrame(1, data=bytes(FRAME_BYTES_MAX))

    async def one() -> None:
        async with siege.wire() as wire:
            async for count in siege.paced(100 / FLOOD_CONNECTIONS):
                for number in range(count):
                    await wire.room(CALLS_PER_CONNECTION)
                    wire.write(wire.headers(LOGIN))
                    piece.stream_id = max(wire.open_calls)
                    if number % 2:
                        wire.send(DataFrame(piece.stream_id, data=b"\x00\xff\xff\xff\xff"))
                        continue
                    wire.send(DataFrame(piece.stream_id, data=grpc_message(bytes(1 << 20))[:5]))
                    wire.send(*(piece for _ in range(4)))
                    await wire.drain()

    await siege.all(FLOOD_CONNECTIONS, one)


@attack(STRANGER, "300 calls a second that end without a message, or with two")
async def messageless_calls(siege: Siege) -> None:
    """A call with one message by its definition."""

    async def one() -> None:
        async with siege.wire() as wire:
            async for count in siege.paced(300 / FLOOD_CONNECTIONS):
                for _ in range(count):
                    await wire.room(CALLS_PER_CONNECTION)
                    if siege.random.random() < 0.5:
                        wire.write(wire.headers(LIST_MACHINES, end=True))
                        continue
                    wire.write(wire.headers(LIST_MACHINES))
                    two = grpc_message(b"") * 2
                    wire.send(DataFrame(max(wire.open_calls), data=two, flags=["END_STREAM"]))

    await siege.all(FLOOD_CONNECTIONS, one)


@attack(STRANGER, "40 connections x 100 watches of health, which never end by themselves")
async def health_watches(siege: Siege) -> None:
    """Complete calls, so nothing about them is slow."""

    async def one() -> None:
        async with siege.wire() as wire:
            while True:
                await wire.room(CALLS_PER_CONNECTION)
                wire.call(HEALTH_WATCH, b"")
                siege.counts["calls"] += 1
                await asyncio.sleep(0.02)

    await siege.all(40, one)


@attack(STRANGER, "500 watches a second of machines and of health, each ended at once")
async def watch_loops(siege: Siege) -> None:
    """Each watch reads what there is before it waits for changes."""

    async def one() -> None:
        async with siege.wire() as wire:
            async for count in siege.paced(500 / FLOOD_CONNECTIONS):
                for _ in range(count):
                    number = wire.call(siege.random.choice((WATCH_MACHINES, HEALTH_WATCH)), b"")
                    await asyncio.sleep(0)
                    wire.send(RstStreamFrame(number, error_code=8))
                    wire.open_calls.discard(number)
                await wire.drain()

    await siege.all(FLOOD_CONNECTIONS, one)


@attack(STRANGER, "500 calls a second whose answer gets a window of one byte at a time")
async def slow_windows(siege: Siege) -> None:
    """A reader that takes a byte each time keeps every answer half sent."""

    async def one() -> None:
        async with siege.wire(window=0) as wire:
            async for count in siege.paced(500 / FLOOD_CONNECTIONS):
                for _ in range(count):
                    if len(wire.open_calls) < CALLS_PER_CONNECTION:
                        wire.call(LIST_MACHINES, b"")
                        continue
                    call = siege.random.choice(list(wire.open_calls))
                    wire.send(WindowUpdateFrame(call, window_increment=1))
                await wire.drain()

    await siege.all(FLOOD_CONNECTIONS, one)


@attack(STRANGER, "4 connections that change the size of the table of headers 1,000 times a second")
async def table_sizes(siege: Siege) -> None:
    """From nothing to 4 GB and back."""
    sizes = (0, 4096, 0xFFFFFFFF)
    frames = [
        SettingsFrame(settings={SettingsFrame.HEADER_TABLE_SIZE: size}).serialize()
        for size in sizes
    ]

    async def one() -> None:
        async with siege.wire() as wire:
            async for count in siege.paced(1000 / FLOOD_CONNECTIONS):
                for number in range(count):
                    wire.write(frames[number % len(frames)])
                    if number % 10 == 0 and len(wire.open_calls) < CALLS_PER_CONNECTION:
                        wire.call(LIST_MACHINES, b"")
                await wire.drain()

    await siege.all(FLOOD_CONNECTIONS, one)
