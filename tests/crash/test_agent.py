"""The agent is killed at each step that leaves something behind (faults 25 and 27)."""

import pytest

from tests.crash.conftest import MakeSystem
from tests.crash.killable_system import Tweaks
from tests.crash.points import (
    AGENT_BUYING,
    COMPACT,
    CREATE,
    REPAIR,
    REPLAY,
    around,
    sample,
    written,
)
from tests.crash.scenario import DISPENSED, INTERRUPTED, NEVER_RAN, Scenario


@pytest.mark.parametrize("point", AGENT_BUYING)
def test_fault_25_agent_killed_while_a_can_is_bought(point: str, make_system: MakeSystem) -> None:
    with Scenario(make_system(), agent=(point,)) as scenario:
        scenario.buy_and_check(AGENT_BUYING[point])


@pytest.mark.parametrize("point", sample([*CREATE, *around("replay"), *around("send-hello")]))
def test_fault_25_agent_killed_at_its_first_start(point: str, make_system: MakeSystem) -> None:
    with Scenario(make_system(), agent=(point,)) as scenario:
        scenario.buy_and_check(DISPENSED)


@pytest.mark.parametrize(
    "point",
    sample([*REPLAY, *around("append-result"), *written("result"), *around("send-result")]),
)
def test_fault_25_agent_killed_while_it_recovers_an_interrupted_drop(
    point: str, make_system: MakeSystem
) -> None:
    with Scenario(make_system(), agent=("after-sync-commanded", point)) as scenario:
        scenario.buy_and_check(NEVER_RAN)


@pytest.mark.parametrize(
    "point", sample([*REPLAY, *around("send-result"), *around("append-acked")])
)
def test_fault_25_agent_killed_while_it_recovers_an_unreported_result(
    point: str, make_system: MakeSystem
) -> None:
    with Scenario(make_system(), agent=("after-sync-result", point)) as scenario:
        scenario.buy_and_check(DISPENSED)


@pytest.mark.parametrize("point", REPAIR)
@pytest.mark.parametrize("torn", ["commanded", "result"])
def test_fault_25_agent_killed_while_it_cuts_off_a_torn_record(
    torn: str, point: str, make_system: MakeSystem
) -> None:
    with Scenario(make_system(), agent=(f"during-write-{torn}", point)) as scenario:
        scenario.buy_and_check(DISPENSED if torn == "commanded" else INTERRUPTED)


@pytest.mark.parametrize("point", around("send-not-received"))
def test_fault_25_agent_killed_while_it_reports_a_drop_as_not_received(
    point: str, make_system: MakeSystem
) -> None:
    with Scenario(make_system(), agent=("after-append-accepted", point)) as scenario:
        scenario.buy_and_check(DISPENSED)


@pytest.mark.parametrize("point", sample(COMPACT))
def test_fault_25_agent_killed_while_it_compacts_what_is_unreported(
    point: str, make_system: MakeSystem
) -> None:
    system = make_system(Tweaks(agent={"journal": "compact_bytes = 0"}))
    with Scenario(system, frontend=("before-commit-dispensed",), agent=(point,)) as scenario:
        scenario.keep_down(system.frontend, until=lambda: point in scenario.killed_at)
        scenario.buy_and_check(DISPENSED)


def test_fault_27_agent_is_killed_repeatedly_while_it_recovers(make_system: MakeSystem) -> None:
    kill_points = (
        "after-sync-commanded",
        "during-replay",
        "before-append-result",
        "during-write-result",
        "before-truncate-repair",
        "before-sync-repair",
        "before-send-hello",
        "after-sync-result",
        "after-send-hello",
        "before-send-result",
        "after-send-result",
        "before-append-acked",
        "during-write-acked",
        "after-sync-acked",
    )
    with Scenario(make_system(), agent=kill_points) as scenario:
        drop = scenario.buy().drop
        scenario.until_all_are_killed()
        assert scenario.killed_at == list(kill_points)
        scenario.check(drop.name, NEVER_RAN)
