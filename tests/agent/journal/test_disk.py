import os
import stat
from pathlib import Path

import pytest

from drink_agent.journal.disk import Disk

DISK = Disk()


def test_files_grow_shrink_and_change_names(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    DISK.make_folder(folder)
    DISK.make_folder(folder)
    new, path = folder / "new", folder / "file"
    descriptor = DISK.create(new)
    assert stat.S_IMODE(new.stat().st_mode) == 0o600
    DISK.write(descriptor, b"abcdef")
    DISK.sync_data(descriptor)
    DISK.truncate(descriptor, 4)
    DISK.sync(descriptor)
    DISK.rename(new, path)
    DISK.sync_folder(folder)
    DISK.close(descriptor)
    assert (DISK.exists(new), DISK.exists(path)) == (False, True)
    assert (DISK.size(path), DISK.read(path)) == (4, b"abcd")
    again = DISK.append_to(path)
    DISK.write(again, b"yz")
    DISK.close(again)
    assert DISK.read(path) == b"abcdyz"
    DISK.remove(path)
    DISK.remove(path)
    assert not DISK.exists(path)


def test_a_write_that_the_system_cuts_short_is_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    descriptor = DISK.create(path)
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, data: real(file, data[:2]))
        DISK.write(descriptor, b"abcde")
    DISK.close(descriptor)
    assert path.read_bytes() == b"abcde"


def test_a_new_file_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    DISK.close(DISK.create(path))
    assert DISK.read(path) == b""


def test_a_lock_is_held_until_its_descriptor_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = DISK.lock(path)
    with pytest.raises(BlockingIOError):
        DISK.lock(path)
    DISK.close(first)
    DISK.close(DISK.lock(path))


def test_a_missing_file_cannot_be_opened(tmp_path: Path) -> None:
    for call in (DISK.append_to, DISK.size, DISK.read):
        with pytest.raises(FileNotFoundError):
            call(tmp_path / "missing")


def test_only_a_regular_file_has_a_length(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/full")):
        with pytest.raises(OSError, match="not a regular file"):
            DISK.size(path)


def test_overwritten_bytes_stay_equal_and_are_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abcdef")
    synced: list[int] = []
    real = os.fsync

    def count(descriptor: int) -> None:
        synced.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", count)
    written: list[bytes] = []
    real_pwrite = os.pwrite

    def one_byte(descriptor: int, data: bytes, offset: int) -> int:
        written.append(bytes(data[:1]))
        return real_pwrite(descriptor, data[:1], offset)

    monkeypatch.setattr(os, "pwrite", one_byte)
    DISK.write_again(path, 2)
    assert path.read_bytes() == b"abcdef"
    assert written == [b"c", b"d", b"e", b"f"]
    assert len(synced) == 1
