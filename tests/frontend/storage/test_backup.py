"""A backup is whole, private and complete, and replaces nothing."""

import errno
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from drink_frontend.storage import backup as module
from drink_frontend.storage.backup import backup
from drink_frontend.storage.engine import SchemaError, StorageError
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.sqlite_engine import SqliteEngine, open_file, reading
from tests.support.databases import fresh_sqlite

NOTE = "INSERT INTO audit (kind, at_ms, actor, facts) VALUES ('NOTE', {0}, 'operator:ann', '{{}}')"


@pytest.fixture
def settings(tmp_path: Path) -> StorageSettings:
    return fresh_sqlite(tmp_path)


def notes(settings: StorageSettings) -> list[int]:
    with reading(settings) as connection:
        rows = connection.execute("SELECT at_ms FROM audit WHERE kind = 'NOTE' ORDER BY at_ms")
        return [at_ms for (at_ms,) in rows]


def test_what_is_committed_is_in_it_and_nothing_later(
    settings: StorageSettings, tmp_path: Path
) -> None:
    target = tmp_path / "backups"
    target.mkdir()
    target /= "drink.db"
    engine = SqliteEngine(settings, exclusive=True)  # as a frontend that runs
    with closing(open_file(settings, read_only=False)) as writer:
        writer.execute(NOTE.format(1))
        writer.execute("BEGIN IMMEDIATE")
        writer.execute(NOTE.format(2))
        backup(settings, target)
        writer.execute("COMMIT")
    engine.close()
    assert notes(settings) == [1, 2]
    assert [path.name for path in target.parent.iterdir()] == ["drink.db"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    restored = settings.model_copy(update={"path": target})
    assert notes(restored) == [1]
    SqliteEngine(restored, exclusive=True).close()


def test_nothing_is_replaced(settings: StorageSettings, tmp_path: Path) -> None:
    target = tmp_path / "older"
    target.write_text("kept")
    with pytest.raises(StorageError, match="exists already"):
        backup(settings, target)
    assert target.read_text() == "kept"
    assert not list(tmp_path.glob(".older*"))


def test_what_cannot_be_read_or_written_is_told(settings: StorageSettings, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        backup(settings, tmp_path / "nowhere" / "drink.db")
    missing = settings.model_copy(update={"path": tmp_path / "missing.db"})
    with pytest.raises(SchemaError):
        backup(missing, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
    with pytest.raises(StorageError, match="pg_dump"):
        backup(StorageSettings(url="postgresql://drink@db/drink"), tmp_path / "copy.db")


def refuse(number: int) -> object:
    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return refused


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
@pytest.mark.parametrize("renames", [True, False], ids=["a rename", "no rename"])
def test_a_file_system_without_hard_links_takes_a_backup(
    settings: StorageSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    number: int,
    renames: bool,
) -> None:
    monkeypatch.setattr(os, "link", refuse(number))
    if not renames:
        monkeypatch.setattr(module, "_rename_to_free_name", refuse(errno.EINVAL))
    (tmp_path / "backups").mkdir()
    target = tmp_path / "backups" / "drink.db"
    backup(settings, target)
    assert notes(settings.model_copy(update={"path": target})) == []
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    target.write_text("kept")
    with pytest.raises(StorageError, match="exists already"):
        backup(settings, target)
    assert target.read_text() == "kept"
    assert [path.name for path in target.parent.iterdir()] == ["drink.db"]


def test_a_name_that_was_claimed_is_given_up_where_the_rename_fails(
    settings: StorageSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for way in ("_link", "_rename_to_free_name"):
        monkeypatch.setattr(module, way, refuse(errno.EPERM))
    monkeypatch.setattr(Path, "replace", refuse(errno.EPERM))
    with pytest.raises(StorageError, match="cannot be written"):
        backup(settings, tmp_path / "copy.db")
    assert not list(tmp_path.glob("*copy.db*"))


@pytest.fixture
def fat(tmp_path: Path) -> Iterator[Path]:
    """A FAT file system, which has no hard links."""
    make = shutil.which("mkfs.fat", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if os.geteuid() or make is None:
        pytest.skip("needs root and dosfstools")
    image, folder = tmp_path / "fat.img", tmp_path / "fat"
    with image.open("wb") as file:
        file.truncate(32 << 20)
    folder.mkdir()
    subprocess.run([make, image], check=True, stdout=subprocess.DEVNULL)
    mounted = subprocess.run(["mount", "-o", "loop", image, folder], check=False)
    if mounted.returncode:
        pytest.skip("this kernel mounts no FAT")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_stick_with_fat_takes_a_backup(settings: StorageSettings, fat: Path) -> None:
    with pytest.raises(PermissionError):
        (fat / "second").hardlink_to(fat)
    target = fat / "drink.db"
    backup(settings, target)
    assert notes(settings.model_copy(update={"path": target})) == []
    with pytest.raises(StorageError, match="exists already"):
        backup(settings, target)
    assert [path.name for path in fat.iterdir()] == ["drink.db"]


def test_a_restored_backup_refuses_the_cursors_of_before(
    settings: StorageSettings, tmp_path: Path
) -> None:
    """Whoever watches events must notice that the house is an older one."""
    mark = "SELECT mark FROM event_log"
    marks = set()
    for number in range(2):
        copy = tmp_path / f"copy-{number}.db"
        backup(settings, copy)
        with reading(settings.model_copy(update={"path": copy})) as connection:
            marks.add(connection.execute(mark).fetchone()[0])
    with reading(settings) as connection:
        marks.add(connection.execute(mark).fetchone()[0])
    assert len(marks) == 3
    assert {len(bytes.fromhex(each)) for each in marks} == {8}
