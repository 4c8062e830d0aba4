"""Connections to PostgreSQL: what is asked for, what is refused, and how long one waits."""

from pathlib import Path

import psycopg
import pytest
from structlog.testing import capture_logs

from drink_frontend.storage.errors import StorageError
from drink_frontend.storage.postgres_dial import dial, parameters, warn_of_loss
from drink_frontend.storage.settings import StorageSettings
from tests.fakes.postgres import fresh_postgres

URL = "postgresql://drink@db.example/drink"


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
    settings = fresh_postgres(busy_timeout_ms=1_234)
    assert settings.url is not None
    lax = settings.model_copy(update={"url": f"{settings.url}?options=-csynchronous_commit%3Doff"})
    with dial(lax, read_only=False) as driver:
        assert _show(driver, "synchronous_commit") == "on"
        assert _show(driver, "lock_timeout") == "1234ms"
        assert _show(driver, "idle_in_transaction_session_timeout") == "1234ms"
        assert _show(driver, "statement_timeout") == "0"


def test_what_a_standby_keeps_is_the_servers_to_ask_for() -> None:
    settings = fresh_postgres()
    assert settings.url is not None
    strict = f"{settings.url}?options=-csynchronous_commit%3Dremote_apply"
    with dial(settings.model_copy(update={"url": strict}), read_only=False) as driver:
        assert _show(driver, "synchronous_commit") == "remote_apply"


def test_a_readers_queries_are_bounded() -> None:
    with dial(fresh_postgres(read_limit_ms=50), read_only=True) as driver:
        with pytest.raises(psycopg.errors.QueryCanceled):
            driver.execute("SELECT pg_sleep(10)")
        assert not driver.closed


def test_a_server_that_stands_still_is_given_up() -> None:
    with dial(fresh_postgres(), read_only=False) as driver:
        driver.answer_limit_s = 0.2
        with pytest.raises(psycopg.OperationalError, match=r"did not answer for 0\.2 s"):
            driver.execute("SELECT pg_sleep(10)")
        assert driver.closed


def test_a_server_that_does_not_sync_is_named() -> None:
    with dial(fresh_postgres(), read_only=False) as driver:
        kept = _show(driver, "fsync") == "on" and _show(driver, "full_page_writes") == "on"
        with capture_logs() as logs:
            warn_of_loss(driver)
        assert bool(logs) == (not kept)
        assert all(entry["event"] == "commits_not_durable" for entry in logs)


def _show(driver: psycopg.Connection[tuple[object, ...]], name: str) -> str:
    row = driver.execute(f"SHOW {name}".encode()).fetchone()
    assert row is not None
    return str(row[0])
