"""Listening sockets, and the TCP connections that this process has accepted.

gRPC accepts connections by itself, and neither reports their number nor closes one. The operating
system does both: it lists the open files of a process, and a connection that is shut down ends for
its user as if its peer had closed it.
"""

import os
import socket
import stat
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from drink_frontend.domain.origin import normalized
from drink_frontend.system import connection_filter

BACKLOG = 1024
"""Connections that the system holds until they are accepted: a burst of all clients of a campus."""

OPEN_FILES = "/proc/self/fd"
"""Where Linux lists the open files of a process."""

_BYTES_RECEIVED, _BYTES_RECEIVED_AT = struct.Struct("=Q"), 128


def listen(
    address: str, port: int, *, received_max: int | None = None, unsent_max: int | None = None
) -> socket.socket:
    """A listening socket; on `::` for both families where the system supports that.

    Args:
        address: IP address.
        port: TCP port; 0 takes any free one.
        received_max: Bytes that the system holds for each connection until they are read; by
            default it may hold megabytes.
        unsent_max: Bytes that it holds for each peer that does not read.

    Raises:
        OSError: the port is in use or not permitted.
    """
    listener = socket.create_server(
        (address, port),
        family=socket.AF_INET6 if ":" in address else socket.AF_INET,
        backlog=BACKLOG,
        dualstack_ipv6=address == "::" and socket.has_dualstack_ipv6(),
    )
    for option, limit in ((socket.SO_RCVBUF, received_max), (socket.SO_SNDBUF, unsent_max)):
        if limit is not None:
            listener.setsockopt(socket.SOL_SOCKET, option, limit)
    listener.setblocking(False)
    return listener


def keep_alive(listener: socket.socket, *, idle_s: int, interval_s: int, probes: int) -> None:
    """Lets the system probe silent peers of accepted sockets, which inherit the options.

    Args:
        listener: A listening socket.
        idle_s: Seconds of silence before the first probe.
        interval_s: Seconds between two probes.
        probes: Unanswered probes after which the connection is lost.
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle_s)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval_s)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, probes)


def endpoint_address(endpoint: tuple[str, int] | None) -> str:
    """The normalized IP address of one end of a connection; empty if the end is unknown."""
    return normalized(str(endpoint[0])) if endpoint else ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A connection that was accepted.

    Attributes:
        inode: Identifies the socket among all open sockets of the host.
        local_port: The local port.
        address: The peer's IP address.
        port: The peer's port.
    """

    inode: int
    local_port: int
    address: str
    port: int


class AcceptedConnections:
    """Finds the connections to ports of this process, and ends them.

    Attributes:
        received: Bytes received until the last `look`, by inode, where they were counted.
    """

    def __init__(self) -> None:
        self.received: Mapping[int, int] = {}
        self._known: dict[int, Accepted | None] = {}
        self._descriptors: dict[int, int] = {}
        self._listening: dict[int, dict[int, int]] = {}

    def look(
        self, ports: Collection[int], uncounted: Collection[int] = frozenset()
    ) -> Sequence[Accepted]:
        """The open connections to these ports; none on systems without `/proc/self/fd`.

        Takes two microseconds for each known open file, four where bytes are counted, and ten for a
        new one.

        Args:
            ports: Local ports.
            uncounted: Inodes of connections whose bytes need not be counted.
        """
        known: dict[int, Accepted | None] = {}
        descriptors: dict[int, int] = {}
        for inode, descriptor in _sockets():
            if inode not in self._known:
                self._known[inode] = _accepted(inode, descriptor)
            known[inode] = self._known[inode]
            descriptors[inode] = descriptor
        self._known, self._descriptors = known, descriptors
        there = [each for each in known.values() if each is not None and each.local_port in ports]
        self.received = {
            each.inode: received
            for each in there
            if each.inode not in uncounted
            and (received := _received(descriptors[each.inode])) is not None
        }
        return there

    def cut(self, connection: Accepted) -> bool:
        """Ends a connection; False if it has ended already."""
        mine = _duplicate(self._descriptors.get(connection.inode, -1), connection.inode)
        if mine is None:
            return False
        with mine:
            try:
                mine.shutdown(socket.SHUT_RDWR)
            except OSError:
                return False
        return True

    def ignore(self, port: int, places: Sequence[str]) -> bool:
        """Ignores attempts to connect to a port from these places, and from no others.

        Returns:
            Whether the system can do that.
        """
        listening = self._listening.get(port)
        if listening is None:
            listening = self._listening[port] = {
                inode: descriptor for inode, descriptor in _sockets() if _listens(descriptor, port)
            }
        done = False
        for inode, descriptor in listening.items():
            mine = _duplicate(descriptor, inode)
            if mine is not None:
                with mine:
                    done = connection_filter.ignore(mine, places)
        return done


def _duplicate(descriptor: int, inode: int) -> socket.socket | None:
    """The socket with this inode; None if the descriptor is closed or another file's by now."""
    try:
        # A duplicate, so that the number cannot be reused for another file meanwhile.
        mine = socket.socket(fileno=os.dup(descriptor))
    except OSError:
        return None
    if os.fstat(mine.fileno()).st_ino == inode:
        return mine
    mine.close()
    return None


def _listens(descriptor: int, port: int) -> bool:
    """Whether a socket listens on a TCP port."""
    try:
        borrowed = socket.socket(fileno=descriptor)
    except OSError:
        return False
    try:
        return (
            borrowed.family in (socket.AF_INET, socket.AF_INET6)
            and bool(borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
            and borrowed.getsockname()[1] == port
        )
    except OSError:
        return False
    finally:
        borrowed.detach()


def _sockets() -> list[tuple[int, int]]:
    """Inode and descriptor of each open socket."""
    found: list[tuple[int, int]] = []
    try:
        # Paths as objects would take three times as long.
        descriptors = map(int, os.listdir(OPEN_FILES))  # noqa: PTH208
    except OSError:
        return found
    for descriptor in descriptors:
        try:
            status = os.fstat(descriptor)
        except OSError:
            continue  # Closed in the meantime.
        if stat.S_ISSOCK(status.st_mode):
            found.append((status.st_ino, descriptor))
    return found


def _accepted(inode: int, descriptor: int) -> Accepted | None:
    """The connection of a socket; None if it is not an accepted TCP connection."""
    try:
        borrowed = socket.socket(fileno=descriptor)
    except OSError:
        return None
    try:
        if borrowed.family not in (socket.AF_INET, socket.AF_INET6):
            return None
        address, port = borrowed.getpeername()[:2]
        return Accepted(inode, borrowed.getsockname()[1], address, port)
    except OSError:
        return None
    finally:
        borrowed.detach()


def _received(descriptor: int) -> int | None:
    """Bytes received on a TCP connection; None if the system does not provide them."""
    try:
        borrowed = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=descriptor)
    except OSError:
        return None
    try:
        # tcpi_bytes_received of Linux's struct tcp_info, which is only extended at its end.
        size = _BYTES_RECEIVED.size + _BYTES_RECEIVED_AT
        info = borrowed.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size)
        return int(_BYTES_RECEIVED.unpack_from(info, _BYTES_RECEIVED_AT)[0])
    except (OSError, struct.error):
        return None
    finally:
        borrowed.detach()
