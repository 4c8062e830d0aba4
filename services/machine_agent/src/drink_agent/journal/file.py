"""The journal's file: append, sync, compact.

An append-only file and not SQLite, for two reasons. A record torn by a power cut and one that
was damaged later can be told apart (see `format`), where a database must treat both alike. And
a durable step is one write and one fdatasync: 0.18 ms on the disk of a small server, against
0.31 ms for a commit with WAL and synchronous=FULL, and without that file's checkpoints.

Nothing here is thread-safe and everything but `append` may block on the disk; the agent calls
it from one thread at a time.
"""

import contextlib
import errno
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

from drink_agent.domain.records import Entry
from drink_agent.journal.disk import Disk, SystemDisk
from drink_agent.journal.errors import JournalDamagedError, JournalFailedError, JournalLockedError
from drink_agent.journal.format import (
    BrokenFrameError,
    Contents,
    Header,
    decode,
    encode_entries,
    encode_header,
)

JOURNAL_BYTES_MAX = 256 * 1024 * 1024
"""Largest file that is read; compaction keeps a sound one far below."""

COMPACTED_FRAME_ENTRIES = 64
"""Entries in a frame that compaction writes; far fewer bytes than a frame may have."""

_SYSTEM_DISK = SystemDisk()


def read(path: Path, disk: Disk = _SYSTEM_DISK) -> Contents:
    """Reads a journal without touching it; its agent may be running.

    Args:
        path: The journal's file.
        disk: Where it is.

    Raises:
        JournalDamagedError: It was damaged after it had been written.
        OSError: It cannot be read.
    """
    if disk.size(path) > JOURNAL_BYTES_MAX:
        raise JournalDamagedError(path, JOURNAL_BYTES_MAX, "it is larger than any journal")
    try:
        return decode(disk.read(path))
    except BrokenFrameError as error:
        raise JournalDamagedError(path, error.offset, error.reason) from error


class Journal:
    """An open journal, locked against any other agent."""

    def __init__(self, path: Path, disk: Disk, lock: int) -> None:
        """Use `open`."""
        self._path = path
        self._disk = disk
        self._lock = lock
        self._file = -1
        self._failed = False
        self._pending: list[Entry] = []
        self.journal_id = ""
        """Made with the file; another one means that the old memory is lost."""
        self.last_sequence = 0
        """Number of the last entry appended."""
        self.durable_sequence = 0
        """Number of the last entry that is durable."""
        self.size_bytes = 0
        """Length of the file."""
        self.compacted_bytes = 0
        """Length of the file when it was opened or last compacted."""
        self.torn_bytes = 0
        """Length of the torn frame that opening has cut off, usually 0."""

    @classmethod
    def open(cls, path: Path, disk: Disk = _SYSTEM_DISK) -> tuple[Self, tuple[Entry, ...]]:
        """Opens or creates a journal.

        Args:
            path: The journal's file.
            disk: Where it is.

        Returns:
            The journal and its entries, oldest first.

        Raises:
            JournalLockedError: Another agent uses it.
            JournalDamagedError: It was damaged after it had been written.
            JournalFailedError: It cannot be read or written.
        """
        with _disk_errors(path):
            disk.make_folder(path.parent)
            journal = cls(path, disk, _lock(path, disk))
            try:
                return journal, journal._load()
            except BaseException:
                journal.close()
                raise

    @property
    def dirty(self) -> bool:
        """Whether something was appended that is not durable."""
        return bool(self._pending)

    def append(self, entry: Entry) -> None:
        """Adds an entry; it is written by the next `sync`."""
        assert entry.sequence == self.last_sequence + 1
        self._pending.append(entry)
        self.last_sequence = entry.sequence

    def sync(self) -> None:
        """Makes everything appended durable.

        Raises:
            JournalFailedError: It is not; the journal takes nothing more.
        """
        assert not self._failed, "the journal has failed and may not be used"
        if not self._pending:
            return
        frame = encode_entries(self._pending)
        with self._failing():
            self._write_all(self._file, frame)
            self._disk.sync_data(self._file)
        self.size_bytes += len(frame)
        self.durable_sequence = self.last_sequence
        self._pending.clear()

    def compact(self, survivors: Callable[[Sequence[Entry]], list[Entry]]) -> bool:
        """Rewrites the file with the entries that are still needed.

        The new file replaces the old one by a rename once it is durable, so that at every
        instant one of the two is complete.

        Args:
            survivors: Picks them from all entries.

        Returns:
            False if the disk has no room for the new file; the old one stays.

        Raises:
            JournalDamagedError: What it reads back is not what was written.
            JournalFailedError: The disk failed.
        """
        self.sync()
        contents = read(self._path, self._disk)
        kept = survivors(contents.entries)
        header = Header(self.journal_id, through=self.last_sequence, kept=len(kept))
        with self._failing():
            try:
                file = self._write_temporary(header, kept)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    return False
                raise
            self._disk.close(self._file)
            self._file = file
            self._install_temporary()
        self.size_bytes = self.compacted_bytes = self._disk.size(self._path)
        return True

    def close(self) -> None:
        """Releases the file and its lock; what was not synced is not written."""
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                self._disk.close(descriptor)
        self._file = self._lock = -1

    def _load(self) -> tuple[Entry, ...]:
        self._disk.remove(self._temporary)
        if not self._disk.exists(self._path):
            self._disk.close(self._write_temporary(Header(str(uuid.uuid4())), []))
            self._install_temporary()
        contents = read(self._path, self._disk)
        self._file = self._disk.append_to(self._path)
        if contents.torn_bytes:
            self._disk.truncate(self._file, contents.sound_bytes)
            self._disk.sync(self._file)
        # An earlier run may have died between a step and its sync, and after a sync that failed the
        # system still shows what the disk never got. It can only be the last frame, and the name.
        self._disk.write_again(self._path, contents.last_frame_at)
        self._disk.sync_folder(self._path.parent)
        self.journal_id = contents.header.journal_id
        self.last_sequence = self.durable_sequence = contents.last_sequence
        self.size_bytes = self.compacted_bytes = contents.sound_bytes
        self.torn_bytes = contents.torn_bytes
        return contents.entries

    def _write_temporary(self, header: Header, entries: Sequence[Entry]) -> int:
        """Writes a complete file, durable under its temporary name; returns its descriptor."""
        file = self._disk.create(self._temporary)
        try:
            self._write_all(file, encode_header(header))
            for start in range(0, len(entries), COMPACTED_FRAME_ENTRIES):
                frame = encode_entries(entries[start : start + COMPACTED_FRAME_ENTRIES])
                self._write_all(file, frame)
            self._disk.sync(file)
        except OSError:
            self._disk.close(file)
            self._disk.remove(self._temporary)
            raise
        return file

    def _install_temporary(self) -> None:
        self._disk.rename(self._temporary, self._path)
        self._disk.sync_folder(self._path.parent)

    def _write_all(self, descriptor: int, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._disk.write(descriptor, rest) :]

    @property
    def _temporary(self) -> Path:
        return self._path.with_name(self._path.name + ".new")

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            with _disk_errors(self._path):
                yield
        except JournalFailedError:
            self._failed = True
            raise


def lock_path(path: Path) -> Path:
    """Returns the file that an agent locks while it uses a journal."""
    return path.with_name(path.name + ".lock")


def _lock(path: Path, disk: Disk) -> int:
    """Locks a file of its own, since compaction replaces the journal's."""
    try:
        return disk.lock(lock_path(path))
    except BlockingIOError as error:
        raise JournalLockedError(path) from error


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise JournalFailedError(path, error) from error
