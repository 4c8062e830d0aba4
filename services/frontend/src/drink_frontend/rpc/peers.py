"""The other end of a connection, as gRPC and the operating system name it."""

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from drink_frontend.domain.origin import normalized, place

PEERS_KEPT = 4_096
"""Peers whose text is parsed once; as many as calls that are under way."""

LOCAL = "local"
"""The address and place of peers that have no IP address, such as Unix sockets."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection.

    Attributes:
        address: Its IP address; LOCAL if it has none.
        port: Its TCP port; 0 if it has none.
        place: What limits per address count it as.
    """

    address: str
    port: int
    place: str


@lru_cache(maxsize=PEERS_KEPT)
def parse_peer(text: str) -> Peer:
    """What gRPC's `peer()` says, such as `ipv4:192.0.2.1:4000` or `ipv6:%5B::1%5D:4000`."""
    family, _, rest = unquote(text).partition(":")
    if family not in ("ipv4", "ipv6"):
        return Peer(LOCAL, 0, LOCAL)
    address, _, port = rest.rpartition(":")
    return peer_at(address.strip("[]"), int(port))


def peer_at(address: str, port: int) -> Peer:
    """The peer at an IP address, in whichever spelling, and a port."""
    return Peer(normalized(address), port, place(address))
