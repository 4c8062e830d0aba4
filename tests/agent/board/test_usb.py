import os
import pty
from pathlib import Path

import pytest

from drink_agent.board.usb import Adapter, adapter_of
from tests.fakes.sysfs import CONTROLLER, Sysfs

PORT = os.makedev(188, 0)
OTHER = os.makedev(188, 1)


def found(sysfs: Sysfs, number: int = PORT) -> Adapter:
    adapter = adapter_of(number, sysfs.root)
    assert adapter is not None
    return adapter


def test_an_adapter_is_described(sysfs: Sysfs) -> None:
    sysfs.plug(PORT, vendor="0403", product="6001", name="FT232R", serial="A9007UX1", socket="1.3")
    assert found(sysfs) == Adapter(
        vendor="0403",
        product="6001",
        name="FT232R",
        serial="A9007UX1",
        unique=True,
        path=f"{CONTROLLER}/usb-1.3:1.0",
        interface="1.0",
    )
    assert "0403:6001" in str(found(sysfs))
    assert "A9007UX1" in str(found(sysfs))


def test_the_number_of_a_bus_is_no_part_of_its_place(sysfs: Sysfs, tmp_path: Path) -> None:
    sysfs.plug(PORT, bus=1, socket="2")
    later = Sysfs(tmp_path / "after-a-restart")
    later.plug(OTHER, bus=3, socket="2")
    assert found(sysfs) == found(later, OTHER)
    later.plug(PORT, bus=4, socket="2", controller="platform/soc/fe980000.usb")
    assert found(later).path != found(sysfs).path


@pytest.mark.parametrize("serial", ["", "0", "0001", "00000000", "12345678"])
def test_a_serial_number_that_whole_series_have_tells_nothing(sysfs: Sysfs, serial: str) -> None:
    sysfs.plug(PORT, serial=serial)
    assert not found(sysfs).unique


def test_a_serial_number_that_two_adapters_have_tells_nothing(sysfs: Sysfs) -> None:
    sysfs.plug(PORT, serial="A1", socket="1")
    assert found(sysfs).unique
    sysfs.plug(OTHER, serial="A1", socket="2")
    assert not found(sysfs).unique
    sysfs.unplug(OTHER)
    assert found(sysfs).unique
    sysfs.plug(OTHER, serial="A1", product="ea60", socket="2")
    assert found(sysfs).unique


def test_the_ports_of_one_adapter_are_told_apart(sysfs: Sysfs) -> None:
    sysfs.plug(PORT, serial="A1", interface="1.0")
    sysfs.plug(OTHER, serial="A1", interface="1.1")
    one, two = found(sysfs), found(sysfs, OTHER)
    assert (one.serial, one.unique) == (two.serial, two.unique) == ("A1", True)
    assert (one.interface, two.interface) == ("1.0", "1.1")
    assert one.path != two.path


def test_a_port_that_is_not_on_usb_has_none(sysfs: Sysfs) -> None:
    assert adapter_of(PORT, sysfs.root) is None
    uart = sysfs.root / "devices/platform/serial8250/tty/ttyS0"
    uart.mkdir(parents=True)
    (sysfs.root / "dev/char/4:64").symlink_to("../../devices/platform/serial8250/tty/ttyS0")
    assert adapter_of(os.makedev(4, 64), sysfs.root) is None
    assert adapter_of(PORT, sysfs.root / "not-mounted") is None


def test_the_real_sysfs_knows_no_adapter_of_a_pseudo_terminal() -> None:
    master, slave = pty.openpty()
    try:
        assert adapter_of(os.fstat(slave).st_rdev) is None
    finally:
        os.close(master)
        os.close(slave)
