"""Backup of an SQLite database while a frontend uses it."""

import ctypes
import errno
import os
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path

from drink_frontend.storage.engine import StorageError
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.sqlite_engine import reading

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1

_NOT_SUPPORTED = frozenset(
    {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.EMLINK}
)
"""Errors of file systems for operations that they lack; FAT returns EPERM for a hard link."""


def backup(settings: StorageSettings, target: Path) -> None:
    """Writes a snapshot of the database into a new file, complete and synced or not at all.

    Writers are not blocked; what they commit meanwhile is not in the backup.

    Raises:
        StorageError: the database is not SQLite or cannot be read, or the file is there already or
            cannot be written.
    """
    if settings.url is not None:
        raise StorageError("PostgreSQL has its own tool for this: pg_dump")
    try:
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise StorageError(f"{target} cannot be written: {error.strerror}") from error
    new = Path(name)
    try:
        with closing(sqlite3.connect(new)) as copy, reading(settings) as source:
            # With exclusive locking SQLite needs no shared memory, which some file systems lack.
            copy.execute("PRAGMA locking_mode = EXCLUSIVE")
            source.backup(copy)
            # The backup is one file: a database in WAL mode would need its journal too.
            copy.execute("PRAGMA journal_mode = DELETE")
            # Whoever has seen events after this moment must notice that it was restored.
            copy.execute("UPDATE event_log SET mark = lower(hex(randomblob(8)))")
            copy.commit()
        os.fsync(descriptor)
        _name(new, target)
        _sync_folder(target.parent)
    except FileExistsError:
        raise StorageError(f"{target} exists already") from None
    except (OSError, sqlite3.Error) as error:
        raise StorageError(f"{target} cannot be written: {error}") from error
    finally:
        os.close(descriptor)
        with suppress(FileNotFoundError):
            new.unlink()


def _name(new: Path, target: Path) -> None:
    """Renames the finished file without replacing another one.

    Raises:
        FileExistsError: the target exists.
        OSError: the file cannot be renamed.
    """
    for give in (_link, _rename_to_free_name, _rename_to_claimed_name):
        try:
            give(new, target)
        except OSError as error:
            if error.errno not in _NOT_SUPPORTED or give is _rename_to_claimed_name:
                raise
        else:
            return


def _link(new: Path, target: Path) -> None:
    """Makes a hard link; FAT, exFAT and most network file systems have none."""
    target.hardlink_to(new)


def _rename_to_free_name(new: Path, target: Path) -> None:
    """Calls Linux's renameat2 with RENAME_NOREPLACE; FAT supports it, SMB does not."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    paths = os.fsencode(new), os.fsencode(target)
    if rename(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_NOREPLACE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _rename_to_claimed_name(new: Path, target: Path) -> None:
    """Creates an empty target, which fails if there is one, and replaces it.

    A kill between the two steps leaves an empty file.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        new.replace(target)
    except OSError:
        target.unlink()
        raise


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot sync a folder; they sync a name when it is created.
        if error.errno not in _NOT_SUPPORTED:
            raise
    finally:
        os.close(descriptor)
