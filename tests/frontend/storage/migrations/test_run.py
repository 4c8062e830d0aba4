"""Migrations: to the schema that the tables describe, whole or not at all."""

import re
import sqlite3
import stat
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from drink_frontend.storage import migrations, triggers
from drink_frontend.storage.engine import DatabaseLockedError, SchemaError, StorageError
from drink_frontend.storage.migrations import migrate
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.sqlite_engine import SqliteEngine
from drink_frontend.storage.tables import SCHEMA_REVISION, metadata
from tests.support import before_alarms, before_ids
from tests.support.databases import interrupted_at

Schema = dict[tuple[str, str], frozenset[str]]


@pytest.fixture
def settings(tmp_path: Path) -> StorageSettings:
    return StorageSettings(path=tmp_path / "data" / "drink.db")


def schema(path: Path) -> Schema:
    """Everything in a database but Alembic's own table, each part as its lines in any order."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT type, name, sql FROM sqlite_master"
            " WHERE sql IS NOT NULL AND name <> 'alembic_version'"
        ).fetchall()
    return {
        # SQLite puts the name of a table that was renamed in quotes. A foreign key that was added
        # with its column does not name the column again.
        (kind, name): frozenset(
            re.split(
                r",? (?=CONSTRAINT )| (?=\) )",
                " ".join(re.sub(r'"|FOREIGN KEY\(\w+\) ', "", sql).split()),
            )
        )
        for kind, name, sql in rows
    }


def test_migrated_schema_matches_metadata(settings: StorageSettings, tmp_path: Path) -> None:
    migrate(settings)
    engine = create_engine(f"sqlite:///{tmp_path / 'metadata.db'}", poolclass=NullPool)
    metadata.create_all(engine)
    migrated, described = schema(settings.path), schema(tmp_path / "metadata.db")
    assert {name for kind, name in described if kind == "table"} == set(metadata.tables)
    assert {name for kind, name in described if kind == "trigger"} == set(triggers.TRIGGERS)
    assert migrated == described


def test_the_newest_migration_is_the_schemas_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_current_head() == SCHEMA_REVISION
    revisions = [script.revision for script in scripts.walk_revisions()]
    assert revisions == sorted(revisions, reverse=True)


def test_migrating_again_changes_nothing(settings: StorageSettings) -> None:
    migrate(settings)
    before = settings.path.read_bytes()
    migrate(settings)
    assert settings.path.read_bytes() == before


def test_what_release_0_1_0_kept_raises_alarms_and_opens_the_stock(
    settings: StorageSettings,
) -> None:
    migrate(settings, before_alarms.RELEASE)
    with closing(sqlite3.connect(settings.path)) as connection, connection:
        for statement in before_alarms.ROWS:
            connection.execute(statement)
    migrate(settings)
    with closing(sqlite3.connect(settings.path)) as connection:
        assert connection.execute(before_alarms.ASKED).fetchall() == before_alarms.ALARMS
        moved = connection.execute(before_alarms.ASKED_MOVEMENTS).fetchall()
    assert moved == before_alarms.MOVEMENTS


def _execute(settings: StorageSettings, statement: str) -> list[Any]:
    with closing(sqlite3.connect(settings.path)) as connection, connection:
        return connection.execute(statement).fetchall()


def _dump(settings: StorageSettings) -> list[str]:
    with closing(sqlite3.connect(settings.path)) as connection:
        return list(connection.iterdump())


async def test_the_books_refer_to_ids_after_it(settings: StorageSettings) -> None:
    migrate(settings, before_ids.BEFORE)
    for statement in before_ids.ROWS:
        _execute(settings, statement)
    migrate(settings)
    await before_ids.check(settings, partial(_execute, settings))


async def test_accounts_of_before_have_no_display_name(settings: StorageSettings) -> None:
    migrate(settings, before_ids.BEFORE)
    for statement in before_ids.ROWS:
        _execute(settings, statement)
    migrate(settings)
    await before_ids.check_display_names(settings)


@pytest.mark.parametrize("statement", [1, 4, 8, 12, 16, 18])
async def test_fault_39_it_is_interrupted_with_books_and_repeated(
    settings: StorageSettings, statement: int
) -> None:
    migrate(settings, before_ids.BEFORE)
    for row in before_ids.ROWS:
        _execute(settings, row)
    before = _dump(settings)
    with interrupted_at(statement), pytest.raises(KeyboardInterrupt):
        migrate(settings)
    assert _dump(settings) == before
    migrate(settings)
    await before_ids.check(settings, partial(_execute, settings))


def test_the_database_is_its_owners_only(settings: StorageSettings) -> None:
    migrate(settings)
    assert stat.S_IMODE(settings.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("statement", [1, 2, 10, 25, 30])
def test_fault_39_an_interrupted_migration_leaves_nothing_and_can_be_repeated(
    settings: StorageSettings, statement: int
) -> None:
    with interrupted_at(statement), pytest.raises(KeyboardInterrupt):
        migrate(settings)
    assert schema(settings.path) == {}
    with pytest.raises(SchemaError, match=f"no schema.*{SCHEMA_REVISION}"):
        SqliteEngine(settings, exclusive=True)
    migrate(settings)
    SqliteEngine(settings, exclusive=True).close()


def _set_revision(settings: StorageSettings, revision: str) -> None:
    with closing(sqlite3.connect(settings.path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))


@pytest.mark.parametrize(("revision", "word"), [("0000", "older"), ("9999", "newer")])
def test_fault_39_another_schema_is_refused_with_both_revisions(
    settings: StorageSettings, revision: str, word: str
) -> None:
    migrate(settings)
    _set_revision(settings, revision)
    with pytest.raises(SchemaError, match=f"{word} schema revision {revision}.*{SCHEMA_REVISION}"):
        SqliteEngine(settings, exclusive=True)
    # What was refused is not locked either.
    with pytest.raises(SchemaError):
        SqliteEngine(settings, exclusive=True)


def test_fault_39_a_newer_schema_that_only_adds_is_lived_with(settings: StorageSettings) -> None:
    migrate(settings)
    with closing(sqlite3.connect(settings.path)) as connection, connection:
        connection.execute("INSERT INTO compatibility VALUES ('9999', ?)", (SCHEMA_REVISION,))
    _set_revision(settings, "9999")
    before = settings.path.read_bytes()
    migrate(settings)
    assert settings.path.read_bytes() == before
    SqliteEngine(settings, exclusive=True).close()


def test_a_newer_schema_is_not_migrated(settings: StorageSettings) -> None:
    migrate(settings)
    _set_revision(settings, "9999")
    with pytest.raises(SchemaError, match=f"newer schema revision 9999.*{SCHEMA_REVISION}"):
        migrate(settings)


def test_a_database_in_use_is_not_migrated(settings: StorageSettings) -> None:
    migrate(settings)
    engine = SqliteEngine(settings, exclusive=True)
    with pytest.raises(DatabaseLockedError):
        migrate(settings)
    engine.close()
    migrate(settings)


def test_what_is_no_database_is_left_alone(settings: StorageSettings) -> None:
    settings.path.parent.mkdir()
    settings.path.write_bytes(b"a shopping list" * 100)
    with pytest.raises(StorageError, match="not a database"):
        migrate(settings)
    assert settings.path.read_bytes() == b"a shopping list" * 100
