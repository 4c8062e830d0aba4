"""Advice for a person about a board's port: why it cannot be opened, and how to name it."""

import contextlib
import errno
import grp
import os
import pwd
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from drink_agent.board.streams import StreamUrl
from drink_agent.board.usb import Adapter

_KERNEL_NAME = re.compile(r"tty(USB|ACM)\d+")
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


def open_error_advice(
    url: StreamUrl, number: int | None, *, dev: Path = Path("/dev"), proc: Path = Path("/proc")
) -> Iterator[str]:
    """Yields lines about the error of opening a board's stream.

    Args:
        url: URL of the board.
        number: The system's error number; None if there is none.
        dev: Folder of the device files.
        proc: Folder of the process files.
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
    """Returns the programs that have a device open, as `name (process id)`.

    Only root sees the programs of all users.
    """
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


def port_name_warnings(device: Path, adapter: Adapter, dev: Path = Path("/dev")) -> Iterator[str]:
    """Yields warnings if a port's name may refer to another adapter after the next replug.

    Args:
        device: The port as named in the configuration.
        adapter: The adapter that the name refers to now.
        dev: Folder of the device files.
    """
    by_id, by_path = (_link(dev / "serial" / kind, device) for kind in ("by-id", "by-path"))
    better = by_id if adapter.unique and by_id else by_path
    if not device.is_symlink():
        if _KERNEL_NAME.fullmatch(device.name):
            yield f"warning: {device} is whichever adapter was plugged in in that order"
        else:
            yield (
                f"warning: {device} was made once, for the adapter that was there then; after a"
                " replug it leads nowhere, or to another one"
            )
    elif device.parent == dev / "serial" / "by-id" and not adapter.unique:
        yield (
            f"warning: {device} is not unique: adapters of this kind have no serial number of"
            " their own, and two of them share the name"
        )
        better = by_path
    else:
        return
    if better is not None:
        yield f"  better: board.url = serial://{better}"


def _link(folder: Path, device: Path) -> Path | None:
    target = os.path.realpath(device)
    found = (link for link in sorted(folder.glob("*")) if os.path.realpath(link) == target)
    return next(found, None)
