"""Bytes beside calls are limited."""

import asyncio

import pytest
from structlog.testing import capture_logs

from drink_frontend.rpc.calls import peer_at
from drink_frontend.rpc.noise import (
    CALL_BYTES,
    LOOKS_TOO_MUCH,
    Heard,
    Noise,
)
from drink_frontend.rpc.settings import ConnectionSettings
from tests.frontend.rpc.test_messages import everybody_is_served
from tests.support.http2 import Http2Connection, raw_frame
from tests.support.rpc_frontend import LIMIT_S, running_frontend

PING, PRIORITY, WINDOW_UPDATE, UNKNOWN = 6, 2, 8, 0x20
KB = 1024


class Look:
    """Connections, looked at once a second."""

    def __init__(self) -> None:
        limits = ConnectionSettings(noise_bytes_per_s=KB, noise_bytes_burst=8 * KB)
        self.noise = Noise(limits)
        self.now = 0.0
        self.received: dict[int, int] = {}
        self.owners: dict[int, str] = {}

    def come(self, *numbers: int) -> None:
        for number in numbers:
            self.received[number] = 0

    def closed(self) -> list[int]:
        self.now += 1
        there = [
            Heard(number, peer_at("192.0.2.1", number), self.owners.get(number, ""), received)
            for number, received in self.received.items()
        ]
        return [heard.inode for heard in self.noise.judge(there, self.now)]

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
    assert 8 <= looks <= 8 + LOOKS_TOO_MUCH


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


@pytest.mark.parametrize(("owner", "closed"), [("account alice", [1]), ("machine d", [])])
def test_links_may_send_without_calls_and_accounts_may_not(owner: str, closed: list[int]) -> None:
    look = Look()
    look.come(1)
    look.owners[1] = owner
    for _ in range(LOOKS_TOO_MUCH - 1):
        look.received[1] += 100 * KB
        assert look.closed() == []
    look.received[1] += 100 * KB
    assert look.closed() == closed


def test_a_system_that_tells_no_sizes_is_no_reason_to_close_anything() -> None:
    noise = Noise(ConnectionSettings())
    assert noise.judge([Heard(1, peer_at("192.0.2.1", 1), "", None)], 1.0) == []


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
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        assert [line["why"] for line in lines if line["event"] == "connection_cut"]
        await client.close()
        await everybody_is_served(frontend)


async def _send(client: Http2Connection, data: bytes) -> None:
    while True:
        client.write(data)
        await client.drain()
        await asyncio.sleep(0.01)
