"""Lets the system ignore attempts to connect from some addresses, at no cost for the process.

A filter on a listening socket sees each segment that opens a connection (classic BPF, Linux's
`SO_ATTACH_FILTER`; it needs no privilege). A segment that it drops is lost for its sender, whose
system sends it again after 1 s, 3 s and so on. Connections that are open stay as they are.
"""

import ctypes
import ipaddress
import socket
import struct
from collections.abc import Iterable, Sequence

PLACES_MAX = 256
"""Places that one filter names. The system counts the filter in the memory of each connection's
options, some 20 KB at least; this many IPv6 networks take half of it."""

_SO_ATTACH_FILTER = 26
_LOAD_WORD, _LOAD_BYTE, _AND, _JUMP, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x30, 0x54, 0x05, 0x15, 0x06
_NETWORK_HEADER = 0xFFF0_0000
_TCP_FLAGS, _SYN_ACK, _SYN = 13, 0x12, 0x02
_IP4_SOURCE, _IP6_SOURCE = _NETWORK_HEADER + 12, _NETWORK_HEADER + 8
_DROP, _PASS = 0, 0xFFFF_FFFF

Instruction = tuple[int, int, int, int]
"""Code, instructions to skip if a comparison is true and if it is false, and operand."""


def ignore(listener: socket.socket, places: Iterable[str]) -> bool:
    """Ignores attempts to connect from these places, and no longer from those of earlier calls.

    Args:
        listener: A listening TCP socket.
        places: IPv4 addresses and IPv6 networks of 64 bits; the first PLACES_MAX of them count.

    Returns:
        Whether the system has such filters.
    """
    code = program(list(places)[:PLACES_MAX])
    packed = b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    filter_at = struct.pack("@HP", len(code), ctypes.addressof(buffer))
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_at)
    except OSError:
        return False
    return True


def program(places: Sequence[str]) -> list[Instruction]:
    """The filter's instructions; what is neither IPv4 nor IPv6 is not in it."""
    networks = [network for place in places if (network := _network(place)) is not None]
    ip4 = [
        instruction
        for network in networks
        if network.version == 4
        for instruction in _drop_if(int(network.network_address))
    ]
    ip6 = [
        instruction
        for network in networks
        if network.version == 6
        for instruction in _drop_if_both(int(network.network_address) >> 64)
    ]
    return [
        # Only what opens a connection: SYN without ACK.
        (_LOAD_BYTE, 0, 0, _TCP_FLAGS),
        (_AND, 0, 0, _SYN_ACK),
        (_JUMP_IF_EQUAL, 1, 0, _SYN),
        (_RETURN, 0, 0, _PASS),
        # A listener for both families gets segments of both.
        (_LOAD_BYTE, 0, 0, _NETWORK_HEADER),
        (_AND, 0, 0, 0xF0),
        (_JUMP_IF_EQUAL, 1, 0, 0x40),
        (_JUMP, 0, 0, len(ip4) + 2),
        (_LOAD_WORD, 0, 0, _IP4_SOURCE),
        *ip4,
        (_RETURN, 0, 0, _PASS),
        *ip6,
        (_RETURN, 0, 0, _PASS),
    ]


def _drop_if(address: int) -> Sequence[Instruction]:
    return (_JUMP_IF_EQUAL, 0, 1, address), (_RETURN, 0, 0, _DROP)


def _drop_if_both(upper: int) -> Sequence[Instruction]:
    """Compares the 64 bits of a network, as two words."""
    return (
        (_LOAD_WORD, 0, 0, _IP6_SOURCE),
        (_JUMP_IF_EQUAL, 0, 3, upper >> 32),
        (_LOAD_WORD, 0, 0, _IP6_SOURCE + 4),
        (_JUMP_IF_EQUAL, 0, 1, upper & 0xFFFF_FFFF),
        (_RETURN, 0, 0, _DROP),
    )


def _network(place: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(place)
    except ValueError:
        return None
