"""The crash tests can fail: each catches a fault that is put into a service on purpose."""

import grpc
import pytest

from tests.crash.conftest import MakeSystem
from tests.crash.scenario import DISPENSED, INTERRUPTED, Scenario


def test_a_motor_that_is_run_again_is_caught(make_system: MakeSystem) -> None:
    system = make_system()
    system.agent.bug = "tests.crash.agent_bugs:run_an_interrupted_motor_again"
    with Scenario(system, agent=("after-write-board",)) as scenario:
        drop = scenario.buy().drop
        scenario.until_all_are_killed()
        with pytest.raises(AssertionError, match="runs=2"):
            scenario.check(drop.name, INTERRUPTED)


def test_a_journal_that_is_not_synced_is_caught(make_system: MakeSystem) -> None:
    system = make_system()
    system.agent.bug = "tests.crash.agent_bugs:do_not_sync"
    with Scenario(system, agent=("after-write-board",), unsynced_is_lost=True) as scenario:
        drop = scenario.buy().drop
        scenario.until_all_are_killed()
        # The second can falls unless the beat that counts the lost record left before the kill:
        # then the frontend sees an older journal, and that end is not the promised one either.
        with pytest.raises(AssertionError, match=r"runs=2|JOURNAL_REPLACED"):
            scenario.check(drop.name, INTERRUPTED)


def test_a_drop_that_is_voided_without_proof_is_caught(make_system: MakeSystem) -> None:
    system = make_system()
    system.agent.bug = "tests.crash.agent_bugs:call_an_interrupted_drop_off"
    with Scenario(system, agent=("after-write-board",)) as scenario:
        drop = scenario.buy().drop
        scenario.until_all_are_killed()
        with pytest.raises(AssertionError, match="NOT_DISPENSED"):
            scenario.check(drop.name, INTERRUPTED)


def test_commits_that_are_not_synced_are_caught(make_system: MakeSystem) -> None:
    system = make_system()
    system.frontend.bug = "tests.crash.frontend_bugs:do_not_sync"
    with Scenario(system, frontend=("after-commit-dispensed",), unsynced_is_lost=True) as scenario:
        # The buyer's login is among what was said to be done.
        with pytest.raises(grpc.RpcError) as error:
            scenario.check(scenario.buy().drop.name, DISPENSED)
        assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED
