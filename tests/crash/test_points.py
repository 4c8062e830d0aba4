"""The list of kill points is complete: whatever leaves something behind is one."""

from scripts.processes import wait_until
from tests.crash.conftest import MakeSystem
from tests.crash.forked_process import ForkedProcess
from tests.crash.points import (
    AGENT_BUYING,
    AGENT_OTHER,
    FRONTEND_BUYING,
    FRONTEND_OTHER,
    FRONTEND_TURNS,
    LEAVE_NOTHING,
)
from tests.crash.scenario import Scenario


def passed(process: ForkedProcess) -> set[str]:
    """The points that a process has passed in this life."""
    return {event["point"] for event in process.events() if event["event"] == "point"}


def test_every_step_that_a_drop_takes_is_a_kill_point(make_system: MakeSystem) -> None:
    system = make_system()
    with Scenario(system) as scenario:
        scenario.buy()
        scenario.check_next()
        frontends = {*FRONTEND_BUYING, *FRONTEND_TURNS}
        wait_until(lambda: passed(system.frontend) >= frontends, "all of the frontend's")
        wait_until(lambda: passed(system.agent) >= set(AGENT_BUYING), "all of the agent's")
        frontend, agent = passed(system.frontend), passed(system.agent)
    assert frontend <= {*FRONTEND_BUYING, *FRONTEND_TURNS, *FRONTEND_OTHER, *LEAVE_NOTHING}
    assert agent <= {*AGENT_BUYING, *AGENT_OTHER, *LEAVE_NOTHING}


def test_every_step_of_a_delayed_drop_is_a_kill_point(make_system: MakeSystem) -> None:
    system = make_system()
    with Scenario(system) as scenario:
        drop = scenario.buy(delay_s=1).drop
        scenario.until_state(drop.name, "DISPENSED")
        frontend = passed(system.frontend)
    assert frontend <= {*FRONTEND_BUYING, *FRONTEND_TURNS, *FRONTEND_OTHER, *LEAVE_NOTHING}
