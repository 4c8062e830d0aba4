"""Statements on PostgreSQL: what their errors tell, and whether a unit must be undone."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

from drink_frontend.domain.entities import Reach
from drink_frontend.domain.ledger import AccountKind
from drink_frontend.storage.postgres_connection import PostgresConnection
from drink_frontend.storage.postgres_engine import PostgresEngine
from drink_frontend.storage.transaction import SqlTransaction
from tests.fakes.books import NOW
from tests.fakes.postgres import fresh_postgres


@pytest.fixture
def writer() -> Iterator[PostgresConnection]:
    connection = PostgresEngine(fresh_postgres()).connect(read_only=False)
    connection.begin()
    connection.savepoint()
    yield connection
    connection.close()


def test_an_error_does_not_quote_rows(writer: PostgresConnection) -> None:
    accounts = SqlTransaction(writer.executor, 9).accounts
    with pytest.raises(errors.CheckViolation) as refusal:
        accounts.add("alice", AccountKind.USER, NOW, password_hash="x" * 9, admin=7)  # type: ignore[arg-type]
    assert str(refusal.value) == (
        'new row for relation "accounts" violates check constraint "accounts_flags"'
    )


def test_no_row_is_like_a_text_that_cannot_be_kept(writer: PostgresConnection) -> None:
    accounts = SqlTransaction(writer.executor, 9).accounts
    assert accounts.get("ali\0ce") is None
    with pytest.raises(psycopg.DataError):
        accounts.add("ali\0ce", AccountKind.USER, NOW)


def test_a_unit_that_changed_nothing_leaves_nothing_to_undo(writer: PostgresConnection) -> None:
    tx = SqlTransaction(writer.executor, 9)
    assert tx.accounts.get("alice") is None
    assert writer.executor.is_clean
    tx.accounts.add("alice", AccountKind.USER, NOW)
    assert not writer.executor.is_clean
    writer.undo()
    writer.savepoint()
    assert writer.executor.is_clean
    assert tx.accounts.get("alice") is None


def test_a_failed_query_leaves_something_to_undo(writer: PostgresConnection) -> None:
    tx = SqlTransaction(writer.executor, 9)
    with pytest.raises(errors.NumericValueOutOfRange):
        tx.machines.slot("d", 2**63)
    assert not writer.executor.is_clean
    writer.undo()
    assert tx.machines.slot("d", 1) is None


def test_what_a_row_gives_back_when_it_is_changed_is_to_undo_too(
    writer: PostgresConnection,
) -> None:
    tx = SqlTransaction(writer.executor, 9)
    tx.machines.add("d", "Big Drink", "")
    writer.release()
    writer.savepoint()
    assert tx.machines.open_link("d", "journal", 0, "me", Reach.READY) == 1
    assert not writer.executor.is_clean
    writer.undo()
    machine = tx.machines.get("d")
    assert machine is not None
    assert machine.epoch == 0
