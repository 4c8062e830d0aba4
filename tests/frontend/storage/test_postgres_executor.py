"""Statements on PostgreSQL: what their errors tell, and what is undone."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

from drink_frontend.domain.ledger import AccountKind
from drink_frontend.storage.postgres_connection import PostgresConnection
from drink_frontend.storage.postgres_engine import PostgresEngine
from drink_frontend.storage.transaction import Transaction
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
    accounts = Transaction(writer.executor, 9).accounts
    with pytest.raises(errors.CheckViolation) as refusal:
        accounts.add("alice", AccountKind.USER, NOW, password_hash="x" * 9, admin=7)  # type: ignore[arg-type]
    assert str(refusal.value) == (
        'new row for relation "accounts" violates check constraint "accounts_flags"'
    )


def test_no_row_is_like_a_text_that_cannot_be_kept(writer: PostgresConnection) -> None:
    accounts = Transaction(writer.executor, 9).accounts
    assert accounts.get("ali\0ce") is None
    with pytest.raises(psycopg.DataError):
        accounts.add("ali\0ce", AccountKind.USER, NOW)


def test_what_a_failed_query_leaves_is_undone_with_its_unit(writer: PostgresConnection) -> None:
    tx = Transaction(writer.executor, 9)
    tx.accounts.add("alice", AccountKind.USER, NOW)
    with pytest.raises(errors.NumericValueOutOfRange):
        tx.machines.slot("d", 2**63)
    writer.undo()
    assert tx.accounts.get("alice") is None
