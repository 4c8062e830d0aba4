"""Devices of readers: serial ports and Linux input devices, read on the event loop."""

import asyncio
import errno
import fcntl
import os
import termios
import tty
from typing import Final

from drink_agent.reader.settings import ReaderSettings

READ_BYTES: Final = 1024
"""Most bytes that are read at once."""

PAUSE_S: Final = 0.02
"""Seconds between two reads: a device that never ends costs little, and keeps nothing waiting."""

_EVIOCGRAB: Final = 0x40044590
"""Holds an input device, so that no console or desktop gets its keys (linux/input.h)."""


class ReaderLostError(Exception):
    """The reader cannot be opened, or is no longer there; the message says why."""


class Device:
    """An open reader.

    Args:
        settings: Which one.

    Raises:
        ReaderLostError: It cannot be opened.
    """

    def __init__(self, settings: ReaderSettings) -> None:
        assert settings.port is not None, "the settings are checked"
        try:
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            self._fd = os.open(settings.port, flags)
        except OSError as error:
            raise ReaderLostError(_reason(error)) from None
        try:
            if settings.type == "serial":
                _set_up(self._fd, settings.baudrate)
            else:
                _hold(self._fd)
        except (OSError, termios.error) as error:
            self.close()
            raise ReaderLostError(_reason(error)) from None

    async def read(self) -> bytes:
        """Waits for bytes and returns them.

        Raises:
            ReaderLostError: The reader is no longer there.
        """
        await asyncio.sleep(PAUSE_S)
        while True:
            try:
                data = os.read(self._fd, READ_BYTES)
            except BlockingIOError:
                await self._readable()
            except OSError as error:
                raise ReaderLostError(_reason(error)) from None
            else:
                if not data:
                    raise ReaderLostError("it was unplugged")
                return data

    async def _readable(self) -> None:
        loop, is_readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._fd, is_readable.set)
        try:
            await is_readable.wait()
        finally:
            loop.remove_reader(self._fd)

    def close(self) -> None:
        """Closes it."""
        os.close(self._fd)


def _hold(fd: int) -> None:
    fcntl.ioctl(fd, _EVIOCGRAB, 1)


def _set_up(fd: int, baudrate: int) -> None:
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    tty.setraw(fd)
    attributes = termios.tcgetattr(fd)
    attributes[2] |= termios.CLOCAL | termios.CREAD
    attributes[2] &= ~termios.HUPCL
    attributes[4] = attributes[5] = getattr(termios, f"B{baudrate}")
    termios.tcsetattr(fd, termios.TCSANOW, attributes)
    termios.tcflush(fd, termios.TCIFLUSH)  # what was read while nobody listened is worth nothing


def _reason(error: OSError | termios.error) -> str:
    number = error.args[0]
    if number in (errno.EAGAIN, errno.EBUSY):
        return "another program holds it"
    if number in (errno.ENOTTY, errno.EINVAL):
        return "it is no device of this type"
    if number in (errno.EIO, errno.ENODEV):
        return "it was unplugged"
    return os.strerror(number)
