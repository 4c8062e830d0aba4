"""Typists: drives a session server with many sessions, by epoll on plain sockets.

It is the least that Python can do for a command: one receive, one send. Where that is still more
than the server does, the server's own CPU for a command tells more than commands per second.
"""

import select
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

REPLY_LIMIT_S = 60
"""Seconds that any reply may take."""

_READ_BYTES = 65_536


class NoReplyError(Exception):
    """A server did not answer as it should have."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What some commands were like.

    Attributes:
        commands: How many were answered.
        seconds: From the first to the last.
        client_cpu_s: What it cost to ask for them.
    """

    commands: int
    seconds: float
    client_cpu_s: float

    @property
    def per_second(self) -> float:
        """Commands a second."""
        return self.commands / self.seconds


class Typists:
    """Open sessions, each of which asks again as soon as it was answered.

    Args:
        sockets: Their connections, greeted.
    """

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self._sockets = {each.fileno(): each for each in sockets}

    def once(self, command: bytes, reply_bytes: int) -> None:
        """Every session asks once."""
        self._ask(command, reply_bytes, 0)

    def ask(self, command: bytes, reply_bytes: int, seconds: float) -> Asked:
        """Every session asks for so long.

        Args:
            command: A line.
            reply_bytes: Length of the reply to it, always the same.
            seconds: How long.

        Raises:
            NoReplyError: the server hung up or fell silent.
        """
        cpu, started = time.process_time(), time.perf_counter()
        commands = self._ask(command, reply_bytes, seconds)
        return Asked(commands, time.perf_counter() - started, time.process_time() - cpu)

    def _ask(self, command: bytes, reply_bytes: int, seconds: float) -> int:
        until = time.perf_counter() + seconds
        left = dict.fromkeys(self._sockets, reply_bytes)
        commands = 0
        with select.epoll() as poll:
            for number, each in self._sockets.items():
                poll.register(number, select.EPOLLIN)
                each.send(command)
            while left:
                ready = poll.poll(REPLY_LIMIT_S)
                if not ready:
                    raise NoReplyError(f"{len(left)} sessions wait for {command!r}")
                on = time.perf_counter() < until
                for number, _ in ready:
                    received = len(self._sockets[number].recv(_READ_BYTES))
                    if not received:
                        raise NoReplyError("the server hung up")
                    left[number] -= received
                    if left[number] > 0:
                        continue
                    commands += 1
                    if on:
                        left[number] = reply_bytes
                        self._sockets[number].send(command)
                    else:
                        del left[number]
        return commands


def connect(port: int) -> socket.socket:
    """One connection."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=REPLY_LIMIT_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def read_line(connection: socket.socket) -> bytes:
    """The next line, for a session that waits for no more than that."""
    line = b""
    while not line.endswith(b"\n"):
        received = connection.recv(_READ_BYTES)
        if not received:
            raise NoReplyError("the server hung up")
        line += received
    return line


@contextmanager
def typists(port: int, count: int) -> Iterator[Typists]:
    """So many open and greeted sessions."""
    sockets = []
    try:
        for _ in range(count):
            connection = connect(port)
            sockets.append(connection)
            read_line(connection)
        yield Typists(sockets)
    finally:
        for each in sockets:
            each.close()


def replies(port: int, login: bytes, commands: Sequence[bytes]) -> tuple[bytes, dict[bytes, bytes]]:
    """What a frontend says: its greeting, and its reply to a login and to each command."""
    with connect(port) as connection:
        greeting = read_line(connection)
        said = {}
        for command in (login, *commands):
            connection.send(command)
            reply = read_line(connection)
            # STAT answers a line a slot, then its trailer.
            while not reply.splitlines()[-1].startswith((b"OK", b"ERR")):
                reply += read_line(connection)
            if b"ERR" in reply:
                raise NoReplyError(f"{command!r} was refused")
            said[command] = reply
        return greeting, said
