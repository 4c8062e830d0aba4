"""The packaged udev rules, applied by udev to a sysfs that the test makes."""

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.support import programs

RULES = Path("services/machine_agent/udev/99-drink-machine-agent.rules")

BRLTTY = (
    'SUBSYSTEM=="usb", ENV{DEVTYPE}=="usb_device", ENV{BRLTTY_BRAILLE_DRIVER}="bm",'
    ' TAG+="systemd", ENV{SYSTEMD_WANTS}+="brltty-device@.service"\n'
)
"""A rule like those of brltty, which matches every vendor."""

MODEM_MANAGER = 'SUBSYSTEM=="tty", ENV{ID_MM_CANDIDATE}="1"\n'
"""A rule like that of ModemManager for each port."""

BOARDS = ("0403:6001", "067b:2303", "0557:2008", "10c4:ea60", "1a86:7523", "2341:0043", "2e8a:000a")
OTHERS = ("12d1:1001", "0557:2213", "10c4:8b53")


def made_sysfs(folder: Path, vendor: str, product: str) -> tuple[str, str]:
    """A USB adapter with its port; returns the paths that both will have under /sys."""
    hub = folder / "devices/pci0000:00/0000:00:14.0/usb1"
    adapter = hub / "1-1"
    port = adapter / "1-1:1.0/ttyUSB0/tty/ttyUSB0"
    port.mkdir(parents=True)
    for device, numbers, kind in (
        (hub, (0x1D6B, 0x0002), "usb_device"),
        (adapter, (int(vendor, 16), int(product, 16)), "usb_device"),
        (adapter / "1-1:1.0", None, "usb_interface"),
    ):
        (device / "uevent").write_text(f"DEVTYPE={kind}\n")
        (device / "subsystem").symlink_to("/sys/bus/usb")
        if numbers:
            (device / "idVendor").write_text(f"{numbers[0]:04x}\n")
            (device / "idProduct").write_text(f"{numbers[1]:04x}\n")
    (port / "uevent").write_text("MAJOR=188\nMINOR=0\nDEVNAME=ttyUSB0\n")
    (port / "subsystem").symlink_to("/sys/class/tty")
    for each in ("bus/usb/devices", "class/tty"):
        (folder / each).mkdir(parents=True)
    return tuple(f"/sys/{path.relative_to(folder)}" for path in (adapter, port))  # type: ignore[return-value]


def properties(folder: Path, device: str) -> dict[str, str]:
    """Properties that the rules set for the device."""
    rules, sysfs = folder / "rules", folder / "sys"
    script = (
        "set -e; mount --types tmpfs tmpfs /run; mkdir --parents /run/udev/rules.d;"
        ' mount --bind "$1" /run/udev/rules.d; mount --bind "$2" /sys;'
        ' exec udevadm test --action=add "$3"'
    )
    done = programs.run(
        *("unshare", "--mount", "sh", "-c", script, "sh", rules, sysfs, device),
        env={**os.environ, "SYSTEMD_DEVICE_VERIFY_SYSFS": "0"},
    )
    told = done.stdout + done.stderr
    assert RULES.name in told, told
    assert not re.search(rf"{RULES.name}:\d+", told), told
    return dict(
        line.split("=", 1) for line in done.stdout.splitlines() if re.match("[A-Z_]+=", line)
    )


@pytest.mark.skipif(
    shutil.which("udevadm") is None or os.geteuid() != 0, reason="needs udevadm, and root"
)
@pytest.mark.parametrize("ids", [*BOARDS, *OTHERS])
def test_modem_manager_and_brltty_leave_boards_alone_and_nothing_else(
    tmp_path: Path, ids: str
) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    shutil.copy(RULES, rules)
    (rules / "85-brltty.rules").write_text(BRLTTY)
    (rules / "80-mm-candidate.rules").write_text(MODEM_MANAGER)
    adapter, port = made_sysfs(tmp_path / "sys", *ids.split(":"))
    device, tty = properties(tmp_path, adapter), properties(tmp_path, port)
    if ids in BOARDS:
        assert device["ID_MM_DEVICE_IGNORE"] == "1"
        assert "SYSTEMD_WANTS" not in device
        assert "BRLTTY_BRAILLE_DRIVER" not in device
        assert (tty["ID_MM_DEVICE_IGNORE"], tty["ID_MM_PORT_IGNORE"]) == ("1", "1")
        assert "ID_MM_CANDIDATE" not in tty
    else:
        assert "ID_MM_DEVICE_IGNORE" not in device
        assert device["SYSTEMD_WANTS"] == "brltty-device@.service"
        assert tty["ID_MM_CANDIDATE"] == "1"
        assert "ID_MM_PORT_IGNORE" not in tty


def test_every_jump_has_its_place_further_down() -> None:
    lines = RULES.read_text().splitlines()
    places = {
        label: number
        for number, line in enumerate(lines)
        for label in re.findall(r'LABEL="(\w+)"', line)
    }
    jumps = [
        (label, n) for n, line in enumerate(lines) for label in re.findall(r'GOTO="(\w+)"', line)
    ]
    assert jumps
    assert all(places[label] > number for label, number in jumps)
