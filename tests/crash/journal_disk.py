"""What a power cut leaves of files that Python code writes: only what was synced."""

import os
from collections.abc import Callable
from pathlib import Path

_truncate = os.ftruncate
"""The system's own, before anybody wraps it."""

Inode = tuple[int, int]
"""Device and number of a file or folder."""


class JournalDisk:
    """Remembers how to undo what has not been synced.

    Told before each change and after each sync. It takes back everything that it may, which is the
    worst that a disk which keeps its promises can do.
    """

    def __init__(self) -> None:
        self._undo: list[tuple[Inode, Callable[[], object]]] = []

    def will_write(self, descriptor: int) -> None:
        """Bytes are about to be appended to a file."""
        length = os.fstat(descriptor).st_size
        kept = os.dup(descriptor)
        self._undo.append((_inode(descriptor), lambda: _truncate(kept, length)))

    def will_truncate(self, descriptor: int, length: int) -> None:
        """A file is about to lose its end."""
        path = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
        cut_off = Path(path).read_bytes()[length:]
        kept = os.dup(descriptor)
        self._undo.append((_inode(descriptor), lambda: os.pwrite(kept, cut_off, length)))

    def will_rename(self, source: Path, target: Path) -> None:
        """A file is about to take another one's place, or a free one."""
        backup = target.with_name(f"{target.name}.replaced")
        replaces = target.exists()
        if replaces:
            backup.unlink(missing_ok=True)
            backup.hardlink_to(target)

        def undo() -> None:
            target.replace(source)
            if replaces:
                backup.replace(target)

        self._undo.append((_inode(target.parent), undo))

    def synced(self, descriptor: int) -> None:
        """A file or folder was synced."""
        inode = _inode(descriptor)
        self._undo = [(where, undo) for where, undo in self._undo if where != inode]

    def lose_unsynced(self) -> None:
        """The power is gone."""
        for _, undo in reversed(self._undo):
            undo()
        self._undo.clear()


def _inode(file: int | Path) -> Inode:
    status = os.fstat(file) if isinstance(file, int) else file.stat()
    return status.st_dev, status.st_ino
