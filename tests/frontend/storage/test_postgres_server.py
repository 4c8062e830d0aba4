"""What a PostgreSQL server must be like: what is refused when a process starts, in one sentence."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from structlog.testing import capture_logs

from drink_frontend.domain.errors import StorageUnavailableError
from drink_frontend.storage.engine import StorageError
from drink_frontend.storage.migrations import migrate
from drink_frontend.storage.postgres_dial import dial
from drink_frontend.storage.postgres_engine import PostgresEngine
from drink_frontend.storage.postgres_server import warn_of_loss
from drink_frontend.storage.settings import StorageSettings
from tests.support import programs
from tests.support.books import open_house
from tests.support.pooler import Pooler
from tests.support.postgres import (
    ALL_RIGHTS,
    as_role,
    empty_postgres,
    execute,
    fresh_postgres,
    show,
)

LIMIT_S = 30
READ_ONLY = ("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}",)


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("transaction", {}),
        ("transaction", {"default_pool_size": 1}),
        ("transaction", {"server_round_robin": 1, "min_pool_size": 4}),
        ("statement", {}),
    ],
    ids=["transaction", "transaction-one", "transaction-round-robin", "statement"],
)
@pytest.mark.parametrize("opens", [migrate, PostgresEngine])
def test_fault_63_a_pooler_that_does_not_keep_sessions_is_refused_at_the_start(
    mode: str, options: dict[str, object], opens: Callable[[StorageSettings], object]
) -> None:
    refused = pytest.raises(StorageError, match=r"^the pooler in front of the database")
    with Pooler(fresh_postgres(), mode, **options) as pooler, refused as refusal:
        opens(pooler.settings)
    assert "\n" not in str(refusal.value)


async def test_fault_63_a_pooler_that_keeps_sessions_is_taken() -> None:
    with Pooler(empty_postgres(), "session") as pooler:
        await asyncio.to_thread(migrate, pooler.settings)
        async with open_house(pooler.settings) as storage:
            assert await storage.readable()


@pytest.mark.parametrize("command", ["serve", "migrate", "admin user list"])
@pytest.mark.parametrize("what", ["pooler", "rights", "session"])
def test_fault_63_every_command_refuses_such_a_server_in_one_sentence(
    command: str, what: str
) -> None:
    program = Path(sys.executable).with_name("drink-frontend")
    with _unfit(what) as settings:
        environment = {**os.environ, "DRINK_STORAGE__URL": settings.url or ""}
        done = programs.run(program, *command.split(), env=environment)
    assert done.returncode == 1
    said = [line for line in (done.stdout + done.stderr).splitlines() if line]
    assert "Traceback" not in "".join(said)
    if command == "serve":
        (last,) = [json.loads(line) for line in said]
        assert last["event"] == "frontend_failed"
        assert last["error"].startswith("the ")
    else:
        assert len(said) == 1, said
        assert said[0].startswith("drink-frontend: the ")


@contextmanager
def _unfit(what: str) -> Iterator[StorageSettings]:
    """A database that cannot be used, for one of three reasons."""
    if what == "pooler":
        with Pooler(fresh_postgres(), "transaction") as pooler:
            yield pooler.settings
    elif what == "session":
        read_only = "ALTER ROLE {role} SET default_transaction_read_only = on"
        yield as_role(fresh_postgres(), "reads", *ALL_RIGHTS, read_only)
    else:
        yield as_role(fresh_postgres(), "reads", *READ_ONLY)


def test_fault_63_a_role_that_lacks_a_right_is_refused_and_the_right_is_named() -> None:
    settings = fresh_postgres()
    with pytest.raises(StorageError, match=r"lacks the right UPDATE on alembic_version"):
        PostgresEngine(as_role(settings, "reads", *READ_ONLY))
    for revoked, named in (
        ("REVOKE DELETE ON tokens FROM {role}", "DELETE on tokens"),
        ("REVOKE INSERT ON transfers FROM {role}", "INSERT on transfers"),
        ("REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {role}", "USAGE on"),
    ):
        with pytest.raises(StorageError, match=named):
            PostgresEngine(as_role(settings, "lacks", *ALL_RIGHTS, revoked))
    PostgresEngine(as_role(settings, "enough", *ALL_RIGHTS))


def test_fault_63_a_limit_of_connections_that_is_too_low_is_refused() -> None:
    settings = fresh_postgres(readers=2)
    few = as_role(settings, "few", *ALL_RIGHTS, "ALTER ROLE {role} CONNECTION LIMIT 2")
    with pytest.raises(StorageError, match=r"may have 2 connections, and a frontend needs 4"):
        PostgresEngine(few)
    # A command beside it needs no more.
    PostgresEngine(few, serves=False)
    PostgresEngine(as_role(settings, "some", *ALL_RIGHTS, "ALTER ROLE {role} CONNECTION LIMIT 5"))


async def test_fault_63_readers_without_a_connection_are_told_of() -> None:
    settings = fresh_postgres(readers=2, reader_look_ms=20, reconnect_ms=10, reconnect_max_ms=20)
    role = as_role(settings, "few", *ALL_RIGHTS)
    name = urlsplit(role.url or "").username
    async with open_house(role) as storage:
        await _until_readable(storage.readable, True)
        readers = f"usename = '{name}' AND query NOT LIKE 'LISTEN%'"
        end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {readers}"
        execute(settings, f"ALTER ROLE {name} CONNECTION LIMIT 1", end)
        await _until_readable(storage.readable, False)
        execute(settings, f"ALTER ROLE {name} CONNECTION LIMIT 9")
        await _until_readable(storage.readable, True)


async def _until_readable(readable: Callable[[], object], wanted: bool) -> None:
    async with asyncio.timeout(LIMIT_S):
        while True:
            try:
                answer = await readable()  # type: ignore[misc]
            except StorageUnavailableError:
                answer = False
            if answer is wanted:
                return
            await asyncio.sleep(0.01)


def test_a_server_that_does_not_sync_is_named() -> None:
    with dial(fresh_postgres(), read_only=False) as driver:
        kept = show(driver, "fsync") == "on" and show(driver, "full_page_writes") == "on"
        with capture_logs() as logs:
            warn_of_loss(driver)
        assert bool(logs) == (not kept)
        assert all(entry["event"] == "commits_not_durable" for entry in logs)
