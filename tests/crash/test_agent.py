"""The agent dies at each step that leaves something on disk, board or link (faults 25 and 27)."""

import pytest

from tests.crash.conftest import MakeHouse
from tests.crash.house import Tweaks
from tests.crash.points import AGENT_BUYING, COMPACT, CREATE, REPAIR, REPLAY, around, written
from tests.crash.trial import DISPENSED, INTERRUPTED, NEVER_RAN, Trial


@pytest.mark.parametrize("point", AGENT_BUYING)
def test_fault_25_agent_killed_while_a_can_is_bought(point: str, make_house: MakeHouse) -> None:
    with Trial(make_house(), agent=(point,)) as trial:
        drop = trial.buy().drop
        trial.until_all_have_died()
        trial.check(drop.name, AGENT_BUYING[point])


@pytest.mark.parametrize("point", [*CREATE, *around("replay"), *around("send-hello")])
def test_fault_25_agent_killed_at_its_first_start(point: str, make_house: MakeHouse) -> None:
    with Trial(make_house(), agent=(point,)) as trial:
        drop = trial.buy().drop
        trial.until_all_have_died()
        trial.check(drop.name, DISPENSED)


@pytest.mark.parametrize(
    "point", [*REPLAY, *around("append-result"), *written("result"), *around("send-result")]
)
def test_fault_25_agent_killed_while_it_recovers_an_interrupted_drop(
    point: str, make_house: MakeHouse
) -> None:
    with Trial(make_house(), agent=("after-sync-commanded", point)) as trial:
        drop = trial.buy().drop
        trial.until_all_have_died()
        trial.check(drop.name, NEVER_RAN)


@pytest.mark.parametrize("point", [*REPLAY, *around("send-result"), *around("append-acked")])
def test_fault_25_agent_killed_while_it_recovers_an_unreported_result(
    point: str, make_house: MakeHouse
) -> None:
    with Trial(make_house(), agent=("after-sync-result", point)) as trial:
        drop = trial.buy().drop
        trial.until_all_have_died()
        trial.check(drop.name, DISPENSED)


@pytest.mark.parametrize("point", REPAIR)
@pytest.mark.parametrize("torn", ["commanded", "result"])
def test_fault_25_agent_killed_while_it_cuts_off_a_torn_record(
    torn: str, point: str, make_house: MakeHouse
) -> None:
    with Trial(make_house(), agent=(f"during-write-{torn}", point)) as trial:
        drop = trial.buy().drop
        trial.until_all_have_died()
        trial.check(drop.name, DISPENSED if torn == "commanded" else INTERRUPTED)


@pytest.mark.parametrize("point", around("send-not-received"))
def test_fault_25_agent_killed_while_it_says_that_it_never_heard_of_a_drop(
    point: str, make_house: MakeHouse
) -> None:
    with Trial(make_house(), agent=("after-append-accepted", point)) as trial:
        drop = trial.buy().drop
        trial.until_all_have_died()
        trial.check(drop.name, DISPENSED)


@pytest.mark.parametrize("point", COMPACT)
def test_fault_25_agent_killed_while_it_compacts_what_is_unreported(
    point: str, make_house: MakeHouse
) -> None:
    house = make_house(Tweaks(agent={"journal": "compact_bytes = 0"}))
    with Trial(house, frontend=("before-commit-dispensed",), agent=(point,)) as trial:
        trial.keep_down(house.frontend, until=lambda: point in trial.died_at)
        drop = trial.buy().drop
        trial.until_all_have_died()
        trial.check(drop.name, DISPENSED)


def test_fault_27_agent_dies_again_and_again_while_it_recovers(make_house: MakeHouse) -> None:
    lives = (
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
    with Trial(make_house(), agent=lives) as trial:
        drop = trial.buy().drop
        trial.until_all_have_died()
        assert trial.died_at == list(lives)
        trial.check(drop.name, NEVER_RAN)
