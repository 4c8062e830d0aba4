"""Connections without a call are counted and logged."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from drink_frontend.rpc.calls import Peer, peer_at
from drink_frontend.rpc.uncalled import CALLERS_MAX, CHANNELZ, Uncalled, next_number

LIMIT_S = 30


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """The port of a server without services."""
    server = grpc.aio.server(options=[CHANNELZ])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield port
    await server.stop(None)


def connect(port: int, times: int) -> None:
    """Sends junk so often, and waits until the server has hung up each time."""
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
    uncalled = Uncalled(0.05, 5)
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


def count(uncalled: Uncalled, opened: int, now: float) -> list[dict[str, Any]]:
    """The lines that are logged when that many connections have been opened."""
    with capture_logs() as lines:
        uncalled.count(opened, now, lambda: Counter({"192.0.2.1": 2, "192.0.2.2": 3}))
    return [dict(line) for line in lines]


def test_connections_that_call_are_not_logged_and_count_once() -> None:
    uncalled = Uncalled(60, 3)
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
    uncalled = Uncalled(60, 3)
    for number in range(20):
        assert not count(uncalled, 1, number * 2)
        uncalled.called(peer(number))
    assert not count(uncalled, 2, 50)


def test_fault_66_connections_without_a_call_are_logged_at_once_and_then_once_a_minute() -> None:
    uncalled = Uncalled(60, 30)
    lines = [(at, line) for at in range(2, 302, 2) for line in count(uncalled, 40, at)]
    assert [at for at, _ in lines] == [2, 62, 122, 182, 242]
    assert [line["connections"] for _, line in lines] == [40] + [40 * 30] * 4
    # Once it is over, the next attack is logged at once again.
    assert not [line for at in range(302, 422, 2) for line in count(uncalled, 0, at)][1:]
    assert count(uncalled, 30, 424)


def test_few_connections_without_a_call_are_not_logged() -> None:
    uncalled = Uncalled(60, 30)
    assert not [line for at in range(5, 605, 5) for line in count(uncalled, 2, at)]


def test_handshakes_that_fail_are_connections_without_a_call() -> None:
    uncalled = Uncalled(60, 3)
    for _ in range(8):
        uncalled.handshakes.begun()
    uncalled.called(peer(1))
    [line] = count(uncalled, 2, 2)
    assert (line["connections"], line["failed_handshakes"]) == (7, 6)


def test_so_many_callers_are_remembered_and_no_more() -> None:
    uncalled = Uncalled(60, 3)
    for number in range(3 * CALLERS_MAX):
        uncalled.called(peer(number))
    assert len(uncalled._callers) == CALLERS_MAX
