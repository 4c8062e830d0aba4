import socket

import pytest

from drink_frontend.sessions.listening import ip_address, listen


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
    assert ip_address(name) == address


def test_the_system_holds_no_more_than_it_is_told() -> None:
    with listen("127.0.0.1", 0, received_max=8_192, unsent_max=16_384) as door:
        # Linux doubles what it is told, for its own bookkeeping.
        assert door.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) <= 2 * 8_192
        assert door.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * 16_384
