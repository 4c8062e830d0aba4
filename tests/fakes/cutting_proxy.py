"""A TCP proxy before PostgreSQL that cuts a connection behind a chosen byte or message."""

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from typing import Self

from scripts.proxy import Way

CHUNK_BYTES = 65_536
"""Bytes read at a time."""


LIMIT_S = 20
"""Seconds in which a thread ends once its connection has."""

HEADER_BYTES = 5
"""A message begins with its type and, in four bytes, the length of all but the type:
https://www.postgresql.org/docs/current/protocol-overview.html."""


@dataclass(slots=True)
class Passed:
    """What has passed in one direction since the proxy was armed.

    Attributes:
        count: Bytes.
        ends: Behind which of them a message has ended, if the first one began one.
    """

    count: int = 0
    ends: list[int] = field(default_factory=list)
    _unread: bytes = b""

    def add(self, data: bytes) -> None:
        """Counts bytes."""
        self.count += len(data)
        self._unread += data
        while len(self._unread) >= HEADER_BYTES:
            length = 1 + max(4, int.from_bytes(self._unread[1:HEADER_BYTES], "big"))
            if len(self._unread) < length:
                break
            self._unread = self._unread[length:]
            self.ends.append(self.count - len(self._unread))


@dataclass(frozen=True, slots=True)
class Cut:
    """A place in what passes in one direction.

    Attributes:
        way: The direction.
        bytes: Behind so many bytes
        messages: that follow so many messages.
    """

    way: Way
    bytes: int
    messages: int = 0

    def place(self, passed: Passed) -> int | None:
        """Behind which byte it is; None if that is not known yet."""
        if self.messages > len(passed.ends):
            return None
        return (passed.ends[self.messages - 1] if self.messages else 0) + self.bytes


class CuttingProxy:
    """Stands before a server on the loopback address; a context manager.

    Args:
        port: The server's port.

    Attributes:
        port: Where to dial.
        passed: What was passed on in each direction since the last `arm`.
        cuts: Connections that were cut at a chosen place.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._ends: list[socket.socket] = []
        self._cut: Cut | None = None
        self.passed = {way: Passed() for way in Way}
        self.cuts = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # Wakes the thread that listens.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(LIMIT_S)

    def arm(self, cut: Cut | None) -> None:
        """Cuts the connection that comes to a place, counted from now; None: no one."""
        with self._lock:
            self._cut = cut
            self.passed = {way: Passed() for way in Way}

    def cut_all(self) -> None:
        """Cuts all connections now; what is sent on them afterwards is not counted."""
        with self._lock:
            ends, threads = list(self._ends), list(self._threads)
        for end in ends:
            _shut(end)
        for thread in threads:
            thread.join(LIMIT_S)

    def _listen(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._server_port))
            with self._lock:
                self._ends += near, far
                self._threads = [thread for thread in self._threads if thread.is_alive()]
                for one, other, way in ((near, far, Way.UP), (far, near, Way.DOWN)):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    passing = (one, other, way)
                    thread = threading.Thread(target=self._pass_on, args=passing, daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _pass_on(self, source: socket.socket, target: socket.socket, way: Way) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                data, is_last = self._take(way, data)
                target.sendall(data)
                if is_last:
                    break
        for end in (source, target):
            _shut(end)
        with self._lock:
            self._ends.remove(source)
        source.close()

    def _take(self, way: Way, data: bytes) -> tuple[bytes, bool]:
        """What to pass on of some bytes, and whether the connection is cut behind it."""
        with self._lock:
            passed, before = self.passed[way], self.passed[way].count
            passed.add(data)
            if self._cut is None or self._cut.way is not way:
                return data, False
            place = self._cut.place(passed)
            if place is None or place > passed.count:
                return data, False
            self._cut = None
            self.cuts += 1
            return data[: place - before], True


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
