"""The filter of a listening socket: attempts to connect from some addresses are ignored."""

import socket
from collections.abc import Iterator

import pytest

from drink_frontend.domain.origin import place
from drink_frontend.system.connection_filter import PLACES_MAX, ignore, program

IGNORED_S = 0.3
"""An attempt that is ignored is repeated after 1 s for the first time, and so fails by then."""


@pytest.fixture(params=["127.0.0.1", "::1", "::"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    is_ip6 = ":" in request.param
    with socket.create_server(
        (request.param, 0),
        family=socket.AF_INET6 if is_ip6 else socket.AF_INET,
        dualstack_ipv6=request.param == "::",
    ) as listener:
        listener.settimeout(5)
        yield listener


def own_address(listener: socket.socket) -> str:
    address = str(listener.getsockname()[0])
    return "127.0.0.1" if address == "::" else address


def connects(listener: socket.socket, *, source: str = "", timeout_s: float = 5) -> bool:
    address = own_address(listener)
    try:
        client = socket.create_connection(
            (address, listener.getsockname()[1]), timeout_s, (source or address, 0)
        )
    except TimeoutError:
        return False
    with client:
        server, _ = listener.accept()
        with server:
            client.sendall(b"hello")
            return server.recv(5) == b"hello"


def test_a_place_is_ignored_until_it_is_named_no_longer(listener: socket.socket) -> None:
    here = place(own_address(listener))
    ignore(listener, ["192.0.2.1", "2001:db8::/64", here])
    assert not connects(listener, timeout_s=IGNORED_S)
    ignore(listener, [])
    assert connects(listener)


def test_all_other_places_connect(listener: socket.socket) -> None:
    ignore(listener, ["127.0.0.2", "192.0.2.1", "2001:db8::/64", "::1:0:0:0:0/64", "local"])
    assert connects(listener)
    if own_address(listener) == "127.0.0.1":
        assert not connects(listener, source="127.0.0.2", timeout_s=IGNORED_S)
        assert connects(listener, source="127.0.0.3")


def test_connections_that_are_open_stay(listener: socket.socket) -> None:
    address = own_address(listener)
    with socket.create_connection((address, listener.getsockname()[1]), 5) as client:
        server, _ = listener.accept()
        with server:
            ignore(listener, [place(address)])
            client.sendall(b"hello")
            server.settimeout(5)
            assert server.recv(5) == b"hello"


def test_a_filter_has_room_for_so_many_networks(listener: socket.socket) -> None:
    ignore(listener, [f"2001:db8:0:{number:x}::/64" for number in range(PLACES_MAX)])
    assert connects(listener)


def test_what_is_no_place_is_not_in_the_filter() -> None:
    assert program(["local", ""]) == program([])
