"""Both services die, one after the other or at the same instant (fault 26)."""

import itertools

import pytest

from drink_agent.domain.recovery import Step
from tests.crash.conftest import MakeHouse
from tests.crash.points import AGENT_BUYING, FRONTEND_BUYING, commit
from tests.crash.rounds import THOROUGH
from tests.crash.trial import ANSWERED_LATE, DISPENSED, INTERRUPTED, NEVER_RAN, End, Trial

SOME_PAIRS = [
    ("before-commit-reserved", "before-write-commanded"),
    ("after-commit-dispatched", "after-append-accepted"),
    ("after-send-dispense", "during-write-commanded"),
    ("before-sync-dispensed", "after-sync-result"),
    ("after-commit-dispensed", "before-append-acked"),
    ("before-send-resultack", "before-send-result"),
    ("before-reply-drop", "after-write-board"),
]
"""Pairs whose deaths meet: where one waits for the other."""


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
    frontend: str, agent: str, make_house: MakeHouse
) -> None:
    with Trial(make_house(), frontend=(frontend,), agent=(agent,)) as trial:
        drop = trial.buy().drop
        trial.until_all_have_died()
        trial.check(drop.name, AGENT_BUYING[agent])


@pytest.mark.parametrize("point", FRONTEND_BUYING if THOROUGH else SOME_OF_THE_FRONTEND)
def test_fault_26_both_killed_when_the_frontend_reaches_a_point(
    point: str, make_house: MakeHouse
) -> None:
    house = make_house()
    with Trial(house, frontend=(point,), together=True) as trial:
        before: list[Step] = []

        def look() -> bool:
            """What the agent's journal says before the agent is back."""
            if not before:
                memory = trial.memory()
                known = [*memory.accepted, *memory.commanded, *memory.unacked, *memory.settled]
                before.append(memory.step_of(known[0]) if known else Step.NONE)
            return True

        trial.keep_down(house.agent, until=look)
        drop = trial.buy().drop
        trial.until_all_have_died()
        trial.check(drop.name, *_ends(before[0]))


@pytest.mark.parametrize("point", AGENT_BUYING if THOROUGH else SOME_OF_THE_AGENT)
def test_fault_26_both_killed_when_the_agent_reaches_a_point(
    point: str, make_house: MakeHouse
) -> None:
    with Trial(make_house(), agent=(point,), together=True) as trial:
        drop = trial.buy().drop
        trial.until_all_have_died()
        trial.check(drop.name, AGENT_BUYING[point])


def _ends(step: Step) -> tuple[End, ...]:
    """How a drop ends whose last record is `step`: its agent was killed at any instant."""
    if step is Step.COMMANDED:
        return INTERRUPTED, ANSWERED_LATE, NEVER_RAN
    return (DISPENSED,)
