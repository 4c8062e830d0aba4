"""Connections to PostgreSQL: what is asked for, what is refused, and how long one waits."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from drink_frontend.storage.engine import StorageError
from drink_frontend.storage.postgres_dial import (
    GuardedConnection,
    dial,
    dial_to_migrate,
    parameters,
    said,
)
from drink_frontend.storage.settings import StorageSettings
from tests.support.postgres import execute, fresh_postgres, show

URL = "postgresql://drink@db.example/drink"


def with_option(option: str, **changes: Any) -> StorageSettings:
    """A new database whose address asks for another setting of the server."""
    settings = fresh_postgres(**changes)
    return settings.model_copy(update={"url": f"{settings.url}?options=-c{quote(option)}"})


def test_the_address_has_the_last_word() -> None:
    asked = parameters(StorageSettings(url=f"{URL}?connect_timeout=9&application_name=second"))
    assert asked["host"] == "db.example"
    assert asked["connect_timeout"] == "9"
    assert asked["application_name"] == "second"
    assert asked["target_session_attrs"] == "read-write"


def test_the_password_is_read_from_its_file_each_time(tmp_path: Path) -> None:
    file = tmp_path / "password"
    settings = StorageSettings(url=URL, password_file=file)
    with pytest.raises(StorageError, match="password_file cannot be read"):
        parameters(settings)
    for password in ("first", "se cond"):
        file.write_text(f"{password}\n")
        assert parameters(settings)["password"] == password


def test_an_address_that_is_none_is_named() -> None:
    with pytest.raises(StorageError, match=r"storage\.url cannot be read"):
        parameters(StorageSettings(url=f"{URL}?no_such_parameter=1"))


def test_a_writers_commits_are_synced_and_its_turn_is_bounded() -> None:
    lax = with_option("synchronous_commit=off", busy_timeout_ms=1_234)
    with dial(lax, read_only=False) as driver:
        assert show(driver, "synchronous_commit") == "on"
        assert show(driver, "lock_timeout") == "1234ms"
        assert show(driver, "idle_in_transaction_session_timeout") == "1234ms"
        assert show(driver, "statement_timeout") == "0"


def test_a_writers_plans_are_made_for_large_tables() -> None:
    look = "EXPLAIN SELECT FROM drops JOIN accounts ON accounts.id = drops.account"
    with dial(fresh_postgres(), read_only=False) as driver:
        plan = "\n".join(row[0] for row in driver.run(look).fetchall())
        assert "Nested Loop" in plan
        assert "Seq Scan" not in plan
        assert show(driver, "plan_cache_mode") == "force_generic_plan"
        assert show(driver, "jit") == "off"


def test_what_a_standby_keeps_is_the_servers_to_ask_for() -> None:
    with dial(with_option("synchronous_commit=remote_apply"), read_only=False) as driver:
        assert show(driver, "synchronous_commit") == "remote_apply"


def test_a_readers_queries_are_bounded() -> None:
    with dial(fresh_postgres(read_limit_ms=500), read_only=True) as driver:
        with pytest.raises(psycopg.errors.QueryCanceled):
            driver.execute("SELECT pg_sleep(10)")
        assert not driver.closed


@pytest.mark.parametrize("read_only", [True, False])
def test_fault_63_a_roles_limits_for_sessions_and_transactions_do_not_end_these(
    read_only: bool,
) -> None:
    with dial(with_option("idle_session_timeout=1000"), read_only=read_only) as driver:
        assert show(driver, "idle_session_timeout") == "0"
        if driver.info.server_version >= 170_000:
            assert show(driver, "transaction_timeout") == "0"


def test_fault_63_a_roles_limit_for_statements_does_not_end_a_migration() -> None:
    with dial_to_migrate(with_option("statement_timeout=100")) as driver:
        assert show(driver, "statement_timeout") == "0"


def test_what_a_pipeline_runs_leaves_together_at_its_end() -> None:
    settings = fresh_postgres()
    with dial(settings, read_only=False) as driver:
        pid = driver.run("SELECT pg_backend_pid()").fetchone()
        with driver.pipeline():
            sent = [driver.execute(b"SELECT %s::text", [text]) for text in "abc"]
            ((query,),) = execute(
                settings, f"SELECT query FROM pg_stat_activity WHERE pid = {pid and pid[0]}"
            )
            assert query == "SELECT pg_backend_pid()"
        assert [cursor.fetchone() for cursor in sent] == [("a",), ("b",), ("c",)]


def test_a_pipeline_takes_more_than_the_buffers_of_the_connection() -> None:
    texts = [letter * 1_000_000 for letter in "abcdefghijklmnop"]
    with dial(fresh_postgres(), read_only=False) as driver:
        with driver.pipeline():
            sent = [driver.execute(b"SELECT %s::text", [text]) for text in texts]
        assert [cursor.fetchone() for cursor in sent] == [(text,) for text in texts]


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_an_error_in_a_pipeline_ends_it_and_the_connection_goes_on(wrong: int) -> None:
    def divide(driver: GuardedConnection) -> None:
        with driver.pipeline():
            for number in range(3):
                driver.execute(b"SELECT 1 / %s", [int(number != wrong)])

    with dial(fresh_postgres(), read_only=False) as driver:
        with pytest.raises(psycopg.errors.DivisionByZero):
            divide(driver)
        assert driver.execute(b"SELECT 1 / %s", [1]).fetchone() == (1,)


def test_an_error_is_told_in_one_line() -> None:
    refused = psycopg.OperationalError("connection failed:\n\tis the server\n\trunning?\n")
    assert said(refused) == "connection failed: is the server running?"


def test_a_server_that_stands_still_is_given_up() -> None:
    with dial(fresh_postgres(), read_only=False) as driver:
        driver.answer_limit_s = 0.2
        with pytest.raises(psycopg.OperationalError, match=r"did not answer for 0\.2 s"):
            driver.execute("SELECT pg_sleep(10)")
        assert driver.closed
