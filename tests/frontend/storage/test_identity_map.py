"""The identity map: units see each other's decisions, and take back their own alone."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Table
from sqlalchemy.sql import visitors

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import Account
from drink_frontend.domain.preferences import Preferences
from drink_frontend.storage import identity_map, loaders
from drink_frontend.storage.bulk import Bulk
from drink_frontend.storage.identity_map import IdentityMap
from drink_frontend.storage.sqlite_engine import SqliteConnection, SqliteEngine
from drink_frontend.storage.transaction import Transaction
from tests.support.books import NOW, drop, found, fund, hold_of, reserve
from tests.support.databases import fresh_sqlite
from tests.support.ids import ALICE


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[SqliteConnection]:
    connection = SqliteEngine(fresh_sqlite(tmp_path), exclusive=False).connect(read_only=False)
    with closing(connection):
        connection.begin()
        rows = IdentityMap(connection.executor)
        found(Transaction(rows, 9))
        rows.store()
        yield connection


@pytest.fixture
def rows(connection: SqliteConnection) -> IdentityMap:
    return IdentityMap(connection.executor)


def unit(rows: IdentityMap) -> Transaction:
    rows.begin_unit()
    return Transaction(rows, 9)


def alice(rows: IdentityMap) -> Account:
    account = rows.account(ALICE)
    assert account is not None
    return account


def stored(connection: SqliteConnection) -> int:
    row = connection._cursor.execute(
        "SELECT credits_posted - debits_posted FROM accounts WHERE name = 'alice'"
    ).fetchone()
    return int(row[0])


def test_a_unit_sees_what_the_one_before_decided(
    rows: IdentityMap, connection: SqliteConnection
) -> None:
    fund(unit(rows), ALICE, 5, "one")
    assert unit(rows).accounts.get(ALICE) == alice(rows)
    assert alice(rows).posted == 1_005
    assert stored(connection) == 1_000
    rows.store()
    assert stored(connection) == 1_005


def test_a_unit_takes_back_its_own_changes_alone(rows: IdentityMap) -> None:
    fund(unit(rows), ALICE, 5, "one")
    before = alice(rows), rows.slot("d", 1), rows.queue("d")
    tx = unit(rows)
    fund(tx, ALICE, 7, "two")
    assert list(rows.grants("two")) == [rows.move_of("root", "two")]
    kept = tx.drops.add(drop(1))
    tx.ledger.add(hold_of(kept))
    assert not rows.is_sent
    rows.undo()
    assert (alice(rows), rows.slot("d", 1), rows.queue("d")) == before
    assert rows.drop(drop(1).id) is None
    assert rows.move_of("root", "two") is None
    assert list(rows.grants("two")) == []
    # Its numbers are free again.
    assert unit(rows).drops.add(drop(2)).sequence == kept.sequence


def test_what_the_map_cannot_answer_is_asked_after_storing(
    rows: IdentityMap, connection: SqliteConnection
) -> None:
    fund(unit(rows), ALICE, 5, "one")
    tx = unit(rows)
    assert [account.name for account in tx.accounts.list_users()] == ["alice", "bob"]
    assert (stored(connection), rows.flushes) == (1_005, 1)
    # It has decided nothing itself, so that nothing of it is in the database.
    assert not rows.is_sent


def test_a_unit_that_has_changed_the_database_itself_cannot_be_taken_back(
    rows: IdentityMap,
) -> None:
    tx = unit(rows)
    tx.accounts.update(ALICE, closed=True)
    assert rows.is_sent
    assert alice(rows).closed
    with pytest.raises(AssertionError):
        rows.undo()


def test_the_map_is_read_anew_after_changes_of_the_tables_that_it_is_read_from(
    rows: IdentityMap,
) -> None:
    tx, first = unit(rows), alice(rows)
    tx.preferences.keep(ALICE, Preferences(language="de"))
    assert alice(rows) is first
    assert rows.is_sent
    tx.machines.update("d", location="elsewhere")
    assert alice(rows) is not first


@pytest.mark.parametrize("name", [n for n, v in vars(loaders).items() if isinstance(v, Bulk)])
def test_all_tables_that_rows_are_loaded_from_are_known(name: str) -> None:
    parts = visitors.iterate(vars(loaders)[name]._described)
    tables = {part.name for part in parts if isinstance(part, Table)}
    assert tables
    assert tables <= identity_map.READ_FROM


def test_a_queue_that_is_read_late_has_what_was_decided(rows: IdentityMap) -> None:
    tx = unit(rows)
    for number in (1, 2):
        reserve(tx, drop(number))
    rows.flush()
    fresh = IdentityMap(rows._executor)
    tx = unit(fresh)
    first = tx.drops.get(drop(1).id)
    assert first is not None
    tx.drops.move(first, State.NOT_DISPENSED, Cause.CANCELLED, NOW)
    assert [queued.id for queued in fresh.queue("d")] == [drop(2).id]
    fresh.undo()
    assert [queued.id for queued in fresh.queue("d")] == [drop(1).id, drop(2).id]


def test_what_was_loaded_is_bounded(rows: IdentityMap, monkeypatch: pytest.MonkeyPatch) -> None:
    first = alice(rows)
    unit(rows)
    assert alice(rows) is first
    monkeypatch.setattr(identity_map, "LOADED_MAX", 0)
    unit(rows)
    assert alice(rows) is not first
