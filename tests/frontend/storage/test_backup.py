"""A backup is whole, private and complete, and replaces nothing."""

import stat
from contextlib import closing
from pathlib import Path

import pytest

from drink_frontend.storage.backup import backup
from drink_frontend.storage.errors import SchemaError, StorageError
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.sqlite_engine import SqliteEngine, open_file, reading
from tests.fakes.databases import fresh_sqlite

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
