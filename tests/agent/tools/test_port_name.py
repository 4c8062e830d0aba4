from pathlib import Path

import pytest

from drink_agent.board.usb import Adapter
from drink_agent.tools.port_name import warnings_of

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
    return "\n".join(warnings_of(device, adapter, dev))


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
