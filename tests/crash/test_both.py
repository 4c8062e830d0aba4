"""Both services are killed, one after the other or at the same instant (fault 26)."""

import itertools

import pytest

from drink_agent.domain.recovery import DropStage
from tests.crash.conftest import MakeSystem
from tests.crash.points import AGENT_BUYING, FRONTEND_BUYING, THOROUGH, commit
from tests.crash.scenario import ANSWERED_LATE, DISPENSED, INTERRUPTED, NEVER_RAN, Outcome, Scenario

SOME_PAIRS = [
    ("before-commit-reserved", "before-write-commanded"),
    ("after-commit-dispatched", "after-append-accepted"),
    ("after-send-dispense", "during-write-commanded"),
    ("before-sync-dispensed", "after-sync-result"),
    ("after-commit-dispensed", "before-append-acked"),
    ("before-send-resultack", "before-send-result"),
    ("before-reply-drop", "after-write-board"),
]
"""Pairs of points at which one service waits for the other."""


SOME_OF_THE_FRONTEND = (
    "before-commit-reserved",
    "after-commit-dispatched",
    "after-send-dispense",
    "before-commit-dispensed",
    "after-commit-dispensed",
)
SOME_OF_THE_AGENT = (
    "before-write-commanded",
    "before-sync-commanded",
    "after-write-board",
    "before-write-result",
    "after-sync-result",
    "after-send-result",
)


def _pairs() -> list[tuple[str, str]]:
    if not THOROUGH:
        return SOME_PAIRS
    return [
        (frontend, agent)
        for frontend, agent in itertools.product(FRONTEND_BUYING, AGENT_BUYING)
        # A drop that ends UNKNOWN is not posted.
        if AGENT_BUYING[agent] == DISPENSED or frontend not in commit("dispensed")
    ]


@pytest.mark.once
@pytest.mark.parametrize(("frontend", "agent"), _pairs())
def test_fault_26_both_killed_while_a_can_is_bought(
    frontend: str, agent: str, make_system: MakeSystem
) -> None:
    with Scenario(make_system(), frontend=(frontend,), agent=(agent,)) as scenario:
        scenario.buy_and_check(AGENT_BUYING[agent])


@pytest.mark.parametrize("point", FRONTEND_BUYING if THOROUGH else SOME_OF_THE_FRONTEND)
def test_fault_26_both_killed_when_the_frontend_reaches_a_point(
    point: str, make_system: MakeSystem
) -> None:
    system = make_system()
    with Scenario(system, frontend=(point,), together=True) as scenario:
        before: list[DropStage] = []

        def look() -> bool:
            """Keeps the step in the agent's journal before the agent runs again."""
            if not before:
                state = scenario.state()
                known = [*state.accepted, *state.commanded, *state.unacked, *state.settled]
                before.append(state.stage_of(known[0]) if known else DropStage.NONE)
            return True

        scenario.keep_down(system.agent, until=look)
        drop = scenario.buy().drop
        scenario.until_all_are_killed()
        scenario.check(drop.name, *_ends(before[0]))


@pytest.mark.parametrize("point", AGENT_BUYING if THOROUGH else SOME_OF_THE_AGENT)
def test_fault_26_both_killed_when_the_agent_reaches_a_point(
    point: str, make_system: MakeSystem
) -> None:
    with Scenario(make_system(), agent=(point,), together=True) as scenario:
        scenario.buy_and_check(AGENT_BUYING[point])


def _ends(step: DropStage) -> tuple[Outcome, ...]:
    """Outcomes of a drop whose last record is `step`; its agent may be killed at any instant."""
    if step is DropStage.COMMANDED:
        return INTERRUPTED, ANSWERED_LATE, NEVER_RAN
    return (DISPENSED,)
