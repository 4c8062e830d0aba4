"""SQLite as an engine: what it opens, whom it keeps out, what its errors mean."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from drink_frontend.storage.engine import DatabaseLockedError, Fault, SchemaError, StorageError
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.sqlite_engine import SqliteConnection, SqliteEngine, open_file, reading
from tests.support.databases import fresh_sqlite


@pytest.fixture
def settings(tmp_path: Path) -> StorageSettings:
    return fresh_sqlite(tmp_path)


def pragma(connection: sqlite3.Connection, name: str) -> object:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return value


def test_a_commit_is_durable_and_references_are_checked(settings: StorageSettings) -> None:
    with closing(open_file(settings, read_only=False)) as connection:
        assert pragma(connection, "journal_mode") == "wal"
        assert pragma(connection, "synchronous") == 2
        assert pragma(connection, "foreign_keys") == 1
        assert pragma(connection, "recursive_triggers") == 1
        assert pragma(connection, "busy_timeout") == settings.busy_timeout_ms
        assert pragma(connection, "wal_autocheckpoint") == settings.checkpoint_pages


def test_fault_31_a_second_frontend_is_kept_out_and_told_who_is_in(
    settings: StorageSettings,
) -> None:
    engine = SqliteEngine(settings, exclusive=True)
    with pytest.raises(DatabaseLockedError, match=f"another frontend .process {os.getpid()}"):
        SqliteEngine(settings, exclusive=True)
    engine.close()
    SqliteEngine(settings, exclusive=True).close()


def test_fault_31_the_lock_holds_between_processes_and_dies_with_its_holder(
    settings: StorageSettings,
) -> None:
    script = (
        "import sys; from pathlib import Path;"
        "from drink_frontend.storage.sqlite_engine import lock;"
        "lock(Path(sys.argv[1])); print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(settings.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(DatabaseLockedError, match=f"process {holder.pid}"):
            SqliteEngine(settings, exclusive=True)
        holder.kill()
        holder.wait()
    SqliteEngine(settings, exclusive=True).close()


def test_a_command_may_open_it_beside_a_frontend(settings: StorageSettings) -> None:
    frontend = SqliteEngine(settings, exclusive=True)
    command = SqliteEngine(settings, exclusive=False)
    command.connect(read_only=False).close()
    command.close()
    with reading(settings) as connection:
        assert connection.execute("SELECT COUNT(*) FROM accounts").fetchone() == (1,)
    frontend.close()


def test_queries_of_a_reader_see_one_snapshot_while_a_frontend_writes(
    settings: StorageSettings,
) -> None:
    with reading(settings) as reader, closing(open_file(settings, read_only=False)) as frontend:
        before = reader.execute("SELECT mark FROM event_log").fetchone()
        frontend.execute("UPDATE event_log SET mark = 'another'")
        assert reader.execute("SELECT mark FROM event_log").fetchone() == before


def test_a_missing_database_is_not_made(tmp_path: Path) -> None:
    settings = StorageSettings(path=tmp_path / "drink.db")
    with pytest.raises(SchemaError, match=r"there is no database at .*migrate makes it"):
        SqliteEngine(settings, exclusive=True)
    assert not settings.path.exists()
    with pytest.raises(StorageError, match="No such file"):
        SqliteEngine(StorageSettings(path=tmp_path / "no" / "drink.db"), exclusive=True)


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    settings = StorageSettings(path=tmp_path / "drink.db")
    settings.path.write_bytes(b"a shopping list" * 100)
    with pytest.raises(StorageError, match="not a database"):
        SqliteEngine(settings, exclusive=True)
    settings.path.write_bytes(b"")
    with pytest.raises(SchemaError, match="no schema"):
        SqliteEngine(settings, exclusive=True)


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    settings = StorageSettings(path=tmp_path / "drink.db")
    settings.path.mkdir()
    with pytest.raises(SchemaError, match="there is no database"):
        SqliteEngine(settings, exclusive=True)


def test_a_path_may_hold_any_character(tmp_path: Path) -> None:
    folder = tmp_path / "100% of #1?&mode=memory"
    folder.mkdir()
    settings = fresh_sqlite(folder)
    engine = SqliteEngine(settings, exclusive=True)
    connection = engine.connect(read_only=False)
    connection.begin()
    connection.commit()
    connection.close()
    engine.close()


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (sqlite3.SQLITE_BUSY, Fault.UNAVAILABLE),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Fault.UNAVAILABLE),
        (sqlite3.SQLITE_FULL, Fault.UNAVAILABLE),
        (sqlite3.SQLITE_NOMEM, Fault.UNAVAILABLE),
        (sqlite3.SQLITE_INTERRUPT, Fault.UNAVAILABLE),
        (sqlite3.SQLITE_IOERR_FSYNC, Fault.BROKEN),
        (sqlite3.SQLITE_IOERR_WRITE, Fault.BROKEN),
        (sqlite3.SQLITE_CORRUPT_INDEX, Fault.BROKEN),
        (sqlite3.SQLITE_CONSTRAINT_CHECK, None),
        (sqlite3.SQLITE_ERROR, None),
        (sqlite3.SQLITE_MISUSE, None),
        (sqlite3.SQLITE_READONLY, None),
    ],
)
def test_an_error_is_a_fault_or_a_mistake(
    settings: StorageSettings, code: int, fault: Fault | None
) -> None:
    engine = SqliteEngine(settings, exclusive=False)
    error = sqlite3.OperationalError("as the driver raises it")
    error.sqlite_errorcode = code
    assert engine.fault(error) is fault
    assert engine.fault(ValueError()) is None
    assert engine.fault(sqlite3.ProgrammingError("without a code")) is None


def test_a_transaction_is_committed_or_undone_whole(settings: StorageSettings) -> None:
    engine = SqliteEngine(settings, exclusive=True)
    connection = engine.connect(read_only=False)
    driver = connection._driver

    def tokens() -> int:
        (count,) = driver.execute("SELECT COUNT(*) FROM tokens").fetchone()
        return int(count)

    def add(digest: str) -> None:
        driver.execute(
            "INSERT INTO tokens (digest, account, expires_ms) VALUES (?, 'funding', 0)", (digest,)
        )

    assert not connection.in_transaction
    connection.begin()
    assert connection.in_transaction
    add("kept")
    connection.commit()
    assert not connection.in_transaction
    connection.begin()
    add("undone")
    connection.rollback()
    assert not connection.in_transaction
    assert tokens() == 1
    connection.close()
    engine.close()


def test_what_other_connections_commit_is_noticed_once(settings: StorageSettings) -> None:
    engine = SqliteEngine(settings, exclusive=True)
    one, another = engine.connect(read_only=False), engine.connect(read_only=False)

    def commit(connection: SqliteConnection, digest: str) -> None:
        insert = "INSERT INTO tokens (digest, account, expires_ms) VALUES (?, 'funding', 0)"
        connection._driver.execute(insert, (digest,))

    assert not one.changed_elsewhere()
    commit(one, "own")
    assert not one.changed_elsewhere()
    commit(another, "other")
    assert one.changed_elsewhere()
    assert not one.changed_elsewhere()
    one.close()
    another.close()
    engine.close()
