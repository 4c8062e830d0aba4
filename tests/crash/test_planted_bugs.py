"""The crash tests catch bugs that are planted into a service."""

import grpc
import pytest

from tests.crash.conftest import MakeSystem
from tests.crash.scenario import DISPENSED, INTERRUPTED, Scenario


@pytest.mark.parametrize(
    ("bug", "unsynced_is_lost", "found"),
    [
        ("run_an_interrupted_motor_again", False, "runs=2"),
        # The second can falls unless the report that counts the lost record left before the kill:
        # then the frontend sees an older journal, which is not the expected outcome either.
        ("do_not_sync", True, "runs=2|JOURNAL_REPLACED"),
        ("call_an_interrupted_drop_off", False, "NOT_DISPENSED"),
    ],
)
def test_a_bug_of_the_agent_is_caught(
    bug: str, unsynced_is_lost: bool, found: str, make_system: MakeSystem
) -> None:
    system = make_system()
    system.agent.bug = f"tests.crash.agent_bugs:{bug}"
    points = ("after-write-board",)
    with Scenario(system, agent=points, unsynced_is_lost=unsynced_is_lost) as scenario:
        drop = scenario.buy().drop
        scenario.until_all_are_killed()
        with pytest.raises(AssertionError, match=found):
            scenario.check(drop.name, INTERRUPTED)


def test_commits_that_are_not_synced_are_caught(make_system: MakeSystem) -> None:
    system = make_system()
    system.frontend.bug = "tests.crash.frontend_bugs:do_not_sync"
    with Scenario(system, frontend=("after-commit-dispensed",), unsynced_is_lost=True) as scenario:
        # The buyer's login is among what was said to be done.
        with pytest.raises(grpc.RpcError) as error:
            scenario.check(scenario.buy().drop.name, DISPENSED)
        assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED


def test_a_turn_that_is_stored_in_parts_is_caught(make_system: MakeSystem) -> None:
    system = make_system()
    system.frontend.bug = "tests.crash.frontend_bugs:commit_each_phase"
    with Scenario(system, frontend=("after-insert-audit-reserved",)) as scenario:
        drop = scenario.buy().drop
        scenario.until_all_are_killed()
        # Its audit record says that it was reserved, and no event does.
        with pytest.raises(AssertionError, match="28: "):
            scenario.check(drop.name, DISPENSED)
