"""What all tests share: the seed of a run, and how hard hypothesis looks."""

import os
import secrets
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.fakes.http_proxy import PROXY_VARIABLES

settings.register_profile("quick", deadline=None, print_blob=True)
settings.register_profile(
    "ci",
    parent=settings.get_profile("quick"),
    max_examples=500,  # the largest state machines still end well within a test's 120 seconds
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("unit", parent=settings.get_profile("quick"), max_examples=20)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "quick"))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Draws the seed of this run, unless --hypothesis-seed repeats an earlier one.

    All tests talk over loopback, where no proxy of the environment belongs in between.
    """
    for name in PROXY_VARIABLES:
        os.environ.pop(name, None)
    if config.option.hypothesis_seed is None:
        shared = getattr(config, "workerinput", {})
        config.option.hypothesis_seed = shared.get("hypothesis_seed", secrets.randbits(32))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Gives a worker of pytest-xdist the seed of the run."""
    node.workerinput["hypothesis_seed"] = node.config.option.hypothesis_seed


def pytest_report_header(config: pytest.Config) -> str:
    """Says how to repeat this run's random choices."""
    return f"random choices: repeat with --hypothesis-seed={config.option.hypothesis_seed}"
