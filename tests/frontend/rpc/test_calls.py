"""Peers of calls: addresses in each notation, and the networks that count as one place."""

import pytest

from drink_frontend.rpc.calls import LOCAL, Peer, parse_peer, peer_at


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("ipv4:192.0.2.1:4000", Peer("192.0.2.1", 4000, "192.0.2.1")),
        ("ipv6:%5B2001:db8:1:2:3::4%5D:4000", Peer("2001:db8:1:2:3::4", 4000, "2001:db8:1:2::/64")),
        ("ipv6:[::1]:4000", Peer("::1", 4000, "::/64")),
        ("ipv6:%5B::ffff:192.0.2.1%5D:4000", Peer("192.0.2.1", 4000, "192.0.2.1")),
        ("ipv6:%5Bfe80::1%25eth0%5D:4000", Peer("fe80::1", 4000, "fe80::/64")),
        ("unix:/run/drink", Peer(LOCAL, 0, LOCAL)),
        ("unknown", Peer(LOCAL, 0, LOCAL)),
    ],
)
def test_reads_what_grpc_writes(text: str, peer: Peer) -> None:
    assert parse_peer(text) == peer


def test_a_network_of_64_bits_is_one_place_and_the_next_is_another() -> None:
    assert peer_at("2001:db8::1", 1).place == peer_at("2001:db8::ffff:ffff:ffff:ffff", 2).place
    assert peer_at("2001:db8::1", 1).place != peer_at("2001:db8:0:1::1", 1).place


def test_the_operating_systems_notation_is_the_same_peer() -> None:
    assert peer_at("::ffff:192.0.2.1", 4000) == parse_peer("ipv4:192.0.2.1:4000")
