"""Houses to break, and how often each crash is tried."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash.house import House, Nurseries, Tweaks
from tests.crash.rounds import ROUNDS
from tests.crash.victims import Nursery

MakeHouse = Callable[..., House]


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker known."""
    config.addinivalue_line("markers", "once: a crash that is not tried again in a thorough run")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeats every test that breaks a house, unless it is one of very many."""
    once = metafunc.definition.get_closest_marker("once") is not None
    if ROUNDS > 1 and "make_house" in metafunc.fixturenames and not once:
        metafunc.fixturenames.append("crash_round")
        metafunc.parametrize("crash_round", range(ROUNDS))


@pytest.fixture(scope="session")
def nurseries() -> Iterator[Nurseries]:
    """Where services are born."""
    frontend = Nursery("tests.crash.frontend_points")
    agent = Nursery("tests.crash.agent_points")
    yield Nurseries(frontend, agent)
    frontend.close()
    agent.close()


@pytest.fixture(scope="session")
def prepared(nurseries: Nurseries, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a house that was installed and never started."""
    folder = tmp_path_factory.mktemp("prepared") / "house"
    House(folder, nurseries).install()
    return folder


@pytest.fixture
def make_house(prepared: Path, nurseries: Nurseries, tmp_path: Path) -> MakeHouse:
    """Makes the test's house; to be started by the trial."""

    def make(tweaks: Tweaks | None = None) -> House:
        house = House(tmp_path / "house", nurseries, tweaks)
        house.install_copy(prepared)
        return house

    return make
