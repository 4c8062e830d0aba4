"""Bytes beside calls are limited, and connections without calls are logged."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from drink_frontend.rpc.calls import Peer, peer_at
from drink_frontend.rpc.connection_abuse import (
    CALL_BYTES,
    CALLERS_MAX,
    CHANNELZ,
    CHECKS_TOO_MUCH,
    ConnectionTraffic,
    TrafficMeter,
    UncalledConnections,
    next_number,
)
from drink_frontend.rpc.settings import ConnectionSettings
from tests.frontend.rpc.test_messages import everybody_is_served
from tests.support.http2 import Http2Connection, raw_frame
from tests.support.rpc_frontend import LIMIT_S, running_frontend
from tests.support.tasks import cancel

PING, PRIORITY, WINDOW_UPDATE, UNKNOWN = 6, 2, 8, 0x20
KB = 1024


class Look:
    """Connections, looked at once a second."""

    def __init__(self) -> None:
        limits = ConnectionSettings(noise_bytes_per_s=KB, noise_bytes_burst=8 * KB)
        self.noise = TrafficMeter(limits)
        self.now = 0.0
        self.received: dict[int, int] = {}
        self.owners: dict[int, str] = {}

    def come(self, *numbers: int) -> None:
        for number in numbers:
            self.received[number] = 0

    def closed(self) -> list[int]:
        self.now += 1
        there = [
            ConnectionTraffic(
                number, peer_at("192.0.2.1", number), self.owners.get(number, ""), received
            )
            for number, received in self.received.items()
        ]
        return [heard.inode for heard in self.noise.excessive(there, self.now)]

    def call(self, number: int) -> None:
        self.noise.called(peer_at("192.0.2.1", number))


def test_a_connection_may_send_so_much_beside_calls() -> None:
    look = Look()
    look.come(1, 2)
    for _ in range(100):
        look.received[1] += KB
        assert look.closed() == []
    looks = 1
    look.received[1] += 2 * KB
    while not (closed := look.closed()):
        look.received[1] += 2 * KB
        looks += 1
    assert closed == [1]
    assert 8 <= looks <= 8 + CHECKS_TOO_MUCH


def test_one_message_that_is_too_large_is_no_reason_to_close_a_connection() -> None:
    look = Look()
    look.come(1)
    look.call(1)
    look.received[1] += 1000 * KB
    for _ in range(10):
        assert look.closed() == []


def test_calls_account_for_what_they_send() -> None:
    look = Look()
    look.come(1)
    for _ in range(20):
        look.call(1)
        look.call(1)
        look.received[1] += 2 * CALL_BYTES
        assert look.closed() == []


@pytest.mark.parametrize(("carried", "closed"), [(40 * KB, []), (0, [1])])
def test_messages_of_a_stream_account_for_what_they_send(carried: int, closed: list[int]) -> None:
    look = Look()
    look.come(1)
    look.call(1)
    found: list[int] = []
    for _ in range(20):
        look.received[1] += 40 * KB
        look.noise.carried(peer_at("192.0.2.1", 1), carried)
        found = found or look.closed()
    assert found == closed


def test_accounts_may_not_send_without_calls() -> None:
    look = Look()
    look.come(1)
    look.owners[1] = "account alice"
    for _ in range(CHECKS_TOO_MUCH - 1):
        look.received[1] += 100 * KB
        assert look.closed() == []
    look.received[1] += 100 * KB
    assert look.closed() == [1]


def test_no_connection_is_closed_where_bytes_are_not_counted() -> None:
    noise = TrafficMeter(ConnectionSettings())
    assert noise.excessive([ConnectionTraffic(1, peer_at("192.0.2.1", 1), "", None)], 1.0) == []


def test_open_connections_without_a_call_are_counted_by_place() -> None:
    look = Look()
    look.come(1, 2, 3)
    look.call(1)
    look.owners[2] = "account alice"
    look.closed()
    look.closed()
    assert look.noise.places_without_call() == {"192.0.2.1": 1}
    look.received.clear()
    look.closed()
    assert not look.noise.places_without_call()


@pytest.mark.parametrize(
    ("kind", "payload"),
    [(PRIORITY, b"\0\0\0\0\7"), (WINDOW_UPDATE, b"\0\0\0\1"), (UNKNOWN, b"x" * 200)],
)
async def test_fault_66_frames_without_end_cost_their_connection(kind: int, payload: bytes) -> None:
    looks = {"look_interval_s": 0.02, "noise_bytes_burst": 2048}
    stream = 3 if kind == PRIORITY else 0
    flood = raw_frame(kind, 0, stream, payload) * (20_000 // (9 + len(payload)))
    async with running_frontend(connections=looks) as frontend:
        client = await Http2Connection.connect("127.0.0.1", frontend.port)
        with capture_logs() as lines:
            sending = asyncio.create_task(_send(client, flood))
            await asyncio.wait_for(client.closed.wait(), LIMIT_S)
            await cancel(sending)
        assert [line["why"] for line in lines if line["event"] == "connection_cut"]
        await client.close()
        await everybody_is_served(frontend)


async def _send(client: Http2Connection, data: bytes) -> None:
    while True:
        client.write(data)
        await client.drain()
        await asyncio.sleep(0.01)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """The port of a server without services."""
    server = grpc.aio.server(options=[CHANNELZ])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield port
    await server.stop(None)


def connect(port: int, times: int) -> None:
    """Sends junk on `count` connections, each of which the server closes."""
    for _ in range(times):
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as peer:
            peer.sendall(b"junk" * 20)
            while peer.recv(4_096):
                continue


def peer(number: int) -> Peer:
    return peer_at("192.0.2.1", number)


async def test_grpc_numbers_its_connections(port: int) -> None:
    before = await asyncio.to_thread(next_number, 0)
    assert await asyncio.to_thread(next_number, before) == before + 1
    await asyncio.to_thread(connect, port, 7)
    assert await asyncio.to_thread(next_number, before) == before + 9


async def test_connections_without_a_call_are_logged_together(port: int) -> None:
    uncalled = UncalledConnections(0.05, 5)
    with capture_logs() as logs:
        following = asyncio.create_task(uncalled.follow(Counter))
        async with asyncio.timeout(LIMIT_S):
            while not logs:
                await asyncio.to_thread(connect, port, 50)
        following.cancel()
        await asyncio.wait([following])
    assert logs[0]["event"] == "connections_without_calls"
    assert logs[0]["log_level"] == "warning"
    assert logs[0]["connections"] >= 5
    assert logs[0]["failed_handshakes"] == 0


def count(uncalled: UncalledConnections, opened: int, now: float) -> list[dict[str, Any]]:
    """The lines that are logged when that many connections have been opened."""
    with capture_logs() as lines:
        uncalled.count(opened, now, lambda: Counter({"192.0.2.1": 2, "192.0.2.2": 3}))
    return [dict(line) for line in lines]


def test_connections_that_call_are_not_logged_and_count_once() -> None:
    uncalled = UncalledConnections(60, 3)
    for number in range(10):
        uncalled.called(peer(number))
        uncalled.called(peer(number))
    assert not count(uncalled, 10, 2)
    # Old ones that call again must not hide new ones that do not.
    for number in range(10):
        uncalled.called(peer(number))
    assert not count(uncalled, 2, 4)
    [line] = count(uncalled, 1, 6)
    assert (line["connections"], line["seconds"], line["most_from"]) == (3, 6, "192.0.2.2")


def test_a_connection_may_call_after_it_was_counted() -> None:
    uncalled = UncalledConnections(60, 3)
    for number in range(20):
        assert not count(uncalled, 1, number * 2)
        uncalled.called(peer(number))
    assert not count(uncalled, 2, 50)


def test_fault_66_connections_without_a_call_are_logged_at_once_and_then_once_a_minute() -> None:
    uncalled = UncalledConnections(60, 30)
    lines = [(at, line) for at in range(2, 302, 2) for line in count(uncalled, 40, at)]
    assert [at for at, _ in lines] == [2, 62, 122, 182, 242]
    assert [line["connections"] for _, line in lines] == [40] + [40 * 30] * 4
    # Once it is over, the next attack is logged at once again.
    assert not [line for at in range(302, 422, 2) for line in count(uncalled, 0, at)][1:]
    assert count(uncalled, 30, 424)


def test_few_connections_without_a_call_are_not_logged() -> None:
    uncalled = UncalledConnections(60, 30)
    assert not [line for at in range(5, 605, 5) for line in count(uncalled, 2, at)]


def test_handshakes_that_fail_are_connections_without_a_call() -> None:
    uncalled = UncalledConnections(60, 3)
    for _ in range(8):
        uncalled.handshakes.begun()
    uncalled.called(peer(1))
    [line] = count(uncalled, 2, 2)
    assert (line["connections"], line["failed_handshakes"]) == (7, 6)


def test_so_many_callers_are_remembered_and_no_more() -> None:
    uncalled = UncalledConnections(60, 3)
    for number in range(3 * CALLERS_MAX):
        uncalled.called(peer(number))
    assert len(uncalled._callers) == CALLERS_MAX
