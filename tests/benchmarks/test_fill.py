import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.fill import fill
from benchmarks.systems import Frontend
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.sqlite_engine import reading
from drink_frontend.storage.verify import verify_books


@pytest.fixture
def frontend(tmp_path: Path) -> Frontend:
    made = Frontend(tmp_path)
    made.install()
    return made


def schema(database: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()


def count(database: Path, table: str) -> int:
    with closing(sqlite3.connect(database)) as connection:
        (rows,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(rows)


def test_a_filled_database_keeps_its_schema_and_its_books_are_right(frontend: Frontend) -> None:
    before = schema(frontend.database)
    fill(frontend.database, 1_003)
    fill(frontend.database, 7)
    tokens = frontend.add_machines(["x1", "x2"])
    assert tokens["x1"] != tokens["x2"]
    assert schema(frontend.database) == before
    assert count(frontend.database, "drops") == 1_010
    assert count(frontend.database, "machines") == 52
    with reading(StorageSettings(path=frontend.database)) as connection:
        assert verify_books(connection.execute) == []
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
