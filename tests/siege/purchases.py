"""Attacks of a buyer over gRPC: much is asked for, little is read, everything is repeated."""

import asyncio
import itertools
import uuid
from collections.abc import Callable, Iterator

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import drop_service_pb2 as drops
from drink.v1 import machine_service_pb2 as machines
from tests.siege.attacks import BUYER, STRANGER, Siege, attack
from tests.siege.calls import (
    AGAIN_S,
    CALLS_PER_CONNECTION,
    FLOOD_CONNECTIONS,
    GET_ACCOUNT,
    LIST_MACHINES,
    WATCH_MACHINES,
)
from tests.support.http2 import Headers, Http2Connection

DROP = "/drink.v1.DropService/Drop"
LIST_DROPS = "/drink.v1.DropService/ListDrops"
CANCEL_DROP = "/drink.v1.DropService/CancelDrop"
WATCH_DROP = "/drink.v1.DropService/WatchDrop"
LIST_ENTRIES = "/drink.v1.AccountService/ListEntries"
TRANSFER = "/drink.v1.AccountService/TransferCredits"

UNREAD = 1000
"""Answers that stay unread."""

WATCHES = 1024
"""Watches that are opened in all; 64 on each connection."""

WATCHES_PER_CONNECTION = 64


async def _unread(siege: Siege, method: str, message: bytes, count: int, *, window: int) -> None:
    """Calls whose answers find no window to be sent in; ended ones are made again."""

    async def one() -> None:
        async with siege.wire(window=window) as wire:
            while True:
                await wire.room(CALLS_PER_CONNECTION)
                wire.call(method, message, siege.bearer)
                siege.counts["sent"] += 1
                await asyncio.sleep(0.002)

    await siege.all(count // CALLS_PER_CONNECTION, one)


@attack(BUYER, f"{UNREAD:,} ListDrops of 900 drops, the answers unread (window 0)")
async def unread_lists(siege: Siege) -> None:
    """Each answer is some 150 KB that the server may not send."""
    request = drops.ListDropsRequest(page_size=1000).SerializeToString()
    await _unread(siege, LIST_DROPS, request, UNREAD, window=0)


@attack(BUYER, f"{UNREAD:,} ListEntries of 1,800 entries, the answers unread (window 1)")
async def unread_entries(siege: Siege) -> None:
    """The same kind, with another list and a window that lets a byte through."""
    request = accounts.ListEntriesRequest(page_size=1000).SerializeToString()
    await _unread(siege, LIST_ENTRIES, request, UNREAD, window=1)


@attack(BUYER, f"{UNREAD:,} ListDrops on connections that are not read at all")
async def unread_connections(siege: Siege) -> None:
    """Every window is open, but the socket is full."""
    request = drops.ListDropsRequest(page_size=1000).SerializeToString()

    async def one() -> None:
        async with siege.wire(reads=False) as wire:
            for _ in range(CALLS_PER_CONNECTION):
                wire.call(LIST_DROPS, request, siege.bearer)
                siege.counts["sent"] += 1
            await wire.drain()
            await asyncio.sleep(siege.seconds)

    await siege.all(UNREAD // CALLS_PER_CONNECTION, one)


@attack(STRANGER, f"{UNREAD:,} ListMachines, the answers unread (window 0)")
async def unread_machines(siege: Siege) -> None:
    """What needs no account."""
    await _unread(siege, LIST_MACHINES, b"", UNREAD, window=0)


async def _watch(siege: Siege, begin: Callable[[Http2Connection], None], *, window: int) -> None:
    """Connections full of watches; ended ones are begun again, a few a second."""

    async def one() -> None:
        async with siege.wire(window=window) as wire:
            for begun in itertools.count():
                await wire.room(WATCHES_PER_CONNECTION)
                begin(wire)
                siege.counts["sent"] += 1
                await asyncio.sleep(0.005 if begun < WATCHES_PER_CONNECTION else AGAIN_S)

    await siege.all(WATCHES // WATCHES_PER_CONNECTION, one)


def _watch_machines(wire: Http2Connection) -> None:
    wire.call(WATCH_MACHINES, machines.WatchMachinesRequest().SerializeToString())


@attack(STRANGER, f"{WATCHES:,} watches of all machines, read")
async def watches(siege: Siege) -> None:
    """Each drop changes what all of them are told."""
    await _watch(siege, _watch_machines, window=0x7FFFFFFF)


@attack(STRANGER, f"{WATCHES:,} watches of all machines, never read (window 0)")
async def unread_watches(siege: Siege) -> None:
    """Slow readers must be skipped."""
    await _watch(siege, _watch_machines, window=0)


@attack(BUYER, f"{WATCHES:,} watches of settled drops and machines, with a token, never read")
async def unread_buyer_watches(siege: Siege) -> None:
    """Counted for the account, whatever the address is."""
    name = f"drops/{siege.target.drops[0]}" if siege.target.drops else "drops/none"
    request = drops.WatchDropRequest(name=name).SerializeToString()

    def begin(wire: Http2Connection) -> None:
        wire.call(WATCH_DROP, request, siege.bearer)
        wire.call(WATCH_MACHINES, b"", siege.bearer)

    await _watch(siege, begin, window=0)


async def _loop(siege: Siege, per_second: float, calls: Iterator[tuple[str, bytes]]) -> None:
    more: Headers = siege.bearer

    async def one() -> None:
        async with siege.wire() as wire:
            async for count in siege.paced(per_second / FLOOD_CONNECTIONS):
                for _ in range(count):
                    await wire.room(CALLS_PER_CONNECTION)
                    wire.call(*next(calls), more)

    await siege.all(FLOOD_CONNECTIONS, one)


@attack(BUYER, "500 calls a second that read: the account, machines, 50 drops, 50 entries")
async def buyer_reads(siege: Siege) -> None:
    """A program with a loop and no pause."""
    every = (
        (GET_ACCOUNT, b""),
        (LIST_MACHINES, b""),
        (LIST_DROPS, b""),
        (LIST_ENTRIES, b""),
    )
    await _loop(siege, 500, itertools.cycle(every))


def _request_id() -> str:
    return str(uuid.uuid4())


@attack(BUYER, "300 Drop calls a second at an empty slot of a machine where others buy")
async def refused_drops(siege: Siege) -> None:
    """Each is looked at by the writer."""

    def calls() -> Iterator[tuple[str, bytes]]:
        while True:
            request = drops.DropRequest(request_id=_request_id(), slot=siege.target.slot)
            yield DROP, request.SerializeToString()

    await _loop(siege, 300, calls())


@attack(BUYER, "300 transfers a second of one credit")
async def transfers(siege: Siege) -> None:
    """Each is a commit, and an entry that is kept for ever."""

    def calls() -> Iterator[tuple[str, bytes]]:
        while True:
            request = accounts.TransferCreditsRequest(
                request_id=_request_id(), recipient="accounts/typist-c", credits=1
            )
            yield TRANSFER, request.SerializeToString()

    await _loop(siege, 300, calls())


@attack(BUYER, "200 scheduled drops a second at the stolen machine, and the same request again")
async def scheduled_drops(siege: Siege) -> None:
    """More than a machine takes; repeated requests must cost no more than a look."""

    def calls() -> Iterator[tuple[str, bytes]]:
        while True:
            request = drops.DropRequest(
                request_id=_request_id(), slot=f"machines/{siege.target.machine}/slots/1"
            )
            request.delay.FromSeconds(300)
            message = request.SerializeToString()
            yield DROP, message
            yield DROP, message

    await _loop(siege, 200, calls())


@attack(BUYER, "20 logins a second with the right password")
async def right_logins(siege: Siege) -> None:
    """Each costs a password's hash and a token that is kept."""
    credentials = accounts.PasswordCredentials(
        account=f"accounts/{siege.target.buyer}", password=siege.target.password
    )
    request = accounts.LoginRequest(password=credentials).SerializeToString()
    await _loop(siege, 20, itertools.repeat(("/drink.v1.AccountService/Login", request)))
