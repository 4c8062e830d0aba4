"""Limits of connections: strangers' connections are closed first, so that places stay free."""

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from drink.v1 import account_service_pb2, machine_link_service_pb2_grpc, machine_service_pb2
from drink_frontend.rpc.calls import peer_at
from drink_frontend.rpc.connection_limits import (
    COMFORTABLE,
    CUTS_LOGGED,
    Connection,
    ConnectionLimits,
    Use,
)
from drink_frontend.rpc.connection_limits import to_close as choose
from drink_frontend.rpc.settings import ConnectionSettings
from drink_frontend.system.sockets import Accepted, AcceptedConnections
from tests.support.http2 import Http2Connection
from tests.support.rpc_frontend import AGENT_D, ANN, LIMIT_S, Frontend, read, running_frontend


class House:
    """Connections in the order in which they came."""

    def __init__(self) -> None:
        self.all: list[Connection] = []

    def add(
        self, count: int = 1, address: str = "192.0.2.1", owner: str = "", calls: int = 0
    ) -> list[Connection]:
        added = []
        for _ in range(count):
            age = len(self.all)
            accepted = Accepted(age, 50051, address, 1_000 + age)
            peer = peer_at(address, 1_000 + age)
            self.all.append(Connection(accepted, peer, age, Use(owner, calls)))
            added.append(self.all[-1])
        return added

    def closed(self, connections_max: int, **limits: Any) -> list[Connection]:
        return list(choose(self.all, connections_max, ConnectionSettings(**limits)))


def test_no_connection_is_closed_below_the_limits() -> None:
    house = House()
    house.add(75)
    assert house.closed(100) == []


def test_the_oldest_strangers_without_a_call_make_way_first() -> None:
    house = House()
    watching = house.add(1, calls=1)
    idle = house.add(79)
    assert house.closed(100) == idle[:5]
    assert watching[0] not in house.closed(4)[:79]


def test_fault_66_strangers_of_the_address_with_most_connections_are_closed_first() -> None:
    house = House()
    known = house.add(20, owner="account alice")
    links = house.add(10, owner="machine d", calls=1)
    quiet = house.add(5, "192.0.2.9")
    crowd = house.add(60, "192.0.2.66")
    closed = house.closed(100)
    assert closed == crowd[:20]
    assert not {each.age for each in closed} & {each.age for each in (*known, *links, *quiet)}


def test_an_address_has_so_many_and_only_its_strangers_make_way() -> None:
    house = House()
    known = house.add(3, owner="account alice")
    strangers = house.add(4)
    house.add(2, "192.0.2.2")
    assert house.closed(1_000, per_address_max=5) == strangers[:2]
    assert known[0] not in house.closed(1_000, per_address_max=1)


def test_an_account_has_so_many_and_those_with_calls_stay() -> None:
    house = House()
    busy = house.add(2, owner="account alice", calls=1)
    idle = house.add(3, owner="account alice")
    house.add(3, owner="account bob")
    assert house.closed(1_000, per_account_max=3) == idle[:2]
    assert busy[0] not in house.closed(1_000, per_account_max=1)


def test_without_strangers_idle_connections_of_the_largest_owner_are_closed() -> None:
    house = House()
    house.add(10, owner="account bob")
    many = house.add(40, owner="account alice")
    links = house.add(40, owner="machine d", calls=1)
    closed = house.closed(100)
    assert closed == many[:15]
    assert links[0] not in house.closed(4)


class Ports(AcceptedConnections):
    """The open connections, as set by a test."""

    def __init__(self) -> None:
        super().__init__()
        self.there: list[Accepted] = []
        self.cuts: list[Accepted] = []
        self.ignored: list[str] = []
        self.uncounted: set[int] = set()
        self.now = 0.0

    def look(self, ports: Any, uncounted: Any = frozenset()) -> list[Accepted]:
        self.uncounted = set(uncounted)
        return list(self.there)

    def cut(self, connection: Accepted) -> bool:
        self.cuts.append(connection)
        return True

    def ignore(self, port: int, places: Sequence[str]) -> bool:
        self.ignored = list(places)
        return True


def watched(**limits: Any) -> tuple[Ports, ConnectionLimits]:
    ports = Ports()
    connections = ConnectionLimits(ConnectionSettings(**limits), ports, lambda: ports.now)
    connections.add_listener(50051, 8)
    return ports, connections


def test_what_was_called_before_the_first_look_counts() -> None:
    ports, connections = watched()
    ports.there = [Accepted(number, 50051, "192.0.2.1", number) for number in range(8)]
    for number in range(2):
        connections.set_owner(peer_at("192.0.2.1", number), "account alice")
    connections.enforce(connections.list_open())
    assert [each.port for each in ports.cuts] == [2, 3]
    assert connections.crowded


def test_the_next_connection_from_a_port_is_a_strangers_again() -> None:
    ports, connections = watched()
    connections.set_owner(peer_at("192.0.2.1", 1), "account alice")
    connections.enforce([Accepted(1, 50051, "192.0.2.1", 1)])
    for _ in range(2):
        connections.enforce([])
    connections.enforce([Accepted(10 + port, 50051, "192.0.2.1", port) for port in range(1, 8)])
    assert [each.port for each in ports.cuts] == [1]


def test_links_and_gateways_may_send_without_calls_and_others_may_not() -> None:
    limits = {"noise_bytes_per_s": 1_024, "noise_bytes_burst": 8_192}
    ports, connections = watched(**limits)
    ports.there = [Accepted(number, 50051, "192.0.2.1", number) for number in range(4)]
    for number, owner in enumerate(("machine d", "gateway", "account alice")):
        connections.set_owner(peer_at("192.0.2.1", number), owner)
    for looks in range(1, 8):
        ports.now, ports.received = looks, dict.fromkeys(range(4), looks * 100_000)
        connections.enforce(connections.list_open())
    assert {each.port for each in ports.cuts} == {2, 3}
    assert ports.uncounted == {0, 1}


def test_a_connection_that_goes_and_comes_back_is_another_one() -> None:
    ports, connections = watched()
    peer = peer_at("192.0.2.1", 1)
    for inode in range(3):
        ports.there = [Accepted(inode, 50051, "192.0.2.1", 1)]
        connections.enforce(connections.list_open())
        assert connections.cut(peer)
        ports.there = []
        connections.enforce(connections.list_open())
    assert [each.inode for each in ports.cuts] == [0, 1, 2]
    assert not connections.cut(peer)


def test_calls_that_end_after_their_connection_are_counted_down() -> None:
    ports, connections = watched()
    peer = peer_at("192.0.2.1", 1)
    ports.there = [Accepted(1, 50051, "192.0.2.1", 1)]
    connections.began(peer)
    connections.enforce(connections.list_open())
    ports.there = []
    for _ in range(3):
        connections.enforce(connections.list_open())
    assert [use.calls for use in connections._unfound.values()] == [1]
    connections.ended(peer)
    assert connections._unfound == {}


def test_nothing_is_kept_of_connections_that_are_gone() -> None:
    _, connections = watched()
    for number in range(100):
        peer = peer_at("192.0.2.1", number)
        connections.began(peer)
        connections.set_owner(peer, "account alice")
        connections.ended(peer)
    for _ in range(2):
        connections.enforce([])
    assert connections._unfound == {}


def test_a_connection_that_was_not_seen_yet_can_be_cut() -> None:
    ports, connections = watched()
    assert not connections.cut(peer_at("192.0.2.1", 7))
    ports.there = [Accepted(1, 50051, "192.0.2.1", 7)]
    assert connections.cut(peer_at("192.0.2.1", 7))


def test_closing_is_logged_and_a_flood_of_it_is_not() -> None:
    ports, connections = watched()
    ports.there = [Accepted(number, 50051, "192.0.2.1", number) for number in range(9)]
    with capture_logs() as logs:
        for _ in range(CUTS_LOGGED + 3):
            connections.enforce(connections.list_open())
    logs = [line for line in logs if line["event"] == "connections_closed"]
    assert len(logs) == CUTS_LOGGED
    expected = ("connections_closed", 3, "192.0.2.1")
    assert (logs[0]["event"], logs[0]["closed"], logs[0]["most_from"]) == expected


async def silent(frontend: Frontend, count: int, stack: contextlib.AsyncExitStack) -> None:
    """Opens `count` connections that send nothing, and ignores whether they are closed."""
    for _ in range(count):
        connection = socket.socket()
        connection.setblocking(False)
        stack.callback(connection.close)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", frontend.port))


@pytest.mark.parametrize("greets", [False, True], ids=["silent", "http2"])
async def test_fault_66_idle_connections_do_not_keep_others_out(greets: bool) -> None:
    looks = {"look_interval_s": 0.05, "look_interval_crowded_s": 0.02}
    limits = {"max": 40, "opening": {"pause_max_s": 0}} | looks
    async with (
        running_frontend(connections=limits, handshake_timeout_s=60) as frontend,
        contextlib.AsyncExitStack() as stack,
    ):
        link = frontend.link_stub.Connect(metadata=AGENT_D, timeout=LIMIT_S)
        await link.wait_for_connection()
        await frontend.call(account_service_pb2.GetAccountRequest(), ANN)
        if greets:
            for _ in range(120):
                client = await Http2Connection.connect("127.0.0.1", frontend.port)
                stack.push_async_callback(client.close)
        else:
            await silent(frontend, 400, stack)
        async with grpc.aio.insecure_channel(frontend.target) as channel:
            method: Any = channel.unary_unary("/drink.v1.MachineService/ListMachines")
            await method(b"", timeout=LIMIT_S, wait_for_ready=True)
        await frontend.call(account_service_pb2.GetAccountRequest(), ANN)
        assert not link.done()
        link.cancel()


async def test_fault_66_a_connection_with_a_link_or_an_account_is_not_closed_for_strangers() -> (
    None
):
    looks = {"look_interval_s": 0.02, "look_interval_crowded_s": 0.02}
    limits = {"max": 16, "opening": {"pause_max_s": 0}} | looks
    async with (
        running_frontend(connections=limits) as frontend,
        contextlib.AsyncExitStack() as stack,
    ):
        watch = frontend.call(machine_service_pb2.WatchMachinesRequest())
        await read(watch)
        await frontend.call(account_service_pb2.GetAccountRequest(), ANN)
        clients = []
        for _ in range(int(16 * COMFORTABLE) + 2):
            clients.append(await Http2Connection.connect("127.0.0.1", frontend.port))
            stack.push_async_callback(clients[-1].close)
        await asyncio.wait_for(clients[0].closed.wait(), LIMIT_S)
        assert not watch.done()
        watch.cancel()


async def test_fault_66_a_place_of_silent_calls_gets_no_new_connections_and_keeps_its_others() -> (
    None
):
    limits = {"opening": {"per_s": 0.1}, "misused_cost": 1_024, "look_interval_s": 0.02}
    waiting = {"waiting_per_connection_max": 1, "silent_calls_max": 1}
    async with running_frontend(connections=limits, admission=waiting) as frontend:
        await frontend.call(account_service_pb2.GetAccountRequest(), ANN)
        client = await Http2Connection.connect("127.0.0.1", frontend.port)
        for _ in range(2):
            client.write(client.headers("/drink.v1.MachineService/ListMachines"))
        await asyncio.wait_for(client.closed.wait(), LIMIT_S)
        await client.close()
        # An attempt that is ignored is repeated after a second for the first time.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.open_connection("127.0.0.1", frontend.port), 0.5)
        await frontend.call(account_service_pb2.GetAccountRequest(), ANN)


def test_connections_of_accounts_do_not_count_when_many_are_opened() -> None:
    ports, connections = watched(opening={"burst": 4, "per_s": 0.1})
    ports.there = [Accepted(number, 50051, "192.0.2.1", number) for number in range(3)]
    connections.enforce(ports.there)
    for number in range(6):
        connections.set_owner(peer_at("192.0.2.1", number), "account alice")
    ports.there = [Accepted(number, 50051, "192.0.2.1", number) for number in range(6)]
    connections.enforce(ports.there)
    assert ports.ignored == []


def test_a_connection_that_is_closed_twice_counts_once() -> None:
    ports, connections = watched(misused_cost=1, opening={"burst": 4, "per_s": 0.1})
    ports.there = [Accepted(1, 50051, "192.0.2.1", 7)]
    for _ in range(8):
        connections.cut(peer_at("192.0.2.1", 7))
    assert len(ports.cuts) == 1
    assert ports.ignored == []


def test_a_connection_of_an_account_that_is_closed_pauses_nobody() -> None:
    ports, connections = watched(misused_cost=10_000)
    ports.there = [Accepted(1, 50051, "192.0.2.1", 7)]
    connections.set_owner(peer_at("192.0.2.1", 7), "account alice")
    assert connections.cut(peer_at("192.0.2.1", 7))
    assert ports.ignored == []
    assert not connections.is_suspect(peer_at("192.0.2.1", 7))


def test_others_from_the_place_of_a_misused_connection_are_suspects_for_a_while() -> None:
    ports, connections = watched(opening={"pause_max_s": 5})
    ports.there = [
        Accepted(1, 50051, "192.0.2.1", 7),
        Accepted(2, 50051, "192.0.2.1", 8),
        Accepted(3, 50051, "192.0.2.2", 9),
    ]
    connections.cut(peer_at("192.0.2.1", 7))
    assert connections.is_suspect(peer_at("192.0.2.1", 8))
    assert not connections.is_suspect(peer_at("192.0.2.2", 9))
    ports.now = 5
    assert not connections.is_suspect(peer_at("192.0.2.1", 8))


async def test_fault_66_strangers_on_the_buyers_listener_take_no_place_on_that_for_links() -> None:
    links = {"listen": True, "port": 0}
    limits = {"max": 8, "look_interval_s": 60, "opening": {"pause_max_s": 0}}
    async with (
        running_frontend(connections=limits, links=links) as frontend,
        contextlib.AsyncExitStack() as stack,
    ):
        await silent(frontend, 20, stack)
        port = frontend.server.links_port
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub: Any = machine_link_service_pb2_grpc.MachineLinkServiceStub(channel)
            (await frontend.linked(stub)).cancel()
