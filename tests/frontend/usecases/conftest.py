"""A furnished bench for each test."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from drink_frontend.storage.migrations.run import migrate
from drink_frontend.storage.settings import StorageSettings
from tests.frontend.usecases.bench import Bench, Place


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty, migrated database."""
    path = tmp_path_factory.mktemp("template") / "drink.db"
    migrate(StorageSettings(path=path))
    return path


@pytest.fixture
def place(template: Path, tmp_path: Path) -> Place:
    """A database that can be opened more than once."""
    return Place(template, tmp_path)


@pytest.fixture
async def bench(place: Place) -> AsyncGenerator[Bench, None]:
    """The use cases of one frontend, with accounts and machines."""
    async with place.open() as bench:
        await bench.furnish()
        yield bench
