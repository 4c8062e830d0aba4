"""The engines that the storage's contract holds for."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from drink_frontend.storage.database import Database
from tests.support.books import found
from tests.support.databases import fresh_sqlite
from tests.support.postgres import fresh_postgres


class OpenStorage(Protocol):
    """Opens the test's database on the engine under test; it is empty at first."""

    def __call__(self, *, beside: bool = False, **settings: Any) -> Database: ...


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def open_storage(engine: str, tmp_path: Path) -> OpenStorage:
    if engine == "sqlite":
        base = fresh_sqlite(tmp_path, look_elsewhere_ms=20)
    else:
        base = fresh_postgres(look_elsewhere_ms=20)

    def open_it(*, beside: bool = False, **settings: Any) -> Database:
        return Database.open(base.model_copy(update=settings), beside=beside)

    return open_it


@pytest.fixture
async def storage(open_storage: OpenStorage) -> AsyncIterator[Database]:
    async with open_storage() as storage:
        yield storage


@pytest.fixture
async def house(storage: Database) -> Database:
    """The storage with the small house of `tests.support.books`."""
    await storage.write(found)
    return storage
