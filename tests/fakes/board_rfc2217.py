"""A serial server that speaks RFC 2217, with an open serial port behind it."""

import contextlib
import socket
import threading
import time

import serial
from serial import rfc2217


class _PseudoPort(serial.Serial):
    """A pseudo terminal has no modem lines."""

    cts = dsr = ri = cd = False

    def _update_dtr_state(self) -> None: ...

    def _update_rts_state(self) -> None: ...


class Rfc2217Server:
    """Serves one client at a time from threads, as small serial servers do."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._client: socket.socket | None = None
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"rfc2217://127.0.0.1:{self._listener.getsockname()[1]}"

    def drop_client(self) -> None:
        """Cuts the connection and keeps listening."""
        if self._client is not None:
            with contextlib.suppress(OSError):
                self._client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_client()
        self._thread.join(5)

    def write(self, data: bytes) -> None:
        assert self._client is not None
        with contextlib.suppress(OSError):
            self._client.sendall(data)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._client, _ = self._listener.accept()
                with self._client, _PseudoPort(self._device, timeout=0) as port:
                    self._serve(self._client, port)

    def _serve(self, client: socket.socket, port: serial.Serial) -> None:
        manager = rfc2217.PortManager(port, self)  # type: ignore[arg-type]
        client.settimeout(0.01)
        with contextlib.suppress(OSError):
            while True:
                try:
                    data = client.recv(1024)
                    if not data:
                        return
                    port.write(b"".join(manager.filter(data)))
                except TimeoutError:
                    time.sleep(0)
                if said := port.read(port.in_waiting):
                    self.write(b"".join(manager.escape(said)))
