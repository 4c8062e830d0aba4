"""Migrations on PostgreSQL: the same schema, whole or not at all, beside frontends that run."""

import asyncio
import os
from functools import partial
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

import drink_frontend.storage.triggers  # noqa: F401 - adds the triggers to the metadata
from drink_frontend.domain.drop import Cause, State
from drink_frontend.storage.database import Database
from drink_frontend.storage.engine import SchemaError, StorageError
from drink_frontend.storage.migrations import migrate
from drink_frontend.storage.postgres_engine import PostgresEngine
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.tables import SCHEMA_REVISION, metadata
from tests.support import before_alarms, before_ids
from tests.support.books import advance, drop, fund, open_house, reserve
from tests.support.databases import interrupted_at
from tests.support.ids import ALICE
from tests.support.postgres import empty_postgres, execute, fresh_postgres

CATALOG = """
    SELECT 'column', table_name || '.' || column_name,
        concat_ws(' ', data_type, collation_name, is_nullable, column_default)
    FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL SELECT 'constraint', conname, conrelid::regclass || pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT 'trigger', tgname, pg_get_triggerdef(oid)
    FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'function', proname, regexp_replace(prosrc, '\\s+', ' ', 'g')
    FROM pg_proc WHERE pronamespace = 'public'::regnamespace"""


@pytest.fixture
def settings() -> StorageSettings:
    return empty_postgres()


def schema(settings: StorageSettings) -> set[tuple[Any, ...]]:
    """Everything in a database but Alembic's own table."""
    return {
        row for row in execute(settings, CATALOG) if "alembic_version" not in f"{row[1]} {row[2]}"
    }


def test_migrated_schema_matches_metadata(settings: StorageSettings) -> None:
    migrate(settings)
    described = empty_postgres()
    assert described.url is not None
    url = described.url.replace("postgresql://", "postgresql+psycopg://", 1)
    metadata.create_all(create_engine(url, poolclass=NullPool))
    assert schema(settings) == schema(described)


def test_migrating_again_changes_nothing(settings: StorageSettings) -> None:
    migrate(settings)
    before = schema(settings)
    migrate(settings)
    assert schema(settings) == before
    assert execute(settings, "SELECT count(*) FROM accounts") == [(1,)]


def test_what_release_0_1_0_kept_raises_alarms_and_opens_the_stock(
    settings: StorageSettings,
) -> None:
    migrate(settings, before_alarms.RELEASE)
    for statement in before_alarms.ROWS:
        execute(settings, statement)
    migrate(settings)
    assert execute(settings, before_alarms.ASKED) == before_alarms.ALARMS
    assert execute(settings, before_alarms.ASKED_MOVEMENTS) == before_alarms.MOVEMENTS


async def test_accounts_of_before_have_no_display_name(settings: StorageSettings) -> None:
    migrate(settings, before_ids.BEFORE)
    for statement in before_ids.ROWS:
        execute(settings, statement)
    migrate(settings)
    await before_ids.check_display_names(settings)


@pytest.mark.parametrize("statement", [None, 1, 6, 12])
async def test_the_books_refer_to_ids_after_it(
    settings: StorageSettings, statement: int | None
) -> None:
    migrate(settings, before_ids.BEFORE)
    for row in before_ids.ROWS:
        execute(settings, row)
    before = schema(settings)
    if statement is not None:
        with interrupted_at(statement), pytest.raises(KeyboardInterrupt):
            migrate(settings)
        assert schema(settings) == before
    migrate(settings)
    await before_ids.check(settings, partial(execute, settings))


@pytest.mark.parametrize("statement", [1, 2, 10, 25, 40])
def test_fault_39_an_interrupted_migration_leaves_nothing_and_can_be_repeated(
    settings: StorageSettings, statement: int
) -> None:
    with interrupted_at(statement), pytest.raises(KeyboardInterrupt):
        migrate(settings)
    assert schema(settings) == set()
    with pytest.raises(SchemaError, match=f"no schema.*{SCHEMA_REVISION}"):
        PostgresEngine(settings)
    migrate(settings)
    PostgresEngine(settings)


async def test_fault_39_two_that_migrate_at_once_do_it_once(settings: StorageSettings) -> None:
    await asyncio.gather(*(asyncio.to_thread(migrate, settings) for _ in range(4)))
    assert execute(settings, "SELECT version_num FROM alembic_version") == [(SCHEMA_REVISION,)]
    PostgresEngine(settings)


def _pass_by(settings: StorageSettings, revision: str, oldest: str) -> None:
    """What a later release's migration leaves behind."""
    execute(settings, f"UPDATE alembic_version SET version_num = '{revision}'")
    execute(settings, f"INSERT INTO compatibility VALUES ('{revision}', '{oldest}')")


def test_fault_39_another_schema_is_refused(settings: StorageSettings) -> None:
    migrate(settings)
    _pass_by(settings, "9999", "9999")
    with pytest.raises(SchemaError, match=f"newer schema revision 9999.*{SCHEMA_REVISION}"):
        PostgresEngine(settings)
    with pytest.raises(SchemaError, match=f"newer schema revision 9999.*{SCHEMA_REVISION}"):
        migrate(settings)
    _pass_by(settings, "0000", "0000")
    with pytest.raises(SchemaError, match=f"older schema revision 0000.*{SCHEMA_REVISION}"):
        PostgresEngine(settings)


async def test_fault_39_an_old_frontend_runs_on_while_and_after_the_schema_is_expanded() -> None:
    """A rolling upgrade: the new release migrates, then frontends are exchanged one by one."""
    settings = fresh_postgres()
    async with open_house(settings) as running:
        await running.write(lambda tx: reserve(tx, drop(1)))

        def expand() -> None:
            assert settings.url is not None
            with psycopg.connect(settings.url) as connection:
                connection.execute("LOCK TABLE alembic_version IN EXCLUSIVE MODE")
                connection.execute('ALTER TABLE drops ADD COLUMN gift_for text COLLATE "C"')
                connection.execute("CREATE INDEX drops_by_gift ON drops (gift_for)")
                connection.execute("UPDATE alembic_version SET version_num = '9999'")
                connection.execute(
                    f"INSERT INTO compatibility VALUES ('9999', '{SCHEMA_REVISION}')".encode()
                )

        gifts = [
            running.write(lambda tx, n=n: fund(tx, ALICE, 1, f"gift {n}"))  # type: ignore[misc]
            for n in range(50)
        ]
        await asyncio.gather(asyncio.to_thread(expand), *gifts)
        await running.write(lambda tx: advance(tx, drop(1).id, State.DISPATCHED, Cause.NONE))
        # An old frontend that starts again finds a schema that it can live with.
        migrate(settings)
        async with Database.open(settings) as started:
            await started.write(
                lambda tx: advance(tx, drop(1).id, State.DISPENSED, Cause.BOARD_ACK)
            )
            kept = await running.read(lambda tx: tx.drops.get(drop(1).id))
            assert kept is not None
            assert kept.state is State.DISPENSED
            assert await started.verify() == []


def test_a_database_that_cannot_be_reached_is_named() -> None:
    nowhere = StorageSettings(url="postgresql://127.0.0.1:1/drink")
    with pytest.raises(StorageError, match="the database cannot be reached"):
        migrate(nowhere)


def test_a_role_that_may_not_make_tables_is_told(settings: StorageSettings) -> None:
    name = f"reader_{os.getpid()}"
    execute(settings, f"DROP ROLE IF EXISTS {name}; CREATE ROLE {name} LOGIN")
    assert settings.url is not None
    url = settings.url.replace("://drink@", f"://{name}@")
    with pytest.raises(StorageError, match="cannot be migrated: permission denied"):
        migrate(StorageSettings(url=url))
    execute(settings, f"DROP ROLE {name}")


def test_fault_39_a_migration_is_refused_beside_frontends_that_cannot_live_with_it(
    settings: StorageSettings,
) -> None:
    """They would sell beside the rules of the new schema."""
    migrate(settings, before_alarms.RELEASE)
    before = schema(settings)
    assert settings.url is not None
    with (
        psycopg.connect(settings.url, application_name="drink-frontend"),
        pytest.raises(SchemaError, match=r"1 connections of frontends .* stop all"),
    ):
        migrate(settings)
    assert schema(settings) == before
    migrate(settings)
    assert schema(settings) != before
