"""Each bug of an earlier server, planted into the code under test, is found by simulation."""

from collections.abc import Callable

import pytest

from tests.simulation.planted_bugs import PLANTED_BUGS, PlantedBug
from tests.simulation.scenario import SimulationError, simulate

BUDGET = 300
"""Worlds in which a bug must be found, after a change in what happens in the first one."""


# Three hundred worlds take a minute of one core, and more where others want it too.
@pytest.mark.timeout(900)
@pytest.mark.parametrize("bug", PLANTED_BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(
    bug: PlantedBug, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    bug.make(monkeypatch)
    for worlds in range(1, BUDGET + 1):
        seed = bug.found_in + worlds - 1
        try:
            simulate(seed, guarded=bug.guarded)
        except SimulationError as error:
            found = f"{bug.name}: after {worlds} worlds, {str(error).splitlines()[0]}"
            record_property("found", found)
            print(found)
            monkeypatch.undo()
            # It is the bug that was found.
            simulate(seed, guarded=bug.guarded)
            return
    pytest.fail(f"{bug.name}: not found in {BUDGET} worlds")
