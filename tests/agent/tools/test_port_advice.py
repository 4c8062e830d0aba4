import errno
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from drink_agent.board.streams import parse_url
from drink_agent.board.usb import Adapter
from drink_agent.tools.port_advice import holders, open_error_advice, port_name_warnings


def lines(url: str, number: int | None, dev: Path = Path("/dev")) -> str:
    return "\n".join(open_error_advice(parse_url(url), number, dev=dev))


@pytest.fixture
def port() -> Iterator[Path]:
    master, slave = pty.openpty()
    yield Path(os.ttyname(slave))
    os.close(master)
    os.close(slave)


def test_the_advice_for_a_missing_device_lists_the_connected_ones(tmp_path: Path) -> None:
    assert "no USB adapter is plugged in" in lines("serial:///dev/x", errno.ENOENT, tmp_path)
    by_id = tmp_path / "serial" / "by-id"
    by_id.mkdir(parents=True)
    (tmp_path / "ttyUSB3").touch()
    (by_id / "usb-FTDI").symlink_to(tmp_path / "ttyUSB3")
    told = lines("serial:///dev/x", errno.ENOENT, tmp_path)
    assert f"{by_id / 'usb-FTDI'} ({tmp_path / 'ttyUSB3'})" in told


def test_the_advice_for_a_refused_device_names_its_owner(port: Path) -> None:
    told = lines(f"serial://{port}", errno.EACCES)
    assert "the group" in told
    assert "usermod --append --groups" in told
    assert "may not even look" in lines("serial:///dev/nothing-is-here", errno.EACCES)
    assert "DeviceAllow" in lines(f"serial://{port}", errno.EPERM)


def test_the_advice_for_a_busy_device_names_the_program(port: Path) -> None:
    with port.open("rb"):
        assert any(each.endswith(f"({os.getpid()})") for each in holders(port))
        assert f"({os.getpid()})" in lines(f"serial://{port}", errno.EBUSY)
    assert lines("serial:///dev/nothing-is-here", errno.EAGAIN).endswith("ask again as root")


def test_another_process_that_holds_a_device_is_found(port: Path) -> None:
    with port.open("rb") as held, subprocess.Popen(["sleep", "60"], stdin=held) as other:
        try:
            assert f"sleep ({other.pid})" in holders(port)
        finally:
            other.kill()


@pytest.mark.parametrize(
    ("url", "number", "words"),
    [
        ("tcp://host:1", errno.ECONNREFUSED, "nothing listens"),
        ("rfc2217://host:1", errno.EHOSTUNREACH, "no way to that address"),
        ("listen://0.0.0.0:1", errno.EADDRINUSE, "another program listens"),
        ("listen://0.0.0.0:1", errno.EACCES, "below 1024"),
    ],
)
def test_network_errors_are_explained(url: str, number: int, words: str) -> None:
    assert words in lines(url, number)


def test_an_unknown_error_has_no_advice() -> None:
    assert lines("tcp://host:1", None) == ""
    assert lines("tcp://host:1", errno.EIO) == ""
    assert lines("serial:///dev/x", None) == ""


UNIQUE = Adapter("0403", "6001", "FT232R", "A1", True, "pci/usb-1.1:1.0", "1.0")
SHARED = Adapter("1a86", "7523", "USB Serial", "", False, "pci/usb-1.1:1.0", "1.0")


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    dev = tmp_path / "dev"
    for kind, name in (("by-id", "usb-1a86_USB_Serial"), ("by-path", "pci-usb-0:1.1:1.0-port0")):
        folder = dev / "serial" / kind
        folder.mkdir(parents=True)
        (folder / name).symlink_to("../../ttyUSB0")
    (dev / "ttyUSB0").touch()
    return dev


def told(device: Path, adapter: Adapter, dev: Path) -> str:
    return "\n".join(port_name_warnings(device, adapter, dev))


@pytest.mark.parametrize("adapter", [UNIQUE, SHARED])
def test_the_kernels_own_names_are_volatile(dev: Path, adapter: Adapter) -> None:
    words = told(dev / "ttyUSB0", adapter, dev)
    assert "in that order" in words
    better = "by-id/usb-1a86_USB_Serial" if adapter.unique else "by-path/pci-usb-0:1.1:1.0-port0"
    assert words.endswith(f"serial://{dev}/serial/{better}")


def test_a_name_by_id_is_good_only_with_a_serial_number(dev: Path) -> None:
    device = dev / "serial" / "by-id" / "usb-1a86_USB_Serial"
    assert told(device, UNIQUE, dev) == ""
    words = told(device, SHARED, dev)
    assert "not unique" in words
    assert words.endswith("by-path/pci-usb-0:1.1:1.0-port0")


def test_a_name_by_path_is_good(dev: Path) -> None:
    device = dev / "serial" / "by-path" / "pci-usb-0:1.1:1.0-port0"
    assert told(device, SHARED, dev) == ""


def test_a_name_that_a_container_was_started_with_is_volatile(dev: Path) -> None:
    (dev / "board").touch()
    assert "made once" in told(dev / "board", UNIQUE, dev)
