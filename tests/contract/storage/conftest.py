"""The engines that the storage's contract holds for."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from drink_frontend.storage.sqlite import SqliteStorage
from tests.fakes.databases import fresh_sqlite


class OpenStorage(Protocol):
    """Opens the test's database on the engine under test; it is empty at first."""

    def __call__(self, *, beside: bool = False, **settings: Any) -> SqliteStorage: ...


@pytest.fixture(params=["sqlite"])
def open_storage(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStorage:
    assert request.param == "sqlite"
    base = fresh_sqlite(tmp_path, look_elsewhere_ms=20)

    def open_sqlite(*, beside: bool = False, **settings: Any) -> SqliteStorage:
        return SqliteStorage.open(base.model_copy(update=settings), beside=beside)

    return open_sqlite


@pytest.fixture
async def storage(open_storage: OpenStorage) -> AsyncIterator[SqliteStorage]:
    async with open_storage() as storage:
        yield storage
