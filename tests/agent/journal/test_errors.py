import os
from pathlib import Path

from drink_agent.journal.errors import (
    JournalDamagedError,
    JournalError,
    JournalFailedError,
    JournalLockedError,
)

PATH = Path("/var/lib/x/journal")


def test_every_error_names_the_file_and_keeps_its_facts() -> None:
    damaged = JournalDamagedError(PATH, 117, "a reason")
    failed = JournalFailedError(PATH, OSError(28, "No space left on device"))
    errors: list[JournalError] = [damaged, failed, JournalLockedError(PATH)]
    assert all(str(PATH) in str(error) for error in errors)
    assert (damaged.offset, damaged.reason) == (117, "a reason")
    assert failed.errno == 28


def test_a_refusal_names_the_user() -> None:
    assert f"user {os.geteuid()}" in str(JournalFailedError(PATH, PermissionError(13, "no")))
    assert "user" not in str(JournalFailedError(PATH, OSError(28, "No space left on device")))
