"""The services share no code, so each has the modules for its log lines; they are the same."""

from pathlib import Path

import pytest

SERVICES = Path(__file__).parents[2] / "services"
FRONTEND = SERVICES / "frontend/src/drink_frontend/loglines"
AGENT = SERVICES / "machine_agent/src/drink_agent/loglines"


def test_both_services_have_the_same_modules() -> None:
    assert {path.name for path in FRONTEND.glob("*.py")} == {
        path.name for path in AGENT.glob("*.py")
    }


@pytest.mark.parametrize("name", sorted(path.name for path in FRONTEND.glob("*.py")))
def test_a_module_is_the_same_in_both_services(name: str) -> None:
    frontend = (FRONTEND / name).read_text(encoding="utf-8")
    agent = (AGENT / name).read_text(encoding="utf-8")
    assert sorted(_lines(frontend)) == sorted(_lines(agent))


def _lines(text: str) -> list[str]:
    """The lines, their service's name left out; the formatter sorts and breaks some by it."""
    return text.replace("drink_frontend", "service").replace("drink_agent", "service").splitlines()
