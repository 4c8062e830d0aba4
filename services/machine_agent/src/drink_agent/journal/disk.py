"""The file operations of the journal."""

import errno
import fcntl
import os
import stat
from pathlib import Path

from drink_agent.files import give_to_owner


class Disk:
    """Files and folders of the host.

    Every method may block. Each raises OSError if the operation fails. Simulations override all
    methods.
    """

    def make_folder(self, path: Path) -> None:
        """Makes a folder that only its owner can enter, and its parents, if they are missing."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def lock(self, path: Path) -> int:
        """Locks a file, which is made if missing, until its descriptor is closed.

        Raises:
            BlockingIOError: Another process has locked it.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            give_to_owner(descriptor, path.parent)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def exists(self, path: Path) -> bool:
        """Returns whether the file exists."""
        return path.exists()

    def size(self, path: Path) -> int:
        """Returns the length of a regular file in bytes.

        Raises:
            OSError: It is no regular file.
        """
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", str(path))
        return about.st_size

    def read(self, path: Path) -> bytes:
        """Returns the content of a file."""
        return path.read_bytes()

    def create(self, path: Path) -> int:
        """Opens a new or emptied file for appending; only its owner can open it."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            give_to_owner(descriptor, path.parent)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def append_to(self, path: Path) -> int:
        """Opens an existing file for appending."""
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def write(self, descriptor: int, data: bytes) -> None:
        """Appends all bytes."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]

    def truncate(self, descriptor: int, length: int) -> None:
        """Truncates a file to a length in bytes."""
        os.ftruncate(descriptor, length)

    def sync_data(self, descriptor: int) -> None:
        """Makes a file's content and length durable."""
        os.fdatasync(descriptor)

    def sync(self, descriptor: int) -> None:
        """Makes a file's content and all its attributes durable."""
        os.fsync(descriptor)

    def write_again(self, path: Path, offset: int) -> None:
        """Overwrites a file from `offset` on with its own bytes, and makes them durable."""
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
        """Makes the names of a folder's files durable."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Renames a file atomically and replaces the target."""
        source.rename(target)

    def remove(self, path: Path) -> None:
        """Removes a file if it exists."""
        path.unlink(missing_ok=True)

    def close(self, descriptor: int) -> None:
        """Closes a descriptor, which ends its lock."""
        os.close(descriptor)
