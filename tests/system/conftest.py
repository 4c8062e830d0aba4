"""Systems run by Docker Compose, one for each storage engine, shared by the tests of a run."""

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from scripts.demo.plan import ALICE
from tests.system.compose_system import POSTGRES, SCALE, SQLITE, ComposeSystem, Profile
from tests.system.engine import NoEngineError, build_images, compose_command, running_engine

LIMIT_S = 600
"""Seconds for one test: it may be the one for which images are built and a system is started."""

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
def open_system(
    compose: Sequence[str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Profile], ComposeSystem]:
    """Makes a system of a profile, a project of its own; enter it to have it taken away again."""

    def make(profile: Profile) -> ComposeSystem:
        project = f"drink-system-{os.getpid()}-{next(_numbers)}"
        return ComposeSystem(project, profile, compose, tmp_path_factory.mktemp(project))

    return make


@pytest.fixture(scope="session", params=[SQLITE, POSTGRES], ids=lambda profile: profile.names[0])
def standing(
    request: pytest.FixtureRequest, open_system: Callable[[Profile], ComposeSystem]
) -> Iterator[ComposeSystem]:
    """A running system with three machines, on each engine of storage."""
    with open_system(request.param) as system:
        system.up()
        system.fund(ALICE, 10_000)
        system.stock("d/1", "ld/1", "s/1")
        yield system
        system.verify()


@pytest.fixture
def system(standing: ComposeSystem) -> Iterator[ComposeSystem]:
    """The running system, all of it up; its books are checked after the test."""
    standing.restore()
    yield standing
    standing.audit()


@pytest.fixture(scope="session")
def standing_fleet(open_system: Callable[[Profile], ComposeSystem]) -> Iterator[ComposeSystem]:
    """A running system with two frontends and ten machines, whose motors are quick."""
    with open_system(SCALE) as system:
        system.variables["MOTOR_SECONDS"] = "0.3"
        system.up()
        system.fund(ALICE, 1_000_000)
        system.stock(*(f"{machine}/1" for machine in system.boards))
        yield system
        system.verify()


@pytest.fixture
def fleet(standing_fleet: ComposeSystem) -> Iterator[ComposeSystem]:
    """The running fleet, all of it up; its books are checked after the test."""
    standing_fleet.restore()
    yield standing_fleet
    standing_fleet.audit()
