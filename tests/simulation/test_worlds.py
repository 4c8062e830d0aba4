"""Worlds by seed: every invariant holds whatever happens in them."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.scenario import simulate

KEPT = [
    int(line)
    for line in Path(__file__).with_name("seeds.txt").read_text().splitlines()
    if not line.startswith("#")
]
"""Worlds in which something broke once."""

BATCHES = 20
"""Tests with fresh worlds in a run."""

BATCH = 5
"""Fresh worlds in each of them, at about half a second each. `make simulate` runs thousands."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Draws the seeds from the run's own, which its header shows and which repeats them."""
    if "first" in metafunc.fixturenames:
        drawn = random.Random(metafunc.config.option.hypothesis_seed)
        metafunc.parametrize("first", [drawn.randrange(10**9) for _ in range(BATCHES)])


@pytest.mark.parametrize("seed", KEPT)
def test_what_broke_once_is_sound(seed: int) -> None:
    simulate(seed)


def test_every_promise_is_kept_in_fresh_worlds(first: int) -> None:
    """Invariants 1 to 14, 16, 18, 19, 21, 23 and 24, whatever happens at any step."""
    for seed in range(first, first + BATCH):
        assert simulate(seed).steps > 0


def test_a_seed_is_one_history_in_every_process() -> None:
    here = simulate(7).trace
    assert simulate(7).trace == here
    program = "from tests.simulation.scenario import simulate; print(simulate(7).trace)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "5"}
    elsewhere = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert elsewhere.stdout.strip() == here
