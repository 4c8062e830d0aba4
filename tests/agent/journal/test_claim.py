import os
from pathlib import Path

import pytest

from drink_agent.journal.claim import claimed
from drink_agent.journal.errors import (
    JournalDamagedError,
    JournalFailedError,
    JournalLockedError,
)
from drink_agent.journal.file import Journal


def contents(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """All that a command could leave behind: names, bytes, owners, times."""
    return {
        each.name: (each.read_bytes(), each.stat().st_uid, each.stat().st_mtime_ns)
        for each in folder.iterdir()
    }


def test_no_agent_starts_meanwhile_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal.open(path)[0].close()
    before = contents(tmp_path)
    with claimed(path):
        with pytest.raises(JournalLockedError):
            Journal.open(path)
        assert contents(tmp_path) == before
    Journal.open(path)[0].close()


def test_a_running_agent_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal, _ = Journal.open(path)
    with pytest.raises(JournalLockedError), claimed(path):
        pass
    journal.close()
    with claimed(path):
        pass


@pytest.mark.parametrize("name", ["journal", "missing/journal", "missing/folder/journal"])
def test_where_no_agent_has_run_nothing_is_made(tmp_path: Path, name: str) -> None:
    with claimed(tmp_path / name):
        assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_journal_is_told(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal.open(path)[0].close()
    path.write_bytes(b"x" + path.read_bytes())
    with pytest.raises(JournalDamagedError), claimed(path):
        pass
    with pytest.raises(JournalDamagedError):  # and the lock is free again
        Journal.open(path)


def test_what_may_not_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal.open(path)[0].close()
    path.unlink()
    path.mkdir()
    with pytest.raises(JournalFailedError), claimed(path):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files for another user")
def test_a_journal_that_root_made_belongs_to_the_owner_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    os.chown(folder, 61184, 61184)
    path = folder / "journal"
    journal, _ = Journal.open(path)
    journal.compact(list)
    journal.close()
    assert {(each.stat().st_uid, each.stat().st_gid) for each in folder.iterdir()} == {
        (61184, 61184)
    }
