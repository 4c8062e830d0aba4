"""The host of one service loses its power: what was written and not synced is gone (fault 32)."""

import pytest

from tests.crash.conftest import MakeHouse
from tests.crash.house import Tweaks
from tests.crash.points import (
    AGENT_BUYING_UNSYNCED,
    CHECKPOINT,
    COMPACT,
    CREATE,
    FRONTEND_BUYING,
    REPAIR,
    commit,
)
from tests.crash.rounds import telling
from tests.crash.trial import DISPENSED, INTERRUPTED, End, Trial


@pytest.mark.parametrize("point", telling(FRONTEND_BUYING))
def test_fault_32_power_cut_at_the_frontend_while_a_can_is_bought(
    point: str, make_house: MakeHouse
) -> None:
    with Trial(make_house(), frontend=(point,), unsynced_is_lost=True) as trial:
        drop = trial.buy().drop
        trial.until_all_have_died()
        trial.check(drop.name, DISPENSED)


@pytest.mark.parametrize("point", telling(commit("cancelled")))
def test_fault_32_power_cut_at_the_frontend_while_a_drop_is_cancelled(
    point: str, make_house: MakeHouse
) -> None:
    with Trial(make_house(), frontend=(point,), unsynced_is_lost=True) as trial:
        drop = trial.buy(delay_s=100).drop
        trial.cancel(drop.name)
        trial.until_all_have_died()
        trial.check(drop.name, End("NOT_DISPENSED", "CANCELLED", 0))


@pytest.mark.parametrize("point", telling(CHECKPOINT))
def test_fault_32_power_cut_while_sqlite_empties_its_journal(
    point: str, make_house: MakeHouse
) -> None:
    house = make_house(Tweaks({"storage": "checkpoint_pages = 100"}))
    with Trial(house, frontend=(point,), unsynced_is_lost=True) as trial:
        while not trial.died_at:
            trial.buy_another()
        trial.until_all_have_died()
        trial.check_next()


@pytest.mark.parametrize("point", telling(AGENT_BUYING_UNSYNCED))
def test_fault_32_power_cut_at_the_agent_while_a_can_is_bought(
    point: str, make_house: MakeHouse
) -> None:
    with Trial(make_house(), agent=(point,), unsynced_is_lost=True) as trial:
        drop = trial.buy().drop
        trial.until_all_have_died()
        trial.check(drop.name, AGENT_BUYING_UNSYNCED[point])


@pytest.mark.parametrize("point", telling(CREATE))
def test_fault_32_power_cut_while_the_journal_is_made(point: str, make_house: MakeHouse) -> None:
    with Trial(make_house(), agent=(point,), unsynced_is_lost=True) as trial:
        drop = trial.buy().drop
        trial.until_all_have_died()
        trial.check(drop.name, DISPENSED)


@pytest.mark.parametrize("point", telling(REPAIR))
def test_fault_32_power_cut_while_a_torn_record_is_cut_off(
    point: str, make_house: MakeHouse
) -> None:
    house = make_house()
    with Trial(house, agent=("during-write-result", point)) as trial:
        # The first death leaves the torn record, and only the second one is a power cut.
        trial.keep_down(house.agent, until=lambda: _lose_power_from_now_on(trial))
        drop = trial.buy().drop
        trial.until_all_have_died()
        trial.check(drop.name, INTERRUPTED)


def _lose_power_from_now_on(trial: Trial) -> bool:
    trial.house.agent.unsynced_is_lost = True
    return True


@pytest.mark.parametrize("point", telling(COMPACT))
def test_fault_32_power_cut_while_what_is_unreported_is_compacted(
    point: str, make_house: MakeHouse
) -> None:
    house = make_house(Tweaks(agent={"journal": "compact_bytes = 0"}))
    with Trial(
        house, frontend=("before-commit-dispensed",), agent=(point,), unsynced_is_lost=True
    ) as trial:
        trial.keep_down(house.frontend, until=lambda: point in trial.died_at)
        drop = trial.buy().drop
        trial.until_all_have_died()
        trial.check(drop.name, DISPENSED)
