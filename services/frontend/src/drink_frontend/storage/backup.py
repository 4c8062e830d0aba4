"""A copy of the SQLite database, taken beside a frontend that runs."""

import os
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path

from drink_frontend.storage.errors import StorageError
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.sqlite_engine import reading


def backup(settings: StorageSettings, target: Path) -> None:
    """Writes all that is committed into one new file, whole and synced or not at all.

    Writers are not held up, and what they commit meanwhile is not in it.

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
            source.backup(copy)
            # One file is a backup; a copy in WAL mode would need its journal to be read.
            copy.execute("PRAGMA journal_mode = DELETE")
        os.fsync(descriptor)
        # Unlike a rename, this does not replace what is there.
        target.hardlink_to(new)
        _sync_folder(target.parent)
    except FileExistsError:
        raise StorageError(f"{target} exists already") from None
    except (OSError, sqlite3.Error) as error:
        raise StorageError(f"{target} cannot be written: {error}") from error
    finally:
        os.close(descriptor)
        with suppress(FileNotFoundError):
            new.unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
