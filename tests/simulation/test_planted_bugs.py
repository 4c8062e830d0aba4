"""Each mistake that an earlier server made, put into the code under test, is found by simulation.

A drop without login is no matter of this suite: the sessions' and the gRPC edge's own tests refuse
it, `tests/frontend/sessions/test_killers.py` and `tests/frontend/rpc/test_auth.py`.
"""

from collections.abc import Callable

import pytest

from tests.simulation.plants import PLANTS, Plant
from tests.simulation.scenario import SimulationError, simulate

BUDGET = 120
"""Worlds in which a mistake has to be found; an ordinary run of the tests simulates as many."""

FIRST = 7_001
"""The first of these worlds; fixed, so that each mistake is found after the same number again."""


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_planted_bug_is_found(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    plant.make(monkeypatch)
    for worlds in range(1, BUDGET + 1):
        try:
            simulate(FIRST + worlds - 1, guarded=plant.guarded)
        except SimulationError as error:
            found = str(error).splitlines()[0]
            record_property("found", f"{plant.name}: after {worlds} worlds, {found}")
            print(f"{plant.name}: after {worlds} worlds, {found}")
            return
    pytest.fail(f"{plant.name}: not found in {BUDGET} worlds")


def test_none_of_these_worlds_is_broken_without_a_plant() -> None:
    for seed in range(FIRST, FIRST + 40):
        simulate(seed)
