"""Keeps agents away from a journal without writing anything."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from drink_agent.journal.errors import JournalFailedError, JournalLockedError
from drink_agent.journal.file import lock_path, read


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Holds the lock of a journal while it lasts, so that no agent starts on it.

    Where no agent has run yet, there is no journal and no lock, and none is made: a file that
    another user made could not be opened by the service's own.

    Args:
        path: The journal's file.

    Raises:
        JournalLockedError: An agent uses it.
        JournalDamagedError: It was damaged after it had been written.
        JournalFailedError: This user may not read it.
    """
    try:
        descriptor = os.open(lock_path(path), os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        yield
        return
    except OSError as error:
        raise JournalFailedError(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with contextlib.suppress(FileNotFoundError):
            read(path)
    except BlockingIOError as error:
        os.close(descriptor)
        raise JournalLockedError(path) from error
    except OSError as error:
        os.close(descriptor)
        raise JournalFailedError(path, error) from error
    except BaseException:
        os.close(descriptor)
        raise
    try:
        yield
    finally:
        os.close(descriptor)
