"""Systems to kill, and how often each crash is tried."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash.forked_process import ForkServerClient
from tests.crash.killable_system import ForkServers, KillableSystem, Tweaks
from tests.crash.points import ROUNDS

MakeSystem = Callable[..., KillableSystem]


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker."""
    config.addinivalue_line("markers", "once: a crash that is not tried again in a thorough run")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeats every test that kills a service `ROUNDS` times, unless it is marked `once`."""
    once = metafunc.definition.get_closest_marker("once") is not None
    if ROUNDS > 1 and "make_system" in metafunc.fixturenames and not once:
        metafunc.fixturenames.append("crash_round")
        metafunc.parametrize("crash_round", range(ROUNDS))


@pytest.fixture(scope="session")
def fork_servers() -> Iterator[ForkServers]:
    """One fork server for each service."""
    frontend = ForkServerClient("tests.crash.frontend_points")
    agent = ForkServerClient("tests.crash.agent_points")
    yield ForkServers(frontend, agent)
    frontend.close()
    agent.close()


@pytest.fixture(scope="session")
def prepared(fork_servers: ForkServers, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a system that was installed and never started."""
    folder = tmp_path_factory.mktemp("prepared") / "system"
    KillableSystem(folder, fork_servers).install()
    return folder


@pytest.fixture
def make_system(prepared: Path, fork_servers: ForkServers, tmp_path: Path) -> MakeSystem:
    """Makes the test's system, which its scenario starts."""

    def make(tweaks: Tweaks | None = None) -> KillableSystem:
        system = KillableSystem(tmp_path / "system", fork_servers, tweaks)
        system.install_copy(prepared)
        return system

    return make
