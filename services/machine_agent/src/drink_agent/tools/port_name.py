"""Says whether a serial port's name will mean the same adapter after the next replug."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from drink_agent.board.usb import Adapter

_KERNEL_NAME = re.compile(r"tty(USB|ACM)\d+")


def warnings_of(device: Path, adapter: Adapter, dev: Path = Path("/dev")) -> Iterator[str]:
    """Yields lines for a person.

    Args:
        device: The port as it is named in the configuration.
        adapter: The adapter behind it.
        dev: Where device files are.
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
