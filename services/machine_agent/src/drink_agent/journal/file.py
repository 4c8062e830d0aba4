"""The journal's file: settings, errors, lock, append, sync and compaction.

The journal is an append-only file and not SQLite, for two reasons. A record that a power cut has
torn and one that was damaged later can be distinguished (see `format`); a database must treat both
alike. And one durable step is one write and one fdatasync: 0.18 ms on the disk of a small server,
compared with 0.31 ms for a commit with WAL and synchronous=FULL, and there are no checkpoints.

Nothing here is thread-safe, and everything but `append` may block on the disk. The agent calls it
from one thread at a time.
"""

import contextlib
import errno
import fcntl
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from drink_agent.domain.records import Entry
from drink_agent.journal.disk import Disk
from drink_agent.journal.format import (
    BrokenFrameError,
    Contents,
    Header,
    decode,
    encode_frame,
    encode_header,
)

JOURNAL_BYTES_MAX = 256 * 1024 * 1024
"""Size of the largest file that is read; compaction keeps an intact file far smaller."""

COMPACTED_FRAME_ENTRIES = 64
"""Number of entries in a frame that compaction writes; far fewer bytes than a frame may have."""


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """Path and limits of the journal."""

    path: Path = Path("/var/lib/drink-machine-agent/journal")
    """Default /var/lib/drink-machine-agent/journal. A file used by this agent only, on a disk that
    keeps synced data through a power cut. Its folder also holds the file's `.lock` and, during
    compaction, its `.new`."""
    compact_bytes: int = 4 * 1024 * 1024
    """Default 4 MiB. A file that is larger, and twice as large as after its last compaction, is
    compacted when no drop is in progress; 4 MiB are about 4000 drops, rewritten in 0.2 s."""
    evidence_drops: int = 200
    """Default 200 drops. Number of acknowledged drops that keep their evidence in a compaction, for
    a person at the machine; the frontend keeps the evidence of all drops."""
    min_free_bytes: int = 1024 * 1024
    """Default 1 MiB. With less free space on the disk the board is reported as not ready, so that
    no drop is sent whose result could not be written; a drop needs at most 10 KiB."""

    def __post_init__(self) -> None:
        for name in ("compact_bytes", "evidence_drops", "min_free_bytes"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")


class JournalError(Exception):
    """The journal cannot be used. The agent must stop and must not work around it."""


class JournalDamagedError(JournalError):
    """The file differs from what was written; a person has to decide what to do.

    A record that a power cut has torn is not damage and never raises this.
    """

    def __init__(self, path: Path, offset: int, reason: str) -> None:
        super().__init__(f"{path} is damaged at byte {offset}: {reason}")
        self.offset = offset
        """Position of the first unreadable byte."""
        self.reason = reason
        """Description of the damage."""


class JournalLockedError(JournalError):
    """Another agent uses this journal."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is in use by another agent")


class JournalFailedError(JournalError):
    """A write failed, or the file cannot be opened; what was durable before stays so.

    Afterwards nothing more may be written or commanded: after one failed sync, a kernel may report
    success for the next one without having written the data.
    """

    def __init__(self, path: Path, cause: OSError) -> None:
        refused = cause.errno in (errno.EACCES, errno.EPERM)
        who = f", as the user {os.geteuid()}" if refused else ""
        super().__init__(f"{path} could not be opened or written{who}: {cause.strerror or cause}")
        self.errno = cause.errno
        """The system's error number, such as ENOSPC."""


_HOST_DISK = Disk()


def read(path: Path, disk: Disk = _HOST_DISK) -> Contents:
    """Reads a journal without changing it; its agent may be running.

    Args:
        path: The journal's file.
        disk: The disk of the file.

    Raises:
        JournalDamagedError: The file was damaged after it had been written.
        OSError: The file cannot be read.
    """
    if disk.size(path) > JOURNAL_BYTES_MAX:
        raise JournalDamagedError(path, JOURNAL_BYTES_MAX, "it is larger than any journal")
    try:
        return decode(disk.read(path))
    except BrokenFrameError as error:
        raise JournalDamagedError(path, error.offset, error.reason) from error


class Journal:
    """An open journal, locked against other agents."""

    def __init__(self, path: Path, disk: Disk, lock: int) -> None:
        """Call `open` instead."""
        self._path = path
        self._disk = disk
        self._lock = lock
        self._file = -1
        self._failed = False
        self._pending: list[Entry] = []
        self.journal_id = ""
        """Made with the file. A different id shows that the entries of the old file are lost."""
        self.last_sequence = 0
        """Number of the last appended entry."""
        self.durable_sequence = 0
        """Number of the last durable entry."""
        self.size_bytes = 0
        """Length of the file in bytes."""
        self.compacted_bytes = 0
        """Length of the file in bytes when it was opened or last compacted."""
        self.torn_bytes = 0
        """Length in bytes of the torn frame that `open` has removed, usually 0."""

    @classmethod
    def open(cls, path: Path, disk: Disk = _HOST_DISK) -> tuple[Self, tuple[Entry, ...]]:
        """Opens or creates a journal.

        Args:
            path: The journal's file.
            disk: The disk of the file.

        Returns:
            The journal and its entries, oldest first.

        Raises:
            JournalLockedError: Another agent uses it.
            JournalDamagedError: The file was damaged after it had been written.
            JournalFailedError: The file cannot be read or written.
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
        """Whether there are appended entries that are not durable."""
        return bool(self._pending)

    def append(self, entry: Entry) -> None:
        """Adds an entry, which the next `sync` writes."""
        assert entry.sequence == self.last_sequence + 1
        self._pending.append(entry)
        self.last_sequence = entry.sequence

    def sync(self) -> None:
        """Makes all appended entries durable.

        Raises:
            JournalFailedError: They are not durable, and the journal accepts nothing more.
        """
        assert not self._failed, "the journal has failed and may not be used"
        if not self._pending:
            return
        frame = encode_frame([entry.to_dict() for entry in self._pending])
        try:
            self._disk.write(self._file, frame)
            self._disk.sync_data(self._file)
        except OSError as error:
            raise self._fail(error) from error
        self.size_bytes += len(frame)
        self.durable_sequence = self.last_sequence
        self._pending.clear()

    def compact(self, survivors: Callable[[Sequence[Entry]], list[Entry]]) -> bool:
        """Rewrites the file with the entries that are still needed.

        The new file is made durable and then replaces the old one by a rename, so that at every
        moment one of the two is complete.

        Args:
            survivors: Returns the needed ones of all entries.

        Returns:
            False if the disk has no room for the new file; the old one stays in use.

        Raises:
            JournalDamagedError: The file differs from what was written.
            JournalFailedError: The disk failed.
        """
        self.sync()
        contents = read(self._path, self._disk)
        kept = survivors(contents.entries)
        header = Header(self.journal_id, through=self.last_sequence, kept=len(kept))
        try:
            file = self._write_temporary(header, kept)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                return False
            raise self._fail(error) from error
        self._disk.close(self._file)
        self._file = file
        try:
            self._install_temporary()
        except OSError as error:
            raise self._fail(error) from error
        self.size_bytes = self.compacted_bytes = self._disk.size(self._path)
        return True

    def close(self) -> None:
        """Closes the file and releases its lock; entries that were not synced are lost."""
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
        # The previous run may have ended between a write and its sync; and after a failed sync the
        # system still returns bytes that the disk does not have. Both can concern only the last
        # frame and the file's name.
        self._disk.write_again(self._path, contents.last_frame_at)
        self._disk.sync_folder(self._path.parent)
        self.journal_id = contents.header.journal_id
        self.last_sequence = self.durable_sequence = contents.last_sequence
        self.size_bytes = self.compacted_bytes = contents.sound_bytes
        self.torn_bytes = contents.torn_bytes
        return contents.entries

    def _write_temporary(self, header: Header, entries: Sequence[Entry]) -> int:
        """Makes a complete file durable under its temporary name; returns its descriptor."""
        file = self._disk.create(self._temporary)
        try:
            self._disk.write(file, encode_header(header))
            for start in range(0, len(entries), COMPACTED_FRAME_ENTRIES):
                frame_entries = entries[start : start + COMPACTED_FRAME_ENTRIES]
                self._disk.write(file, encode_frame([entry.to_dict() for entry in frame_entries]))
            self._disk.sync(file)
        except OSError:
            self._disk.close(file)
            self._disk.remove(self._temporary)
            raise
        return file

    def _install_temporary(self) -> None:
        self._disk.rename(self._temporary, self._path)
        self._disk.sync_folder(self._path.parent)

    @property
    def _temporary(self) -> Path:
        return self._path.with_name(self._path.name + ".new")

    def _fail(self, error: OSError) -> JournalFailedError:
        """Lets the journal accept nothing more, and returns the error to raise."""
        self._failed = True
        return JournalFailedError(self._path, error)


def _lock_path(path: Path) -> Path:
    """Returns the lock's file, separate because compaction replaces the journal's file."""
    return path.with_name(path.name + ".lock")


def _lock(path: Path, disk: Disk) -> int:
    try:
        return disk.lock(_lock_path(path))
    except BlockingIOError as error:
        raise JournalLockedError(path) from error


@contextlib.contextmanager
def journal_lock(path: Path) -> Iterator[None]:
    """Holds the lock of a journal, so that no agent starts on it.

    Nothing is written. If no agent has run yet, there is no journal and no lock, and none is made:
    the service's user could not open a file that another user has made.

    Args:
        path: The journal's file.

    Raises:
        JournalLockedError: An agent uses the journal.
        JournalDamagedError: The file was damaged after it had been written.
        JournalFailedError: This user may not read it.
    """
    try:
        descriptor = os.open(_lock_path(path), os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        yield
        return
    except OSError as error:
        raise JournalFailedError(path, error) from error
    try:
        with _disk_errors(path):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise JournalLockedError(path) from error
            with contextlib.suppress(FileNotFoundError):
                read(path)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise JournalFailedError(path, error) from error
