"""What the agent uses of its host: boot clock, free disk space, supervisor and status socket."""

import asyncio
import contextlib
import json
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import NamedTuple

ANSWER_LIMIT_S = 2.0
"""Seconds for a client of the status socket to read the answer."""

_log = logging.getLogger("drink_agent.status")


def boot_time_s() -> float:
    """Returns the seconds since the host booted.

    Times to live are counted on this clock. Unlike the wall clock it is never set. Unlike the
    monotonic clock it counts while the host sleeps, and a later run of the agent can compare with
    it until the next boot.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Returns the kernel's id of this boot, the same for every process until the next boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


class DiskSpace(NamedTuple):
    """Space on a disk, in bytes."""

    free: int
    total: int


def disk_space(folder: Path) -> DiskSpace:
    """Returns the space on the disk of a folder."""
    disk = os.statvfs(folder)
    return DiskSpace(disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize)


def memory_bytes() -> int:
    """Returns the memory of this process that is in use, in bytes; 0 if it is not known."""
    try:
        resident = Path("/proc/self/statm").read_text("ascii").split()[1]
        return int(resident) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


class SystemdNotifier:
    """Notifies the supervisor with sd_notify(3); does nothing without one.

    Args:
        address: The value of `NOTIFY_SOCKET`; None outside systemd.
    """

    def __init__(self, address: str | None) -> None:
        self._socket: socket.socket | None = None
        if not address:
            return
        name = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._socket.connect(name)

    @classmethod
    def from_environment(cls) -> "SystemdNotifier":
        """Returns the notifier of the unit in which this process runs."""
        return cls(os.environ.get("NOTIFY_SOCKET"))

    def ready(self) -> None:
        """Notifies that the agent has started."""
        self._send(b"READY=1")

    def alive(self) -> None:
        """Resets the watchdog; to be called by the agent's loop."""
        self._send(b"WATCHDOG=1")

    def stopping(self) -> None:
        """Notifies that the agent shuts down."""
        self._send(b"STOPPING=1")

    def close(self) -> None:
        """Closes the socket."""
        if self._socket is not None:
            self._socket.close()

    def _send(self, state: bytes) -> None:
        if self._socket is None:
            return
        try:
            self._socket.send(state)
        except OSError:
            return  # the agent dispenses with or without a supervisor


def socket_of(journal: Path) -> Path:
    """Returns the path of an agent's status socket, beside its journal."""
    return journal.with_name(journal.name + ".sock")


@contextlib.asynccontextmanager
async def serve_status(
    path: Path, describe: Callable[[], Mapping[str, object]]
) -> AsyncIterator[None]:
    """Answers every connection with one JSON object inside the context.

    If the socket cannot be created, that is logged, and the agent works without it.

    Args:
        path: Path of the socket; only its owner can use it.
        describe: Returns the agent's status.
    """

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                writer.write(json.dumps(describe()).encode() + b"\n")
                await writer.drain()
        except (OSError, TimeoutError):
            _log.debug("status_not_taken")
        finally:
            writer.close()

    try:
        server = await asyncio.start_unix_server(answer, path)
    except OSError as error:
        _log.warning("status_unavailable", extra={"problem": str(error)})
        yield
        return
    _make_private(path)
    try:
        yield
    finally:
        server.close()
        _remove(path)


def _make_private(path: Path) -> None:
    path.chmod(0o600)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
