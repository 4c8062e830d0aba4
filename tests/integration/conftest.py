"""One running house for each module of tests; its books are checked after each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.house import House


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the databases of houses are kept that others can start with."""
    return tmp_path_factory.mktemp("templates")


@pytest.fixture(scope="module")
def standing(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, templates: Path
) -> Iterator[House]:
    """The running house of a module's PLAN."""
    with House(tmp_path_factory.mktemp("house"), request.module.PLAN, templates) as house:
        house.install()
        house.start()
        yield house


@pytest.fixture
def house(standing: House) -> Iterator[House]:
    """The module's house, all of it up; its books are checked after the test."""
    standing.begin()
    yield standing
    standing.audit()
