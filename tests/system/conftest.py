"""Houses that Docker Compose runs, one for each engine of storage, shared by the tests of a run."""

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from scripts.demo.house import ALICE
from tests.system.engine import NoEngineError, build_images, compose_command, running_engine
from tests.system.house import POSTGRES, SCALE, SQLITE, House, Profile

LIMIT_S = 600
"""Seconds for one test: it may be the one for which images are built and a house is started."""

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives the tests of this folder the time that they need."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(LIMIT_S))


@pytest.fixture(scope="session")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[str]]:
    """The command of Compose; an engine runs, and the images are built."""
    with ExitStack() as stack:
        try:
            stack.enter_context(running_engine(tmp_path_factory.mktemp("engine")))
            command = compose_command()
            build_images()
        except NoEngineError as error:
            pytest.skip(f"system tests need Docker: {error}")
        yield command


@pytest.fixture(scope="session")
def open_house(
    compose: Sequence[str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Profile], House]:
    """Makes a house of a profile, a project of its own; enter it to have it taken away again."""

    def make(profile: Profile) -> House:
        project = f"drink-system-{os.getpid()}-{next(_numbers)}"
        return House(project, profile, compose, tmp_path_factory.mktemp(project))

    return make


@pytest.fixture(scope="session", params=[SQLITE, POSTGRES], ids=lambda profile: profile.names[0])
def standing(
    request: pytest.FixtureRequest, open_house: Callable[[Profile], House]
) -> Iterator[House]:
    """A running house with three machines, on each engine of storage."""
    with open_house(request.param) as house:
        house.up()
        house.fund(ALICE, 10_000)
        house.stock("d/1", "ld/1", "s/1")
        yield house
        house.verify()


@pytest.fixture
def house(standing: House) -> Iterator[House]:
    """The running house, all of it up; its books are checked after the test."""
    standing.restore()
    yield standing
    standing.audit()


@pytest.fixture(scope="session")
def standing_fleet(open_house: Callable[[Profile], House]) -> Iterator[House]:
    """A running house with two frontends and ten machines, whose motors are quick."""
    with open_house(SCALE) as house:
        house.variables["MOTOR_SECONDS"] = "0.3"
        house.up()
        house.fund(ALICE, 1_000_000)
        house.stock(*(f"{machine}/1" for machine in house.boards))
        yield house
        house.verify()


@pytest.fixture
def fleet(standing_fleet: House) -> Iterator[House]:
    """The running fleet, all of it up; its books are checked after the test."""
    standing_fleet.restore()
    yield standing_fleet
    standing_fleet.audit()
