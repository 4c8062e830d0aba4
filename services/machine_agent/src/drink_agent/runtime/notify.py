"""Tells systemd how the agent is doing (sd_notify(3))."""

import os
import socket


class SystemdNotifier:
    """Sends states to the supervisor; does nothing where there is none.

    Args:
        address: Value of `NOTIFY_SOCKET`, None outside systemd.
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
        """Returns the notifier of the unit this process runs in."""
        return cls(os.environ.get("NOTIFY_SOCKET"))

    def ready(self) -> None:
        """The agent works."""
        self._send(b"READY=1")

    def alive(self) -> None:
        """The loop that dispenses has gone round; feeds the watchdog."""
        self._send(b"WATCHDOG=1")

    def stopping(self) -> None:
        """The agent shuts down."""
        self._send(b"STOPPING=1")

    def close(self) -> None:
        """Releases the socket."""
        if self._socket is not None:
            self._socket.close()

    def _send(self, state: bytes) -> None:
        if self._socket is None:
            return
        try:
            self._socket.send(state)
        except OSError:
            return  # a supervisor that does not listen is no reason to stop dispensing
