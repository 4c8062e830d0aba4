"""PostgreSQL as an engine: whom it refuses, and what its errors mean."""

import psycopg
import pytest
from psycopg import errors

from drink_frontend.storage.engine import Fault, SchemaError, StorageError
from drink_frontend.storage.postgres_engine import PostgresEngine
from drink_frontend.storage.settings import StorageSettings
from tests.support.postgres import fresh_postgres


@pytest.fixture
def settings() -> StorageSettings:
    return fresh_postgres()


@pytest.fixture
def engine(settings: StorageSettings) -> PostgresEngine:
    return PostgresEngine(settings)


def test_a_server_that_cannot_be_reached_is_named() -> None:
    with pytest.raises(StorageError, match="the database cannot be reached"):
        PostgresEngine(StorageSettings(url="postgresql://127.0.0.1:1/drink"))


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (errors.SerializationFailure(), Fault.UNDONE),
        (errors.DeadlockDetected(), Fault.UNDONE),
        (errors.AdminShutdown(), Fault.UNDONE),
        (errors.ConnectionFailure(), Fault.UNDONE),
        (psycopg.OperationalError("the connection is lost"), Fault.UNDONE),
        (psycopg.InterfaceError("the connection is closed"), Fault.UNDONE),
        (errors.LockNotAvailable(), Fault.UNAVAILABLE),
        (errors.DiskFull(), Fault.UNAVAILABLE),
        (errors.QueryCanceled(), Fault.UNAVAILABLE),
        (errors.CheckViolation(), None),
        (errors.SyntaxError(), None),
        (errors.NumericValueOutOfRange(), None),
        (ValueError(), None),
    ],
)
def test_an_error_is_a_fault_or_a_mistake(
    engine: PostgresEngine, error: Exception, fault: Fault | None
) -> None:
    assert engine.fault(error) is fault


def test_a_schema_that_is_missing_is_named(settings: StorageSettings) -> None:
    assert settings.url is not None
    with psycopg.connect(settings.url, autocommit=True) as connection:
        connection.execute("DROP TABLE alembic_version")
    with pytest.raises(SchemaError, match=r"the database has no schema.*migrate makes it"):
        PostgresEngine(settings)
