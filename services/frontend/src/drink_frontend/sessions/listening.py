"""Sockets that listen."""

import socket

from drink_frontend.domain.origin import normalized

BACKLOG = 1024
"""Connections that the system holds until they are accepted; a burst of all clients of a campus."""


def listen(
    address: str, port: int, *, received_max: int | None = None, unsent_max: int | None = None
) -> socket.socket:
    """A socket that listens; on `::` for both families, wherever the system can.

    Args:
        address: IP address.
        port: TCP port; 0 takes any free one.
        received_max: Bytes that the system holds for each connection until they are read. It
            would grow to megabytes on its own.
        unsent_max: Bytes that it holds for each peer that does not read.

    Raises:
        OSError: the port cannot be had.
    """
    door = socket.create_server(
        (address, port),
        family=socket.AF_INET6 if ":" in address else socket.AF_INET,
        backlog=BACKLOG,
        dualstack_ipv6=address == "::" and socket.has_dualstack_ipv6(),
    )
    for option, limit in ((socket.SO_RCVBUF, received_max), (socket.SO_SNDBUF, unsent_max)):
        if limit is not None:
            door.setsockopt(socket.SOL_SOCKET, option, limit)
    door.setblocking(False)
    return door


def keep_alive(door: socket.socket, *, idle_s: int, interval_s: int, probes: int) -> None:
    """Has the system find out whether silent peers are still there; accepted sockets inherit it.

    Args:
        door: A socket that listens.
        idle_s: Seconds of silence before the first probe.
        interval_s: Seconds between two probes.
        probes: Unanswered probes after which the connection is lost.
    """
    door.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    door.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle_s)
    door.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval_s)
    door.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, probes)


def ip_address(name: tuple[str, int] | None) -> str:
    """The IP address of one end of a connection in its one spelling; empty if unknown."""
    return normalized(str(name[0])) if name else ""
