"""Listening sockets; and accepted connections, found among the open files of the process."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from drink_frontend.system import sockets
from drink_frontend.system.sockets import (
    Accepted,
    AcceptedConnections,
    endpoint_address,
    listen,
)

Pair = tuple[socket.socket, socket.socket]


class Host:
    """A listening socket and what connects to it."""

    def __init__(self, stack: ExitStack, family: socket.AddressFamily, address: str) -> None:
        self._stack = stack
        self._listening = stack.enter_context(socket.create_server((address, 0), family=family))
        self.port: int = self._listening.getsockname()[1]

    def connect(self) -> Pair:
        client = self._stack.enter_context(
            socket.create_connection(self._listening.getsockname()[:2], timeout=5)
        )
        server, _ = self._listening.accept()
        self._stack.enter_context(server)
        server.settimeout(5)
        return client, server


@pytest.fixture(params=[(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["4", "6"])
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    with ExitStack() as stack:
        yield Host(stack, *request.param)


def found(connections: AcceptedConnections, host: Host) -> dict[int, Accepted]:
    """What is found, by the port of the client."""
    return {each.port: each for each in connections.look({host.port})}


def test_finds_what_was_accepted_and_nothing_else(host: Host) -> None:
    connections = AcceptedConnections()
    assert found(connections, host) == {}
    clients = [host.connect()[0] for _ in range(3)]
    there = found(connections, host)
    assert there.keys() == {client.getsockname()[1] for client in clients}
    assert {each.address for each in there.values()} == {clients[0].getsockname()[0]}
    assert connections.look({host.port + 1}) == []


def test_what_has_closed_is_found_no_more(host: Host) -> None:
    connections = AcceptedConnections()
    client, server = host.connect()
    (first,) = found(connections, host).values()
    server.close()
    assert found(connections, host) == {}
    assert not connections.cut(first)
    client.close()


def test_a_cut_ends_one_connection_at_both_ends_and_leaves_the_others(host: Host) -> None:
    connections = AcceptedConnections()
    client, server = host.connect()
    other, other_server = host.connect()
    assert connections.cut(found(connections, host)[client.getsockname()[1]])
    assert client.recv(1) == b""
    assert server.recv(1) == b""
    other.sendall(b"x")
    assert other_server.recv(1) == b"x"


def test_another_file_under_the_same_descriptor_is_left_alone(host: Host, tmp_path: Path) -> None:
    connections = AcceptedConnections()
    _, server = host.connect()
    (first,) = found(connections, host).values()
    descriptor = server.detach()
    other, other_server = host.connect()
    os.dup2(other_server.fileno(), descriptor)
    try:
        assert not connections.cut(first)
        other.sendall(b"x")
        assert other_server.recv(1) == b"x"
    finally:
        os.close(descriptor)


def test_looking_keeps_no_descriptor(host: Host) -> None:
    connections = AcceptedConnections()
    host.connect()
    before = len(list(Path(sockets.OPEN_FILES).iterdir()))
    for _ in range(50):
        found(connections, host)
    assert len(list(Path(sockets.OPEN_FILES).iterdir())) == before


def test_where_there_is_no_such_list_nothing_is_found(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    host.connect()
    monkeypatch.setattr(sockets, "OPEN_FILES", str(tmp_path / "none"))
    assert AcceptedConnections().look({host.port}) == []


def test_tells_how_much_has_come_on_each(host: Host) -> None:
    connections = AcceptedConnections()
    client, server = host.connect()
    quiet, _ = host.connect()
    there = found(connections, host)
    client.sendall(b"x" * 1_000)
    assert server.recv(1_000, socket.MSG_WAITALL) == b"x" * 1_000
    found(connections, host)
    of = {port: connections.received[each.inode] for port, each in there.items()}
    assert of == {client.getsockname()[1]: 1_000, quiet.getsockname()[1]: 0}
    uncounted = there[quiet.getsockname()[1]].inode
    assert len(connections.look({host.port}, {uncounted})) == 2
    assert connections.received == {there[client.getsockname()[1]].inode: 1_000}


def has_ipv6() -> bool:
    try:
        listen("::1", 0).close()
    except OSError:
        return False
    return True


IPV6 = pytest.param("::1", marks=pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here"))


@pytest.mark.parametrize("address", ["127.0.0.1", IPV6])
def test_listens_on_one_address(address: str) -> None:
    with listen(address, 0) as door:
        assert door.getsockname()[0] == address
        assert not door.getblocking()
        with socket.create_connection((address, door.getsockname()[1])):
            pass


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_listens_on_both_families(address: str) -> None:
    with listen("::", 0) as door, socket.create_connection((address, door.getsockname()[1])):
        pass


def test_a_port_that_is_taken() -> None:
    with listen("127.0.0.1", 0) as door, pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", door.getsockname()[1])


@pytest.mark.parametrize(
    ("name", "address"),
    [
        (("192.0.2.1", 5), "192.0.2.1"),
        (("::ffff:192.0.2.1", 5), "192.0.2.1"),
        (("fe80::1%eth0", 5), "fe80::1"),
        (None, ""),
    ],
)
def test_addresses(name: tuple[str, int] | None, address: str) -> None:
    assert endpoint_address(name) == address


def test_the_system_holds_no_more_than_it_is_told() -> None:
    with listen("127.0.0.1", 0, received_max=8_192, unsent_max=16_384) as door:
        # Linux doubles what it is told, for its own bookkeeping.
        assert door.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) <= 2 * 8_192
        assert door.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * 16_384
