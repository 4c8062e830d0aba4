"""The engines that the storage's contract holds for."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drink_frontend.storage.sqlite import SqliteStorage
from tests.fakes.databases import fresh_sqlite


@pytest.fixture(params=["sqlite"])
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteStorage]:
    """An open, empty storage on each engine."""
    assert request.param == "sqlite"
    async with SqliteStorage.open(fresh_sqlite(tmp_path, look_elsewhere_ms=20)) as storage:
        yield storage
