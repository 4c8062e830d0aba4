"""The kernel's view of USB adapters, as a folder laid out like sysfs."""

import os
import shutil
from pathlib import Path

CONTROLLER = "pci0000:00/0000:00:14.0"


class Sysfs:
    """Adapters that a test plugs in and out.

    Args:
        root: An empty or missing folder that stands for /sys.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("dev/char", "bus/usb/devices", "devices", "class/tty"):
            (root / folder).mkdir(parents=True, exist_ok=True)

    def plug(
        self,
        number: int,
        *,
        vendor: str = "1a86",
        product: str = "7523",
        name: str = "USB Serial",
        serial: str = "",
        socket: str = "1.1",
        interface: str = "1.0",
        bus: int = 1,
        controller: str = CONTROLLER,
    ) -> None:
        """Plugs in an adapter whose port has that device number; another port of one there is."""
        hub = self.root / "devices" / controller / f"usb{bus}"
        device = hub.joinpath(*self._steps(bus, socket))
        tty = device / f"{bus}-{socket}:{interface}" / "ttyUSB0" / "tty" / "ttyUSB0"
        tty.mkdir(parents=True)
        (hub / "idVendor").write_text("1d6b\n")
        (hub / "idProduct").write_text("0002\n")
        facts = {"idVendor": vendor, "idProduct": product, "product": name, "serial": serial}
        for file, value in facts.items():
            if value:
                (device / file).write_text(f"{value}\n")
        for link, target in (
            (self.root / "dev/char" / f"{os.major(number)}:{os.minor(number)}", tty),
            (self.root / "bus/usb/devices" / device.name, device),
            (self.root / "bus/usb/devices" / hub.name, hub),
        ):
            link.unlink(missing_ok=True)
            link.symlink_to(os.path.relpath(target, link.parent))

    def unplug(self, number: int) -> None:
        """Pulls the adapter out whose port has that number."""
        link = self.root / "dev/char" / f"{os.major(number)}:{os.minor(number)}"
        device = next(each for each in link.resolve().parents if (each / "idVendor").exists())
        (self.root / "bus/usb/devices" / device.name).unlink()
        shutil.rmtree(device)
        link.unlink()

    @staticmethod
    def _steps(bus: int, socket: str) -> list[str]:
        """The folders of the hubs on the way, as the kernel nests them."""
        ports = socket.split(".")
        return [f"{bus}-{'.'.join(ports[: count + 1])}" for count in range(len(ports))]
