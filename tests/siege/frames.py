"""Attacks of strangers who send frames of one type without end."""

from collections.abc import Callable

from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from tests.siege.attacks import STRANGER, Siege, attack
from tests.siege.calls import LIST_MACHINES
from tests.support.http2 import any_frame

FRAMES_PER_S = 5000
"""Frames a second, over all connections."""

CONNECTIONS = 4


async def _flood(
    siege: Siege, *frames: Frame, first: Callable[[Siege], bytes] | None = None, reads: bool = True
) -> None:
    """Frames again and again on connections that have begun."""
    data = [frame.serialize() for frame in frames]

    async def one() -> None:
        async with siege.wire(reads=reads) as wire:
            if first is not None:
                wire.write(wire.headers(LIST_MACHINES))
            async for count in siege.paced(FRAMES_PER_S / CONNECTIONS):
                wire.write(b"".join(data[n % len(data)] for n in range(count)))
                await wire.drain()

    await siege.all(CONNECTIONS, one)


@attack(STRANGER, f"{FRAMES_PER_S:,} PING frames a second on {CONNECTIONS} connections")
async def ping_frames(siege: Siege) -> None:
    """Each wants an answer."""
    await _flood(siege, PingFrame(0, opaque_data=b"siege!!!"))


@attack(STRANGER, f"{FRAMES_PER_S:,} PING frames a second, the answers unread")
async def ping_frames_unread(siege: Siege) -> None:
    """The answers fill the server's memory unless it has a limit for them."""
    await _flood(siege, PingFrame(0, opaque_data=b"siege!!!"), reads=False)


@attack(STRANGER, f"{FRAMES_PER_S:,} SETTINGS frames a second, the answers unread")
async def settings_frames(siege: Siege) -> None:
    """Each wants an answer, and changes the window of each call."""
    sizes = (1, 65_535, 0x7FFFFFFF)
    frames = [SettingsFrame(settings={SettingsFrame.INITIAL_WINDOW_SIZE: size}) for size in sizes]
    await _flood(siege, *frames, reads=False)


@attack(STRANGER, f"{FRAMES_PER_S:,} WINDOW_UPDATE frames a second")
async def window_update_frames(siege: Siege) -> None:
    """One byte more each time, for the connection and for calls that are not there."""
    await _flood(
        siege, WindowUpdateFrame(0, window_increment=1), WindowUpdateFrame(1, window_increment=1)
    )


@attack(STRANGER, f"{FRAMES_PER_S:,} PRIORITY frames a second")
async def priority_frames(siege: Siege) -> None:
    """Each of another call, none of which is there."""
    frames = [PriorityFrame(n, depends_on=n - 2, stream_weight=7) for n in range(3, 203, 2)]
    await _flood(siege, *frames)


@attack(STRANGER, f"{FRAMES_PER_S:,} empty DATA frames a second")
async def empty_data_frames(siege: Siege) -> None:
    """The message of a call in portions of nothing."""
    await _flood(siege, DataFrame(1), first=lambda _: b"")


@attack(STRANGER, f"{FRAMES_PER_S:,} CONTINUATION frames a second, the headers never complete")
async def continuation_frames(siege: Siege) -> None:
    """The header block never ends."""

    async def one() -> None:
        async with siege.wire() as wire:
            wire.send(HeadersFrame(1, data=b"\x83"))
            piece = ContinuationFrame(1, data=b"\x40\x01a\x01b").serialize()
            async for count in siege.paced(FRAMES_PER_S / CONNECTIONS):
                wire.write(piece * count)
                await wire.drain()

    await siege.all(CONNECTIONS, one)


@attack(STRANGER, f"{FRAMES_PER_S:,} frames a second of types that HTTP/2 does not know")
async def unknown_frames(siege: Siege) -> None:
    """Whoever gets them must ignore them."""
    await _flood(siege, *(any_frame(kind, body=b"x" * 64) for kind in range(0x20, 0x40)))


@attack(STRANGER, f"{FRAMES_PER_S:,} RST_STREAM and GOAWAY frames a second")
async def reset_frames(siege: Siege) -> None:
    """For calls that were never begun, and goodbyes from somebody who stays."""
    await _flood(siege, RstStreamFrame(1, error_code=8), GoAwayFrame(0, last_stream_id=0))


@attack(STRANGER, f"{2 * FRAMES_PER_S:,} calls a second that begin with trailers, or with data")
async def trailers_first(siege: Siege) -> None:
    """Frames of a call in an order that HTTP/2 does not have; some end the whole connection."""

    async def one() -> None:
        async with siege.wire() as wire:
            async for count in siege.paced(2 * FRAMES_PER_S / CONNECTIONS):
                for _ in range(count):
                    if siege.random.random() < 0.5:
                        number = wire.stream()
                        wire.write(wire.trailers(number))
                    else:
                        number = wire.stream()
                        wire.send(DataFrame(number, data=b"early"))
                    wire.open_calls.discard(number)
                await wire.drain()

    await siege.all(CONNECTIONS, one)


@attack(STRANGER, "200 connections a second that make one call, say GOAWAY and hang up")
async def goaway_loops(siege: Siege) -> None:
    """Each is a sound connection with a sound call, whose answer is not waited for."""

    async def one() -> None:
        async for count in siege.paced(200 / 10):
            for _ in range(count):
                async with siege.wire(reads=False) as wire:
                    wire.call(LIST_MACHINES, b"")
                    wire.send(GoAwayFrame(0, last_stream_id=0))
                    await wire.drain()

    await siege.all(10, one)
