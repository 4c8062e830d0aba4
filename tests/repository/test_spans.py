"""The services share no code: frontend and page each have the modules for spans, the same ones."""

from pathlib import Path

import pytest

SERVICES = Path(__file__).parents[2] / "services"
FRONTEND = SERVICES / "frontend/src/drink_frontend/spans"
WEB = SERVICES / "web/src/drink_web/spans"
NAMES = sorted(path.name for path in FRONTEND.glob("*.py"))


def test_both_services_have_the_same_modules() -> None:
    assert sorted(path.name for path in WEB.glob("*.py")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_module_is_the_same_in_both_services(name: str) -> None:
    frontend = (FRONTEND / name).read_text(encoding="utf-8")
    assert frontend.replace("drink_frontend", "drink_web") == (WEB / name).read_text("utf-8")
