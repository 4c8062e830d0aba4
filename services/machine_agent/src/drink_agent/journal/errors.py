"""Why a journal cannot be used. None of these may be worked around by the agent."""

import errno
import os
from pathlib import Path


class JournalError(Exception):
    """The journal cannot be used."""


class JournalDamagedError(JournalError):
    """What the file says is not what was written; a person has to look.

    A record that a power cut tore is not damage and never raises this.
    """

    def __init__(self, path: Path, offset: int, reason: str) -> None:
        super().__init__(f"{path} is damaged at byte {offset}: {reason}")
        self.path = path
        """The journal's file."""
        self.offset = offset
        """Where the first unreadable byte range begins."""
        self.reason = reason
        """What is wrong there."""


class JournalLockedError(JournalError):
    """Another agent uses this journal."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is in use by another agent")
        self.path = path
        """The journal's file."""


class JournalFailedError(JournalError):
    """The disk did not take a write, or the file may not be opened; what is durable stays so.

    After it nothing more may be written or commanded: a kernel that once failed to sync may
    report success the next time without having written anything.
    """

    def __init__(self, path: Path, cause: OSError) -> None:
        refused = cause.errno in (errno.EACCES, errno.EPERM)
        who = f", as the user {os.geteuid()}" if refused else ""
        super().__init__(f"{path} could not be opened or written{who}: {cause.strerror or cause}")
        self.path = path
        """The journal's file."""
        self.errno = cause.errno
        """The system's error number, such as ENOSPC."""
