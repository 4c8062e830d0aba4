"""The two disks that lose what was not synced: they lose that, and nothing else."""

import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash.forked_process import ROOT
from tests.crash.journal_disk import JournalDisk
from tests.support import programs

SELL = """
import os, signal, sqlite3, sys
from tests.crash.sqlite_disk import SqliteDisk
disk = SqliteDisk(lambda path, half: None, lambda path, done: None, remember=True)
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute(f"PRAGMA synchronous = {sys.argv[2]}")
for number in range(3):
    database.execute("INSERT INTO sold VALUES (?)", (number,))
disk.lose_unsynced()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("synchronous", "kept"), [("FULL", 3), ("NORMAL", 0), ("OFF", 0)])
def test_fault_32_sqlite_keeps_commits_that_were_synced(
    synchronous: str, kept: int, tmp_path: Path
) -> None:
    path = tmp_path / "sold.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE sold (number)")
        database.commit()
    done = programs.run(sys.executable, "-c", SELL, path, synchronous, cwd=ROOT)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM sold").fetchone() == (kept,)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.fixture
def file(tmp_path: Path) -> int:
    return os.open(tmp_path / "file", os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)


def test_fault_32_writes_after_the_last_sync_are_lost(file: int, tmp_path: Path) -> None:
    disk = JournalDisk()
    for text, synced in ((b"one ", True), (b"two ", False), (b"three ", False)):
        disk.will_write(file)
        os.write(file, text)
        if synced:
            os.fsync(file)
            disk.synced(file)
    disk.lose_unsynced()
    assert (tmp_path / "file").read_bytes() == b"one "
    os.close(file)


def test_fault_32_an_unsynced_cut_is_undone(file: int, tmp_path: Path) -> None:
    os.write(file, b"sound and torn")
    disk = JournalDisk()
    disk.will_truncate(file, 5)
    os.ftruncate(file, 5)
    disk.lose_unsynced()
    assert (tmp_path / "file").read_bytes() == b"sound and torn"
    os.close(file)


@pytest.mark.parametrize("folder_synced", [True, False])
def test_fault_32_a_rename_lasts_once_its_folder_is_synced(
    folder_synced: bool, tmp_path: Path
) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    new.write_text("new")
    old.write_text("old")
    disk = JournalDisk()
    disk.will_rename(new, old)
    new.rename(old)
    if folder_synced:
        folder = os.open(tmp_path, os.O_RDONLY)
        disk.synced(folder)
        os.close(folder)
    disk.lose_unsynced()
    assert old.read_text() == ("new" if folder_synced else "old")
    assert new.exists() is not folder_synced
