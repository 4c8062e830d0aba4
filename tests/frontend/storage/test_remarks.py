"""What is told of books that release 0.1.0 has kept, on both engines."""

import sqlite3
from pathlib import Path

import psycopg
import pytest

from drink_frontend.storage import remarks
from drink_frontend.storage.migrations import migrate
from drink_frontend.storage.opening import open_storage
from drink_frontend.storage.remarks import remarks_on
from drink_frontend.storage.settings import StorageSettings
from tests.fakes.books import found, fund
from tests.fakes.databases import fresh_sqlite
from tests.fakes.postgres import fresh_postgres

TWIN = (
    "INSERT INTO accounts SELECT 'Alice', kind, admin, closed, password_hash, ibutton_digest,"
    " created_ms, 0, 0, 0, 0 FROM accounts WHERE name = 'alice'"
)
AGAIN = (
    "INSERT INTO transfers (sequence, id, kind, debit_account, credit_account, amount, created_ms,"
    " actor, request_id) SELECT sequence + 100, 'again', kind, debit_account, credit_account,"
    " amount, created_ms, 'anna', request_id FROM transfers WHERE request_id = 'gift'"
)


def person(settings: StorageSettings, *statements: str) -> None:
    """Writes past every rule of the program."""
    if settings.url is not None:
        with psycopg.connect(settings.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())
        return
    file = sqlite3.connect(settings.path)
    with file:
        for statement in statements:
            file.execute(statement)
    file.close()


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_pairs_of_names_and_gifts_that_were_given_twice(engine: str, tmp_path: Path) -> None:
    settings = fresh_sqlite(tmp_path) if engine == "sqlite" else fresh_postgres()
    async with open_storage(settings) as storage:
        await storage.write(found)
        await storage.write(lambda tx: fund(tx, "alice", 5, "gift"))
        assert await storage.remarks() == []
        person(settings, TWIN, AGAIN)
        told = await storage.remarks()
    assert told == [
        "the accounts Alice and alice differ only in case: each is found by its exact name only",
        (
            "the request_id gift gave or took credits 2 times, by anna and root:"
            " see whether all were meant"
        ),
    ]
    assert migrate(settings) == told


def test_no_more_are_told_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remarks, "REMARKS_MAX", 2)
    rows = [("a", "A"), ("b", "B"), ("c", "C"), ("d", "D")]
    told = remarks_on(lambda query: rows if "accounts AS one" in query else [])
    assert len(told) == 3
    assert told[-1] == "and 2 more like the last one"
