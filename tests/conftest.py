"""What all tests share: the seed of a run, and how hard hypothesis looks."""

import os
import secrets

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("quick", deadline=None, print_blob=True)
settings.register_profile(
    "ci",
    parent=settings.get_profile("quick"),
    max_examples=1_000,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "quick"))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Draws the seed of this run, unless --hypothesis-seed repeats an earlier one."""
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = secrets.randbits(32)


def pytest_report_header(config: pytest.Config) -> str:
    """Says how to repeat this run's random choices."""
    return f"random choices: repeat with --hypothesis-seed={config.option.hypothesis_seed}"
