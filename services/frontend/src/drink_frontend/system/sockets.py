"""The TCP connections that this process has accepted, as the operating system shows them.

A library that accepts connections by itself, as gRPC does, says neither how many it has nor ends
one. The operating system does: it lists the open files of a process, and a connection that is shut
down ends for whoever uses it, as if its peer had closed it.
"""

import os
import re
import socket
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

OPEN_FILES = "/proc/self/fd"
"""Where Linux lists the open files of a process."""

_BYTES_RECEIVED, _BYTES_RECEIVED_AT = struct.Struct("=Q"), 128

_SOCKET = re.compile(r"socket:\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A connection that was accepted.

    Attributes:
        inode: What tells it from every other socket of the host that is open.
        local_port: The port that it came to.
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
        received: Bytes that had come on each connection at the last look, by its inode.
    """

    def __init__(self) -> None:
        self.received: Mapping[int, int] = {}
        self._known: dict[int, Accepted | None] = {}
        self._descriptors: dict[int, int] = {}

    def look(self, ports: Collection[int]) -> Sequence[Accepted]:
        """The connections to these ports that are open now; none where there is no such list.

        Takes a few microseconds for each open file that was there before, and ten for a new one.
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
            if (received := _received(descriptors[each.inode])) is not None
        }
        return there

    def cut(self, connection: Accepted) -> bool:
        """Ends a connection; False if it has ended by itself."""
        descriptor = self._descriptors.get(connection.inode)
        try:
            # A descriptor of our own, so that it cannot become another file's while it is used.
            mine = socket.socket(fileno=os.dup(descriptor if descriptor is not None else -1))
        except OSError:
            return False
        with mine:
            if os.fstat(mine.fileno()).st_ino != connection.inode:
                return False
            try:
                mine.shutdown(socket.SHUT_RDWR)
            except OSError:
                return False
        return True


def _sockets() -> list[tuple[int, int]]:
    """Inode and descriptor of each open socket."""
    found: list[tuple[int, int]] = []
    try:
        # Paths as objects would take three times as long.
        names = os.listdir(OPEN_FILES)  # noqa: PTH208
    except OSError:
        return found
    for name in names:
        try:
            match = _SOCKET.fullmatch(os.readlink(f"{OPEN_FILES}/{name}"))  # noqa: PTH115
        except OSError:
            continue  # Closed in the meantime.
        if match is not None:
            found.append((int(match[1]), int(name)))
    return found


def _accepted(inode: int, descriptor: int) -> Accepted | None:
    """What the socket is connected to; None if it is no TCP connection."""
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
    """Bytes that have come on a TCP connection; None where the system does not tell."""
    try:
        borrowed = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=descriptor)
    except OSError:
        return None
    try:
        # Linux's struct tcp_info, and in it tcpi_bytes_received; it only ever grows at its end.
        size = _BYTES_RECEIVED.size + _BYTES_RECEIVED_AT
        info = borrowed.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size)
        return int(_BYTES_RECEIVED.unpack_from(info, _BYTES_RECEIVED_AT)[0])
    except (OSError, struct.error):
        return None
    finally:
        borrowed.detach()
