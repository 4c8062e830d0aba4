"""The list of kill points is complete: whatever leaves something behind is one."""

from scripts.processes import wait_until
from tests.crash.conftest import MakeHouse
from tests.crash.points import (
    AGENT_BUYING,
    AGENT_OTHER,
    FRONTEND_BUYING,
    FRONTEND_OTHER,
    LEAVE_NOTHING,
)
from tests.crash.trial import Trial
from tests.crash.victims import Victim


def passed(victim: Victim) -> set[str]:
    """The points that a process has passed in this life."""
    return {event["point"] for event in victim.events() if event["event"] == "point"}


def test_every_step_that_a_drop_takes_is_a_kill_point(make_house: MakeHouse) -> None:
    house = make_house()
    with Trial(house) as trial:
        trial.buy()
        trial.check_next()
        wait_until(lambda: passed(house.frontend) >= set(FRONTEND_BUYING), "all of the frontend's")
        wait_until(lambda: passed(house.agent) >= set(AGENT_BUYING), "all of the agent's")
        frontend, agent = passed(house.frontend), passed(house.agent)
    assert frontend <= {*FRONTEND_BUYING, *FRONTEND_OTHER, *LEAVE_NOTHING}
    assert agent <= {*AGENT_BUYING, *AGENT_OTHER, *LEAVE_NOTHING}


def test_every_step_of_a_delayed_drop_is_a_kill_point(make_house: MakeHouse) -> None:
    house = make_house()
    with Trial(house) as trial:
        drop = trial.buy(delay_s=1).drop
        trial.until_state(drop.name, "DISPENSED")
        frontend = passed(house.frontend)
    assert frontend <= {*FRONTEND_BUYING, *FRONTEND_OTHER, *LEAVE_NOTHING}
