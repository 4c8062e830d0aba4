"""Finds the USB adapter of a serial port in the kernel's sysfs."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SYSFS: Final = Path("/sys")
"""Where the kernel lists its devices, also in containers."""

_PLACEHOLDERS: Final = frozenset({"", "0", "1", "0000", "0001", "1234", "12345678", "123456789"})
"""Serial numbers that all adapters of a series have."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """A USB adapter and one of its ports."""

    vendor: str
    """Four hexadecimal digits, such as 0403 for FTDI."""
    product: str
    """Four hexadecimal digits."""
    name: str
    """Its product name; empty without one."""
    serial: str
    """Its serial number; empty without one."""
    unique: bool
    """Whether no other adapter had the same serial number at the same time."""
    path: str
    """Controller, USB sockets and interface, as in /dev/serial/by-path. It does not depend on the
    order in which devices were plugged in."""
    interface: str
    """Number of the port, such as 1.0; an adapter may have several ports."""

    def __str__(self) -> str:
        """Returns the adapter's description for a person."""
        serial = f"serial number {self.serial}" if self.serial else "no serial number"
        name = f"{self.name} " if self.name else ""
        return f"{name}({self.vendor}:{self.product}), {serial}, at {self.path}"


def adapter_of(number: int, sysfs: Path = SYSFS) -> Adapter | None:
    """Returns the adapter of a serial port, or None for a port that is not on USB.

    Args:
        number: The port's device number, `st_rdev` of its file.
        sysfs: The root of sysfs.

    Raises:
        OSError: The adapter was unplugged meanwhile.
    """
    port = Path(os.path.realpath(sysfs / "dev/char" / f"{os.major(number)}:{os.minor(number)}"))
    devices = Path(os.path.realpath(sysfs / "devices"))
    below = port
    for folder in port.parents:
        if devices not in folder.parents:
            return None
        if (folder / "idVendor").exists():
            return _adapter(folder, below, devices, sysfs)
        below = folder
    return None


def _adapter(device: Path, interface: Path, devices: Path, sysfs: Path) -> Adapter:
    vendor, product = _read(device / "idVendor"), _read(device / "idProduct")
    serial = _optional(device / "serial")
    # A bus number depends on the order in which controllers were found; the path does not.
    hub = next((each for each in device.parents if each.name.startswith("usb")), device)
    controller = hub.parent.relative_to(devices)
    number = interface.name.rpartition(":")[2]
    return Adapter(
        vendor=vendor,
        product=product,
        name=_optional(device / "product"),
        serial=serial,
        unique=not _is_placeholder(serial) and _count(sysfs, vendor, product, serial) <= 1,
        path=f"{controller}/usb-{device.name.partition('-')[2]}:{number}",
        interface=number,
    )


def _is_placeholder(serial: str) -> bool:
    return serial in _PLACEHOLDERS or not serial.strip("0")


def _count(sysfs: Path, vendor: str, product: str, serial: str) -> int:
    """Returns how many adapters with the same description are plugged in."""
    found = 0
    for device in (sysfs / "bus/usb/devices").glob("*"):
        described = (_optional(device / each) for each in ("idVendor", "idProduct", "serial"))
        found += tuple(described) == (vendor, product, serial)
    return found


def _read(path: Path) -> str:
    return path.read_text("utf-8", "replace").strip()


def _optional(path: Path) -> str:
    try:
        return _read(path)
    except OSError:
        return ""
