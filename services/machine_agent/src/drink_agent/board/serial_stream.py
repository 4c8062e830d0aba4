"""Serial ports: real ones, pseudo terminals and RFC 2217 servers, each on its own thread."""

import asyncio
import contextlib
import errno
import fcntl
import functools
import os
import queue
import select
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import serial
from serial import rfc2217

from drink_agent.board.streams import (
    READ_BYTES,
    StreamError,
    StreamLostError,
    StreamUrl,
)

_Port = serial.Serial | rfc2217.Serial

PortCheck = Callable[[int], None]
"""Takes a port's device number, and raises a StreamError if the port must not be used."""

_WRITE_LIMIT_S: Final = 2.0
"""Seconds for which a port may accept no bytes; ten lines take half a second at 1200 baud."""

_IDLE_READ_S: Final = 30.0
"""Longest read in seconds that a write can interrupt; each one costs a wake-up."""

_REMOTE_READ_S: Final = 0.05
"""Longest read in seconds that a write cannot interrupt: the delay of a write."""

_MAX_CHUNKS: Final = 16
"""Most chunks that wait for the event loop; then the port is not read."""

_MAX_UNSENT: Final = 64
"""Most lines that wait for a port that accepts no bytes; one line a minute is usual."""

_PSEUDO_TERMINAL_MAJORS: Final = range(136, 144)
"""Unix 98 pseudo terminals (Linux, admin-guide/devices.txt)."""


class SerialSource:
    """Opens a serial port.

    Opening a port can reset the board, so it must not be opened while a command is outstanding.

    Args:
        url: The port's URL.
        check: Checks a local port, before it is opened and again afterwards.
    """

    passive: Final = False

    def __init__(self, url: StreamUrl, check: PortCheck | None = None) -> None:
        self._url = url
        self._check = check

    async def open(self) -> "SerialStream":
        """Opens the port for exclusive use.

        Raises:
            StreamError: The port does not exist, another process uses it, or the check refuses it.
        """
        stream = SerialStream(self._url, self._check)
        try:
            await stream.opened()
        except asyncio.CancelledError:
            stream.hang_up("cancelled")
            raise
        return stream

    async def close(self) -> None:
        """Does nothing: no resource is held between two streams."""


class SerialStream:
    """An open serial port: its thread reads and writes, the event loop calls the methods."""

    def __init__(self, url: StreamUrl, check: PortCheck | None = None) -> None:
        self.peer = url.path or f"rfc2217://{url.host}:{url.port}"
        self._url = url
        self._check = check
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._received: asyncio.Queue[bytes] = asyncio.Queue()
        self._lost: StreamLostError | None = None
        self._room = threading.Semaphore(_MAX_CHUNKS)
        self._unsent: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._end_reason = "closed"
        self._port: _Port | None = None
        self._port_lock = threading.Lock()
        threading.Thread(target=self._run, name=f"board {self.peer}", daemon=True).start()

    async def opened(self) -> None:
        """Waits until the port is open.

        Raises:
            StreamError: The port cannot be opened.
        """
        await self._opened

    async def read(self) -> bytes:
        """Waits for bytes and returns them, including those before the end of the stream.

        Raises:
            StreamLostError: The port is lost.
        """
        if self._lost is None or not self._received.empty():
            data = await self._received.get()
            if data:
                self._room.release()
                return data
        assert self._lost is not None
        raise self._lost

    def write(self, data: bytes) -> None:
        """Passes bytes to the thread.

        Raises:
            StreamLostError: The port is lost, or accepts no bytes.
        """
        if self._lost is not None:
            raise StreamLostError(str(self._lost), unsent=True)
        if self._unsent.qsize() >= _MAX_UNSENT:
            raise StreamLostError("the port takes no bytes", unsent=True)
        self._unsent.put(data)
        self._wake()

    def hang_up(self, reason: str) -> None:
        """Ends the thread after it has written the waiting bytes."""
        self._end_reason = reason
        self._stopping.set()
        self._wake()

    async def close(self) -> None:
        """Ends the thread and waits for its end."""
        if not self._ended.done():
            self.hang_up(self._end_reason)
        await self._ended

    def _wake(self) -> None:
        with self._port_lock:
            if isinstance(self._port, serial.Serial):
                self._port.cancel_read()

    def _on_opened(self) -> None:
        if not self._opened.done():
            self._opened.set_result(None)

    def _on_open_failed(self, error: StreamError) -> None:
        if not self._opened.done():
            self._opened.set_exception(error)
        self._on_ended(str(error), unsent=True)

    def _on_ended(self, reason: str, *, unsent: bool) -> None:
        unsent = unsent or not self._unsent.empty()
        self._lost = StreamLostError(f"{self.peer}: {reason}", unsent=unsent)
        self._received.put_nowait(b"")
        self._ended.set_result(None)

    # --- on the thread ---

    def _post(self, call: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(functools.partial(call, *args, **kwargs))

    def _run(self) -> None:
        try:
            port = _open(self._url, self._check)
        except StreamError as error:
            self._post(self._on_open_failed, error)
            return
        except Exception as error:  # any error of the library must reach the event loop
            refusal = StreamError(f"{self.peer}: {_open_reason(error)}", errno=_errno_of(error))
            self._post(self._on_open_failed, refusal)
            return
        with self._port_lock:
            self._port = port
        self._post(self._on_opened)
        unsent = False
        try:
            self._pump(port)
            reason = self._end_reason
        except _WriteFailedError as error:
            reason, unsent = str(error), error.unsent
        except Exception as error:  # as above
            reason = _reason(error)
        with self._port_lock:
            self._port = None
        with contextlib.suppress(OSError):
            port.close()
        self._post(self._on_ended, reason, unsent=unsent)

    def _pump(self, port: _Port) -> None:
        while True:
            # Read first: what was written before `hang_up` is written to the port before its end.
            is_last = self._stopping.is_set()
            while not self._unsent.empty():
                _write(port, self._unsent.get_nowait())
            if is_last:
                return
            data = port.read(max(1, min(port.in_waiting, READ_BYTES)))
            while data and not self._stopping.is_set():
                if self._room.acquire(timeout=_REMOTE_READ_S):
                    # Ends the thread with an error if the loop is closed.
                    self._loop.call_soon_threadsafe(self._received.put_nowait, data)
                    break


class _WriteFailedError(Exception):
    def __init__(self, reason: str, *, unsent: bool) -> None:
        super().__init__(reason)
        self.unsent = unsent


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, OSError) else repr(error)


def _errno_of(error: BaseException) -> int | None:
    """Returns the system's error number, also of an error from which this one was raised."""
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, termios.error):
        number = error.args[0]
    if number is None and error.__context__ is not None:
        return _errno_of(error.__context__)
    return number


def _open_reason(error: Exception) -> str:
    """Returns why a port was not opened; the library's own text repeats the system's."""
    number = _errno_of(error)
    if number in (errno.EAGAIN, errno.EBUSY):
        return "another program holds the port"
    if number == errno.ENOTTY:
        return "is no serial port"
    return os.strerror(number) if number else _reason(error)


def _open(url: StreamUrl, check: PortCheck | None) -> _Port:
    if url.scheme == "rfc2217":
        host = f"[{url.host}]" if ":" in url.host else url.host
        return rfc2217.Serial(
            f"rfc2217://{host}:{url.port}", baudrate=url.baudrate, timeout=_REMOTE_READ_S
        )
    if check is not None:
        # Also before the opening, which may reset the board.
        check(Path(url.path).stat().st_rdev)
    port = serial.Serial(url.path, baudrate=url.baudrate, timeout=_IDLE_READ_S, exclusive=True)
    try:
        if check is not None:
            check(os.fstat(port.fileno()).st_rdev)
        _keep_lines_up(port.fileno())
        _hold_alone(port.fileno())
    except StreamError:
        port.close()
        raise
    except (OSError, termios.error) as error:
        port.close()
        raise OSError(*error.args) from None
    return port


def _keep_lines_up(fd: int) -> None:
    """Keeps DTR unchanged when the port is closed, so that the next opening resets no board."""
    attributes = termios.tcgetattr(fd)
    attributes[2] &= ~termios.HUPCL
    termios.tcsetattr(fd, termios.TCSANOW, attributes)


def _hold_alone(fd: int) -> None:
    """Refuses other programs that do not lock the port, except on a pseudo terminal.

    A pseudo terminal exists for as long as its other side holds it. If this process is killed, the
    mark would stay and refuse the next process of the agent.
    """
    if os.major(os.fstat(fd).st_rdev) not in _PSEUDO_TERMINAL_MAJORS:
        fcntl.ioctl(fd, termios.TIOCEXCL)


def _write(port: _Port, data: bytes) -> None:
    if not isinstance(port, serial.Serial):
        try:
            port.write(data)
        except OSError as error:
            raise _WriteFailedError(str(error), unsent=False) from None
        return
    sent = 0
    give_up_at = time.monotonic() + _WRITE_LIMIT_S
    while sent < len(data):
        try:
            sent += os.write(port.fileno(), data[sent:])
        except BlockingIOError:
            left_s = give_up_at - time.monotonic()
            if left_s <= 0:
                raise _WriteFailedError("the port takes no bytes", unsent=sent == 0) from None
            select.select([], [port.fileno()], [], left_s)
        except OSError as error:
            raise _WriteFailedError(str(error), unsent=sent == 0) from None
