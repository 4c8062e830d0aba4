"""Devices of readers: how they are set up, and their end."""

import asyncio
import termios
from pathlib import Path

import pytest

from drink_agent.reader.device import Device, ReaderLostError
from drink_agent.reader.emulator import EmulatedReader
from drink_agent.reader.settings import ReaderSettings


async def test_a_serial_reader_is_raw_and_has_its_speed(tmp_path: Path) -> None:
    reader = EmulatedReader(tmp_path / "reader")
    device = Device(ReaderSettings(type="serial", port=tmp_path / "reader", baudrate=19200))
    attributes = termios.tcgetattr(device._fd)
    assert attributes[4:6] == [termios.B19200] * 2
    assert not attributes[3] & (termios.ICANON | termios.ECHO)
    reader.print(b"04A2B3C4\r\n")
    assert await asyncio.wait_for(device.read(), 20) == b"04A2B3C4\r\n"
    reader.unplug()
    with pytest.raises(ReaderLostError):
        await asyncio.wait_for(device.read(), 20)
    device.close()


@pytest.mark.parametrize("kind", ["serial", "hid"])
def test_nothing_stays_open_that_is_no_reader(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").touch()
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    with pytest.raises(ReaderLostError, match="no device of this type"):
        Device(ReaderSettings(type=kind, port=tmp_path / "file"))  # type: ignore[arg-type]
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before
