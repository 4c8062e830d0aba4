"""Says what a person can do about a board's stream that cannot be opened."""

import contextlib
import errno
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from drink_agent.board.streams import StreamUrl

_NETWORK = {
    errno.ECONNREFUSED: "that computer is there, but nothing listens on the port: is the serial"
    " server switched on, and is the port right?",
    errno.EHOSTUNREACH: "no way to that address: is the computer on, and is the address right?",
    errno.ENETUNREACH: "no way to that address from this computer's networks",
}

_LISTEN = {
    errno.EADDRINUSE: "another program listens on the port: another agent, or another machine's",
    errno.EADDRNOTAVAIL: "this computer does not have the address; 0.0.0.0 listens on all of them",
    errno.EACCES: "ports below 1024 are for root; take a higher one",
}


def advice(
    url: StreamUrl, number: int | None, *, dev: Path = Path("/dev"), proc: Path = Path("/proc")
) -> Iterator[str]:
    """Yields lines for a person.

    Args:
        url: The board's.
        number: The system's error number; None where it gave none.
        dev: Where device files are.
        proc: Where the system shows its processes.
    """
    if url.scheme == "serial":
        yield from _serial(Path(url.path), number, dev, proc)
    elif number is not None:
        table = _LISTEN if url.scheme == "listen" else _NETWORK
        if number in table:
            yield table[number]


def _serial(device: Path, number: int | None, dev: Path, proc: Path) -> Iterator[str]:
    match number:
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            yield "no adapter has this name now: look at its plug, and at the name in board.url"
            yield from _plugged_in(dev)
        case errno.EACCES:
            yield from _permissions(device)
        case errno.EPERM:
            yield (
                "the device is not allowed here: DeviceAllow= in a systemd unit,"
                " device_cgroup_rules in a container"
            )
        case errno.ENOTTY:
            yield "look at the name in board.url"
        case errno.EAGAIN | errno.EBUSY:
            names = ", ".join(holders(device, proc)) or "unknown; ask again as root"
            yield f"the program that holds it: {names}"


def _plugged_in(dev: Path) -> Iterator[str]:
    found = False
    for folder in ("by-id", "by-path"):
        for link in sorted((dev / "serial" / folder).glob("*")):
            found = True
            yield f"  plugged in: {link} ({os.path.realpath(link)})"
    if not found:
        yield f"  no USB adapter is plugged in ({dev}/serial is empty)"


def _permissions(device: Path) -> Iterator[str]:
    user = _name_of_user(os.geteuid())
    try:
        about = device.stat()
    except OSError:
        yield f"the user {user} may not even look at {device}"
        return
    group = _name_of_group(about.st_gid)
    yield (
        f"the user {user} may not open it; it belongs to the user"
        f" {_name_of_user(about.st_uid)} and the group {group},"
        f" mode {stat.S_IMODE(about.st_mode):04o}"
    )
    yield f"  run this as root, or with the group: sudo usermod --append --groups {group} {user}"


def holders(device: Path, proc: Path = Path("/proc")) -> list[str]:
    """Returns which programs have a device open, as `name (process id)`; root sees all of them."""
    target = os.path.realpath(device)
    found = []
    for process in sorted(proc.glob("[0-9]*"), key=lambda path: int(path.name)):
        with contextlib.suppress(OSError):
            if any(os.path.realpath(each) == target for each in (process / "fd").iterdir()):
                found.append(f"{(process / 'comm').read_text().strip()} ({process.name})")
    return found


def _name_of_user(uid: int) -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return str(uid)


def _name_of_group(gid: int) -> str:
    with contextlib.suppress(KeyError):
        return grp.getgrgid(gid).gr_name
    return str(gid)
