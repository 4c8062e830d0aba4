"""Attacks with the stolen token of one machine: an agent that says whatever it likes."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

from hyperframe.frame import DataFrame

from drink.v1 import drop_service_pb2 as drops
from drink.v1 import machine_link_service_pb2 as link
from drink.v1 import machine_service_pb2 as machines
from tests.siege.attacks import MACHINE, Siege, attack
from tests.siege.calls import CONNECT
from tests.support.http2 import Headers, Http2Connection, grpc_message

FLOOD_PER_S = 2000
"""Messages a second."""


def _metadata(siege: Siege) -> Headers:
    return (("authorization", f"Bearer {siege.target.machine_token}"),)


def _hello(siege: Siege, journal: str = "stolen") -> link.ConnectRequest:
    return link.ConnectRequest(
        hello=link.Hello(
            machine=f"machines/{siege.target.machine}",
            protocol_version=1,
            boot_id=str(uuid.UUID(int=siege.random.getrandbits(128))),
            journal_id=journal,
            journal_sequence=1,
            agent_version="siege",
            board_status=link.BoardStatus(ready=True),
        )
    )


def _say(wire: Http2Connection, stream: int, *messages: link.ConnectRequest) -> None:
    data = b"".join(grpc_message(message.SerializeToString()) for message in messages)
    for at in range(0, len(data), 16_000):
        wire.send(DataFrame(stream, data=data[at : at + 16_000]))


@asynccontextmanager
async def _link(
    siege: Siege, *, window: int = 0x7FFFFFFF
) -> AsyncIterator[tuple[Http2Connection, int]]:
    """A link of the stolen machine, after its Hello."""
    async with siege.wire(window=window) as wire:
        wire.write(wire.headers(CONNECT, _metadata(siege)))
        stream = max(wire.open_calls)
        _say(wire, stream, _hello(siege))
        siege.counts["links"] += 1
        yield wire, stream


async def _flood(
    siege: Siege, messages: Callable[[], Iterator[link.ConnectRequest]], per_second: float
) -> None:
    """One link that says these messages at a rate; a new one as soon as it is ended."""

    async def one() -> None:
        async with _link(siege) as (wire, stream):
            each = messages()
            async for count in siege.paced(per_second):
                if stream not in wire.open_calls:
                    return
                _say(wire, stream, *(next(each) for _ in range(count)))
                await wire.drain()

    await siege.all(1, one)


def _evidence(siege: Siege, lines: int = 32) -> link.Evidence:
    line = link.Evidence.Line(
        direction=link.Evidence.Line.DIRECTION_RECEIVED, offset_ms=1, text="e" * 200
    )
    return link.Evidence(lines=[line] * lines, contradiction="c" * 200)


def _result(siege: Siege, drop: str, outcome: drops.Drop.State.ValueType) -> link.ConnectRequest:
    dispensed = outcome == drops.Drop.STATE_DISPENSED
    return link.ConnectRequest(
        result=link.Result(
            drop=f"drops/{drop}",
            revision=siege.random.randrange(1, 1000),
            outcome=outcome,
            cause=drops.Drop.CAUSE_BOARD_ACK if dispensed else drops.Drop.CAUSE_BOARD_REFUSED,
            evidence=_evidence(siege),
            journal_sequence=2,
        )
    )


@attack(MACHINE, f"{FLOOD_PER_S:,} results a second for drops that nobody made, with evidence")
async def orphan_results(siege: Siege) -> None:
    """Each with 6 KB of evidence."""

    def messages() -> Iterator[link.ConnectRequest]:
        while True:
            drop = f"{siege.random.getrandbits(128):032x}"
            yield _result(siege, drop, drops.Drop.STATE_DISPENSED)

    await _flood(siege, messages, FLOOD_PER_S)


@attack(MACHINE, f"{FLOOD_PER_S:,} results a second that contradict settled drops of its own")
async def contradictions(siege: Siege) -> None:
    """Once dispensed and once not, with evidence."""

    def messages() -> Iterator[link.ConnectRequest]:
        outcomes = (drops.Drop.STATE_DISPENSED, drops.Drop.STATE_NOT_DISPENSED)
        while True:
            for drop in siege.target.drops:
                yield _result(siege, drop, siege.random.choice(outcomes))

    await _flood(siege, messages, FLOOD_PER_S)


@attack(MACHINE, f"{FLOOD_PER_S:,} results a second for drops of other machines")
async def foreign_results(siege: Siege) -> None:
    """What it says of others counts for nothing."""

    def messages() -> Iterator[link.ConnectRequest]:
        while True:
            for drop in siege.target.other_drops:
                yield _result(siege, drop, drops.Drop.STATE_NOT_DISPENSED)

    await _flood(siege, messages, FLOOD_PER_S)


@attack(MACHINE, "200 messages a second that no agent may send; each ends the link")
async def unsound_messages(siege: Siege) -> None:
    """Broken names, numbers and a second Hello."""

    def messages() -> Iterator[link.ConnectRequest]:
        while True:
            yield _result(siege, "no such drop", drops.Drop.STATE_DISPENSED)
            yield link.ConnectRequest(heartbeat=link.Heartbeat(journal_sequence=-1))
            yield _hello(siege)

    await _flood(siege, messages, 200)


@attack(MACHINE, f"{FLOOD_PER_S:,} messages a second without content, or of unknown kinds")
async def empty_messages(siege: Siege) -> None:
    """Nothing that the protocol knows."""

    def messages() -> Iterator[link.ConnectRequest]:
        unknown = link.ConnectRequest.FromString(b"\xfa\x3f\x04junk")
        while True:
            yield link.ConnectRequest()
            yield unknown

    await _flood(siege, messages, FLOOD_PER_S)


@attack(MACHINE, f"{FLOOD_PER_S:,} heartbeats a second whose journal grows each time")
async def heartbeats(siege: Siege) -> None:
    """Each is a reason to write."""

    def messages() -> Iterator[link.ConnectRequest]:
        number = 1
        while True:
            number += 1
            yield link.ConnectRequest(
                heartbeat=link.Heartbeat(sequence=number, journal_sequence=number)
            )

    await _flood(siege, messages, FLOOD_PER_S)


@attack(MACHINE, f"{FLOOD_PER_S:,} statuses a second: board up, board down, other sensors")
async def board_statuses(siege: Siege) -> None:
    """Each changes what buyers and watches are told of the machine."""

    def messages() -> Iterator[link.ConnectRequest]:
        sensors = (machines.Slot.SENSOR_EMPTY, machines.Slot.SENSOR_STOCKED)
        while True:
            for sensor in sensors:
                slots = [
                    link.BoardStatus.SlotSensor(slot=number, sensor=sensor)
                    for number in range(1, 30)
                ]
                status = link.BoardStatus(
                    ready=siege.random.random() < 0.5,
                    slots=slots,
                    temperature_celsius=siege.random.uniform(-40, 90),
                )
                yield link.ConnectRequest(board_status=status)

    await _flood(siege, messages, FLOOD_PER_S)


@attack(MACHINE, f"{FLOOD_PER_S:,} times a second NotReceived, for its own drops and for none")
async def not_received(siege: Siege) -> None:
    """Says that commands never came."""

    def messages() -> Iterator[link.ConnectRequest]:
        while True:
            for drop in (*siege.target.drops, f"{siege.random.getrandbits(128):032x}"):
                yield link.ConnectRequest(not_received=link.NotReceived(drop=f"drops/{drop}"))

    await _flood(siege, messages, FLOOD_PER_S)


@attack(MACHINE, "4 links at once that say Hello 100 times a second, and end")
async def hello_loop(siege: Siege) -> None:
    """Each takes the machine's link over, and a new epoch."""

    async def one() -> None:
        async with siege.wire() as wire:
            async for count in siege.paced(100 / 4):
                for _ in range(count):
                    await wire.room(20)
                    wire.write(wire.headers(CONNECT, _metadata(siege)))
                    number = max(wire.open_calls)
                    journal = f"stolen-{siege.random.getrandbits(64)}"
                    _say(wire, number, _hello(siege, journal))

    await siege.all(4, one)


@attack(MACHINE, "a second agent that comes back as soon as the machine's own one takes over")
async def second_agent(siege: Siege) -> None:
    """Beats, and says nothing else."""

    async def one() -> None:
        async with _link(siege) as (wire, stream):
            while stream in wire.open_calls:
                _say(wire, stream, link.ConnectRequest(heartbeat=link.Heartbeat(sequence=1)))
                await wire.drain()
                await asyncio.sleep(0.2)

    await siege.all(1, one)


@attack(MACHINE, "a link that reads nothing, and wants an answer 500 times a second")
async def unread_link(siege: Siege) -> None:
    """The answers find no window."""

    async def one() -> None:
        async with _link(siege, window=0) as (wire, stream):
            async for count in siege.paced(500):
                if stream not in wire.open_calls:
                    return
                for _ in range(count):
                    drop = siege.random.choice(list(siege.target.drops))
                    _say(wire, stream, _result(siege, drop, drops.Drop.STATE_DISPENSED))
                await wire.drain()

    await siege.all(1, one)


@attack(
    MACHINE, "100 streams a second with the token that never say Hello, or something else first"
)
async def silent_links(siege: Siege) -> None:
    """Whoever has a token may wait for its Hello, but not for ever and not often."""

    async def one() -> None:
        async with siege.wire() as wire:
            async for count in siege.paced(100 / 4):
                for _ in range(count):
                    await wire.room(100)
                    wire.write(wire.headers(CONNECT, _metadata(siege)))
                    if siege.random.random() < 0.5:
                        beat = link.ConnectRequest(heartbeat=link.Heartbeat(sequence=1))
                        _say(wire, max(wire.open_calls), beat)

    await siege.all(4, one)
