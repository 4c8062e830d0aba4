"""What the frontend's tests share."""

import logging
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest
import structlog

from tests.support.bench import Bench, BenchDatabase


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """Puts logging back to what it was, for tests of what sets it up."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def database(tmp_path: Path) -> BenchDatabase:
    """A database that can be opened more than once."""
    return BenchDatabase(tmp_path)


@pytest.fixture
async def bench(database: BenchDatabase) -> AsyncGenerator[Bench, None]:
    """The use cases of one frontend, with accounts and machines."""
    async with database.open() as bench:
        await bench.furnish()
        yield bench
