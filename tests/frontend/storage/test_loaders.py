"""The statements that load rows by their keys use indexes, however large the tables are."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from drink_frontend.storage import loaders
from drink_frontend.storage.bulk import Bulk
from drink_frontend.storage.sqlite_engine import DIALECT
from tests.support.databases import fresh_sqlite

LOADERS = {name: value for name, value in vars(loaders).items() if isinstance(value, Bulk)}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    settings = fresh_sqlite(tmp_path_factory.mktemp("plans"))
    with closing(sqlite3.connect(settings.path)) as connection:
        yield connection


def plan(database: sqlite3.Connection, name: str) -> list[str]:
    sql = LOADERS[name].text(DIALECT, 4)
    explained = database.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * sql.count("?"))
    return [row[3] for row in explained]


@pytest.mark.parametrize("name", LOADERS)
def test_only_what_is_given_is_looked_at_row_by_row(
    database: sqlite3.Connection, name: str
) -> None:
    scanned = [step for step in plan(database, name) if step.startswith("SCAN")]
    assert set(scanned) <= {"SCAN 4 CONSTANT ROWS", "SCAN given"}
    assert not [step for step in plan(database, name) if "TEMP B-TREE" in step]


@pytest.mark.parametrize(
    ("name", "search"),
    [
        ("DROPS", "SEARCH drops USING INDEX sqlite_autoindex_drops_2 (id=?)"),
        (
            "REQUESTS",
            "SEARCH drops USING INDEX sqlite_autoindex_drops_1 (account=? AND request_id=?)",
        ),
        ("QUEUES", "SEARCH drops USING INDEX drops_by_state (state=? AND machine=?)"),
        (
            "HEADS",
            "SEARCH first USING COVERING INDEX drops_by_state (state=? AND machine=?)",
        ),
    ],
)
def test_drops_are_found_by_their_indexes(
    database: sqlite3.Connection, name: str, search: str
) -> None:
    assert search in plan(database, name)
