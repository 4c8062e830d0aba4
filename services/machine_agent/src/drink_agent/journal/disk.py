"""What the journal asks of the disk, and the disk of the host."""

import errno
import fcntl
import os
import stat
from pathlib import Path
from typing import Protocol

from drink_agent.files import give_to_owner


class Disk(Protocol):
    """Files and folders. Every method may block, and raises OSError for what cannot be done."""

    def make_folder(self, path: Path) -> None:
        """Makes a folder that only its owner can enter, and those above it, unless it is there."""

    def lock(self, path: Path) -> int:
        """Locks a file, made if missing, until its descriptor is closed.

        Raises:
            BlockingIOError: Another process holds it.
        """

    def exists(self, path: Path) -> bool:
        """Whether there is such a file."""

    def size(self, path: Path) -> int:
        """Length of a regular file in bytes; no other kind of file has one."""

    def read(self, path: Path) -> bytes:
        """All of a file."""

    def create(self, path: Path) -> int:
        """Opens a new or emptied file to append to; only its owner can open it."""

    def append_to(self, path: Path) -> int:
        """Opens a file to append to."""

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        """Appends bytes and returns how many of them were taken, at least one."""

    def truncate(self, descriptor: int, length: int) -> None:
        """Cuts a file off."""

    def sync_data(self, descriptor: int) -> None:
        """Makes a file's bytes durable, and its length."""

    def sync(self, descriptor: int) -> None:
        """Makes all of a file durable."""

    def write_again(self, path: Path, offset: int) -> None:
        """Writes a file's bytes from `offset` on over themselves, and makes them durable."""

    def sync_folder(self, path: Path) -> None:
        """Makes durable which files a folder has."""

    def rename(self, source: Path, target: Path) -> None:
        """Gives a file another one's name, at once."""

    def remove(self, path: Path) -> None:
        """Removes a file if it is there."""

    def close(self, descriptor: int) -> None:
        """Closes a descriptor and ends its lock."""


class SystemDisk:
    """The host's disk. See `Disk`."""

    def make_folder(self, path: Path) -> None:
        """See `Disk`."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def lock(self, path: Path) -> int:
        """See `Disk`."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            give_to_owner(descriptor, path.parent)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def exists(self, path: Path) -> bool:
        """See `Disk`."""
        return path.exists()

    def size(self, path: Path) -> int:
        """See `Disk`."""
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", str(path))
        return about.st_size

    def read(self, path: Path) -> bytes:
        """See `Disk`."""
        return path.read_bytes()

    def create(self, path: Path) -> int:
        """See `Disk`."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            give_to_owner(descriptor, path.parent)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def append_to(self, path: Path) -> int:
        """See `Disk`."""
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        """See `Disk`."""
        return os.write(descriptor, data)

    def truncate(self, descriptor: int, length: int) -> None:
        """See `Disk`."""
        os.ftruncate(descriptor, length)

    def sync_data(self, descriptor: int) -> None:
        """See `Disk`."""
        os.fdatasync(descriptor)

    def sync(self, descriptor: int) -> None:
        """See `Disk`."""
        os.fsync(descriptor)

    def write_again(self, path: Path, offset: int) -> None:
        """See `Disk`."""
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            rest = memoryview(os.pread(descriptor, os.fstat(descriptor).st_size - offset, offset))
            while rest:
                written = os.pwrite(descriptor, rest, offset)
                rest, offset = rest[written:], offset + written
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sync_folder(self, path: Path) -> None:
        """See `Disk`."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """See `Disk`."""
        source.rename(target)

    def remove(self, path: Path) -> None:
        """See `Disk`."""
        path.unlink(missing_ok=True)

    def close(self, descriptor: int) -> None:
        """See `Disk`."""
        os.close(descriptor)
