"""The host of one service loses its power: what was written and not synced is gone (fault 32)."""

import pytest

from tests.crash.conftest import MakeSystem
from tests.crash.killable_system import Tweaks
from tests.crash.points import (
    AGENT_BUYING_UNSYNCED,
    CHECKPOINT,
    COMPACT,
    CREATE,
    FRONTEND_BUYING,
    REPAIR,
    commit,
    sample,
    unsynced_points,
)
from tests.crash.scenario import DISPENSED, INTERRUPTED, Outcome, Scenario


@pytest.mark.parametrize("point", unsynced_points(FRONTEND_BUYING))
def test_fault_32_power_cut_at_the_frontend_while_a_can_is_bought(
    point: str, make_system: MakeSystem
) -> None:
    with Scenario(make_system(), frontend=(point,), unsynced_is_lost=True) as scenario:
        scenario.buy_and_check(DISPENSED)


@pytest.mark.parametrize("point", unsynced_points(commit("cancelled")))
def test_fault_32_power_cut_at_the_frontend_while_a_drop_is_cancelled(
    point: str, make_system: MakeSystem
) -> None:
    with Scenario(make_system(), frontend=(point,), unsynced_is_lost=True) as scenario:
        drop = scenario.buy(delay_s=100).drop
        scenario.cancel(drop.name)
        scenario.until_all_are_killed()
        scenario.check(drop.name, Outcome("NOT_DISPENSED", "CANCELLED", 0))


@pytest.mark.parametrize("point", unsynced_points(CHECKPOINT))
def test_fault_32_power_cut_while_sqlite_empties_its_journal(
    point: str, make_system: MakeSystem
) -> None:
    system = make_system(Tweaks({"storage": "checkpoint_pages = 100"}))
    with Scenario(system, frontend=(point,), unsynced_is_lost=True) as scenario:
        while not scenario.killed_at:
            scenario.buy_another()
        scenario.until_all_are_killed()
        scenario.check_next()


@pytest.mark.parametrize("point", unsynced_points(AGENT_BUYING_UNSYNCED))
def test_fault_32_power_cut_at_the_agent_while_a_can_is_bought(
    point: str, make_system: MakeSystem
) -> None:
    with Scenario(make_system(), agent=(point,), unsynced_is_lost=True) as scenario:
        scenario.buy_and_check(AGENT_BUYING_UNSYNCED[point])


@pytest.mark.parametrize("point", sample(unsynced_points(CREATE)))
def test_fault_32_power_cut_while_the_journal_is_made(point: str, make_system: MakeSystem) -> None:
    with Scenario(make_system(), agent=(point,), unsynced_is_lost=True) as scenario:
        scenario.buy_and_check(DISPENSED)


@pytest.mark.parametrize("point", unsynced_points(REPAIR))
def test_fault_32_power_cut_while_a_torn_record_is_cut_off(
    point: str, make_system: MakeSystem
) -> None:
    system = make_system()
    with Scenario(system, agent=("during-write-result", point)) as scenario:
        # The first kill leaves the torn record, and only the second one is a power cut.
        scenario.keep_down(system.agent, until=lambda: _lose_power_from_now_on(scenario))
        scenario.buy_and_check(INTERRUPTED)


def _lose_power_from_now_on(scenario: Scenario) -> bool:
    scenario.system.agent.unsynced_is_lost = True
    return True


@pytest.mark.parametrize("point", sample(unsynced_points(COMPACT)))
def test_fault_32_power_cut_while_what_is_unreported_is_compacted(
    point: str, make_system: MakeSystem
) -> None:
    system = make_system(Tweaks(agent={"journal": "compact_bytes = 0"}))
    with Scenario(
        system, frontend=("before-commit-dispensed",), agent=(point,), unsynced_is_lost=True
    ) as scenario:
        scenario.keep_down(system.frontend, until=lambda: point in scenario.killed_at)
        scenario.buy_and_check(DISPENSED)
