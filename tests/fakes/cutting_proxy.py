"""A TCP proxy that cuts a connection behind a chosen byte."""

import contextlib
import socket
import threading
from typing import Self

from scripts.proxy import Way

CHUNK_BYTES = 65_536
"""Bytes read at a time."""


LIMIT_S = 10
"""Seconds in which a thread ends once its connection has."""


class CuttingProxy:
    """Stands before a server on the loopback address; a context manager.

    Args:
        port: The server's port.

    Attributes:
        port: Where to dial.
        passed: Bytes that were passed on in each direction since the last `arm`.
        cuts: Connections that were cut.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._left: int | None = None
        self._way = Way.UP
        self.passed = dict.fromkeys(Way, 0)
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

    def arm(self, way: Way, count: int | None) -> None:
        """Cuts the connection that passes so many more bytes in a direction; None: no one."""
        with self._lock:
            self._way, self._left = way, count
            self.passed = dict.fromkeys(Way, 0)

    def _listen(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._server_port))
            for one, other, way in ((near, far, Way.UP), (far, near, Way.DOWN)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                thread = threading.Thread(target=self._pass_on, args=(one, other, way), daemon=True)
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
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()

    def _take(self, way: Way, data: bytes) -> tuple[bytes, bool]:
        """What to pass on of some bytes, and whether the connection is cut behind it."""
        with self._lock:
            is_cut = way is self._way and self._left is not None and self._left <= len(data)
            if is_cut:
                data, self._left = data[: self._left], None
                self.cuts += 1
            elif way is self._way and self._left is not None:
                self._left -= len(data)
            self.passed[way] += len(data)
            return data, is_cut
