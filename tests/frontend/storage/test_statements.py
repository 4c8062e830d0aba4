"""The statements: sound in every dialect, and quick however large the tables are."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy import bindparam, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from drink_frontend.domain.alarms import AlarmKind
from drink_frontend.storage import (
    accounts,
    alarms,
    audit,
    drops,
    identities,
    items,
    kiosks,
    ledger,
    machines,
    preferences,
    provider_logins,
    refunds,
    statistics,
    stock,
)
from drink_frontend.storage import tokens as token_statements
from drink_frontend.storage.sqlite_engine import DIALECT
from drink_frontend.storage.statements import Executor, OneOf, Statement, constant
from drink_frontend.storage.tables import alarms as alarms_table
from drink_frontend.storage.tables import metadata, tokens
from tests.support.databases import fresh_sqlite

MODULES = (
    accounts,
    alarms,
    audit,
    drops,
    identities,
    items,
    kiosks,
    ledger,
    machines,
    preferences,
    provider_logins,
    refunds,
    statistics,
    stock,
    token_statements,
)


def _statements(module: ModuleType) -> Iterator[tuple[str, Statement]]:
    name = module.__name__.rpartition(".")[2]
    for key, value in vars(module).items():
        if isinstance(value, Statement):
            yield f"{name}{key.lower()}", value
        elif isinstance(value, dict):
            for number, part in enumerate(value.values()):
                if isinstance(part, Statement):
                    yield f"{name}{key.lower()}_{number}", part


STATEMENTS = {name: one for module in MODULES for name, one in _statements(module)}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    settings = fresh_sqlite(tmp_path_factory.mktemp("plans"))
    with closing(sqlite3.connect(settings.path)) as connection:
        yield connection


def plan(database: sqlite3.Connection, name: str) -> list[str]:
    """How SQLite finds the rows; an empty database never gathered what would change its mind."""
    sql = STATEMENTS[name].text(DIALECT)
    parameters = dict.fromkeys(re.findall(r":(\w+)", sql), 1)
    return [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]


NAME = re.compile(r"CORRELATED SCALAR SUBQUERY \d+|SEARCH shown USING PRIMARY KEY \(id=\?\)")
"""Steps that find the name of an account for a row."""


def plan_without_names(database: sqlite3.Connection, name: str) -> list[str]:
    """The same, without the look-ups of accounts' names by their keys."""
    return [step for step in plan(database, name) if not NAME.fullmatch(step)]


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_is_sound(database: sqlite3.Connection, name: str) -> None:
    plan(database, name)


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_can_be_said_to_another_engine(name: str) -> None:
    dialect = postgresql.dialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]
    parameters = set(re.findall(r"%\((\w+)\)s", STATEMENTS[name].text(dialect)))
    assert parameters == set(re.findall(r":(\w+)", STATEMENTS[name].text(DIALECT)))


def test_the_tables_can_be_made_on_another_engine() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    for table in metadata.sorted_tables:
        made = str(CreateTable(table).compile(dialect=dialect)).upper()
        assert "INTEGER" not in made
        assert made.count(" TEXT") == made.count(' TEXT COLLATE "C"')
        for index in table.indexes:
            where = " WHERE " in str(CreateIndex(index).compile(dialect=DIALECT))
            assert (" WHERE " in str(CreateIndex(index).compile(dialect=dialect))) == where


INDEX_OF_OPEN_DROPS = [
    *("drops_by_state (state=?)",) * 2,
    *("drops_by_state (state=? AND machine=? AND sequence<?)",) * 4,
]
"""How open drops are found, by the filters of their list."""


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("drops_in_state", "drops_by_state (state=?)"),
        ("drops_in_state_at", "drops_by_state (state=? AND machine=?)"),
        *((f"drops_list_open_{number}", INDEX_OF_OPEN_DROPS[number]) for number in range(6)),
        ("drops_due", "drops_by_time (not_before_ms<?)"),
        ("drops_next_due", "drops_by_time"),
    ],
)
def test_queues_look_at_open_drops_only(
    database: sqlite3.Connection, name: str, index: str
) -> None:
    steps = plan_without_names(database, name)
    found = [step for step in steps if not step.startswith("USE TEMP B-TREE")]
    assert found in (
        [f"SEARCH drops USING INDEX {index}"],
        [f"SEARCH drops USING COVERING INDEX {index}"],
    )


SCANNED = {
    "accounts_administrators",
    "accounts_users",
    "items_count",
    "kiosks_list",
    "machines_ownerships",
    "machines_list",
    "machines_list_frontends",
    "machines_all_slots",
    # The rows of some days and months, a bounded part of them, the one row of progress, and those
    # who want to be ranked.
    *(name for name in STATEMENTS if name.startswith("statistics_grouped")),
    "statistics_clear",
    "statistics_clear_unknown",
    "statistics_progress",
    "statistics_ranked",
    "statistics_set_progress",
}
"""What lists everything there is, of tables that people fill, and the few frontends; and what is
asked only when somebody stops being an administrator."""


@pytest.mark.parametrize("name", sorted(STATEMENTS.keys() - SCANNED))
def test_nothing_else_looks_at_every_row(database: sqlite3.Connection, name: str) -> None:
    assert not [step for step in plan(database, name) if step.startswith("SCAN")]


SORTED = {
    "alarms_list_in_0",
    "alarms_list_in_1",
    "alarms_list_not_closed",
    "audit_list_drop",
    "drops_in_state",
    *(f"drops_list_open_{number}" for number in range(6)),
    "machines_list_frontends",
    *(name for name in STATEMENTS if name.startswith("statistics_grouped")),
    "statistics_ranked",
}
"""What sorts a few rows: open drops, open alarms, records of a drop, frontends, sums."""


@pytest.mark.parametrize("name", sorted(STATEMENTS.keys() - SORTED))
def test_nothing_else_sorts(database: sqlite3.Connection, name: str) -> None:
    assert not [step for step in plan(database, name) if "TEMP B-TREE" in step]


@pytest.mark.parametrize(
    ("number", "search"),
    list(
        enumerate(
            [
                "drops_by_creation (created_ms>? AND created_ms<?)",
                "drops_by_item (item=? AND created_ms>? AND created_ms<?)",
                "drops_by_machine (machine=? AND created_ms>? AND created_ms<?)",
                "drops_by_item (item=? AND created_ms>? AND created_ms<?)",
                "drops_by_machine (machine=? AND created_ms>? AND created_ms<?)",
                "drops_by_item (item=? AND created_ms>? AND created_ms<?)",
            ]
        )
    ),
)
def test_drops_are_listed_by_indexes(
    database: sqlite3.Connection, number: int, search: str
) -> None:
    def searched(name: str) -> list[str]:
        return [step for step in plan(database, name) if " drops " in step]

    assert searched(f"drops_list_by_time_{number}") == [f"SEARCH drops USING INDEX {search}"]
    account = "drops_by_account (account=? AND sequence<?)"
    assert searched(f"drops_list_of_{number}") == [f"SEARCH drops USING INDEX {account}"]


def test_a_place_in_the_queue_is_found_by_indexes(database: sqlite3.Connection) -> None:
    assert plan(database, "drops_ahead") == [
        "SEARCH drops USING INDEX drops_by_state (state=? AND machine=? AND sequence<?)"
    ]
    assert plan_without_names(database, "drops_last_of") == [
        "SEARCH drops USING INDEX drops_by_machine (machine=?)"
    ]


def test_a_records_history_is_found_by_its_drop(database: sqlite3.Connection) -> None:
    assert plan_without_names(database, "audit_list_drop_kind") == [
        "SEARCH audit USING INDEX audit_by_drop (drop_id=? AND kind=? AND sequence<?)"
    ]


def test_entries_of_an_account_are_merged_from_its_two_sides(
    database: sqlite3.Connection,
) -> None:
    of_drop = (
        "SEARCH refunds USING INDEX sqlite_autoindex_refunds_2 (transfer_id=?) LEFT-JOIN",
        "SEARCH drops USING INDEX sqlite_autoindex_drops_2 (id=?) LEFT-JOIN",
    )
    assert plan_without_names(database, "ledger_entries") == [
        "MERGE (UNION ALL)",
        "LEFT",
        "SEARCH transfers USING INDEX transfers_by_debit (debit_account=? AND sequence<?)",
        *of_drop,
        "RIGHT",
        "SEARCH transfers USING INDEX transfers_by_credit (credit_account=? AND sequence<?)",
        *of_drop,
    ]


def test_sums_are_found_by_their_key(database: sqlite3.Connection) -> None:
    key = "SEARCH statistics USING PRIMARY KEY (owner=? AND kind=? AND period>? AND period<?)"
    for name in (name for name in STATEMENTS if name.startswith("statistics_grouped")):
        assert [step for step in plan(database, name) if " statistics" in step] == [key] * 5, name
    ranked = [step for step in plan(database, "statistics_ranked") if " statistics" in step]
    assert ranked
    assert all("(owner=? AND kind=? AND period>? AND period<?)" in step for step in ranked)


def test_a_value_in_a_description_is_a_mistake() -> None:
    with pytest.raises(AssertionError):
        Statement(select(tokens.c.digest).where(tokens.c.expires_ms > 7)).text(DIALECT)
    assert "> 7" in Statement(
        select(tokens.c.digest).where(tokens.c.expires_ms > constant(7))
    ).text(DIALECT)
    with pytest.raises(AssertionError):
        constant("it's")


def test_an_executor_reads_to_the_end(tmp_path: Path) -> None:
    """A statement that is not read to its end would keep a commit from succeeding."""
    both = Statement(
        select(constant(1)).where(constant(1) == bindparam("one")).union_all(select(constant(2)))
    )
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as connection:
        executor = Executor(connection.cursor(), DIALECT)
        assert executor.all(both, one=1) == [(1,), (2,)]
        assert executor.one(both, one=1) == (1,)
        assert executor.one(both, one=0) == (2,)


def test_one_statement_selects_any_values() -> None:
    kinds = OneOf(alarms_table.c.kind, (AlarmKind.DROP_UNKNOWN, AlarmKind.TWO_AGENTS), "kind")
    both = {"kind_0": "DROP_UNKNOWN", "kind_1": "TWO_AGENTS"}
    assert kinds.parameters([]) == both
    assert kinds.parameters([AlarmKind.DROP_UNKNOWN] * 3) == dict.fromkeys(both, "DROP_UNKNOWN")
    assert kinds.parameters([AlarmKind.TWO_AGENTS]) == dict.fromkeys(both, "TWO_AGENTS")
