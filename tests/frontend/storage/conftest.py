"""What the storage's tests share; each has a `house` or `settings` of its own."""

import sqlite3
from collections.abc import AsyncIterator, Iterator

import pytest

from drink_frontend.storage.database import Database
from drink_frontend.storage.settings import StorageSettings
from tests.support.books import open_house


@pytest.fixture
def books(house: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """The house, in a transaction that is undone."""
    house.execute("BEGIN")
    yield house
    house.execute("ROLLBACK")


@pytest.fixture
async def storage(settings: StorageSettings) -> AsyncIterator[Database]:
    """A house that is open."""
    async with open_house(settings) as storage:
        yield storage
