"""What the agent uses of its host: the boot clock, the free disk space and the supervisor."""

import os
import socket
import time
from pathlib import Path


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


def free_bytes(folder: Path) -> int:
    """Returns the free space on the disk of a folder, in bytes."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


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
