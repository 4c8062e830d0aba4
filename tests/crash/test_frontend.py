"""The frontend dies at each step that leaves something on disk, link or wire (faults 24 and 27)."""

import contextlib
import threading

import pytest

from drink.v1 import drop_service_pb2 as drops
from scripts.client import session
from scripts.processes import ProcessFailedError
from tests.crash.conftest import MakeHouse
from tests.crash.house import ALICE, MACHINE, Tweaks
from tests.crash.points import CHECKPOINT, FRONTEND_BUYING, around, commit
from tests.crash.trial import DISPENSED, INTERRUPTED, End, Trial


@pytest.mark.parametrize("point", FRONTEND_BUYING)
def test_fault_24_frontend_killed_while_a_can_is_bought(point: str, make_house: MakeHouse) -> None:
    with Trial(make_house(), frontend=(point,)) as trial:
        drop = trial.buy().drop
        trial.until_all_have_died()
        trial.check(drop.name, DISPENSED)


@pytest.mark.parametrize("point", [*commit("scheduled"), *commit("released")])
def test_fault_24_frontend_killed_with_a_delayed_drop(point: str, make_house: MakeHouse) -> None:
    with Trial(make_house(), frontend=(point,)) as trial:
        drop = trial.buy(delay_s=1).drop
        trial.until_state(drop.name, "DISPENSED")
        trial.until_all_have_died()
        trial.check(drop.name, DISPENSED)


@pytest.mark.parametrize("point", [*commit("cancelled"), *around("reply-cancel")])
def test_fault_24_frontend_killed_while_a_drop_is_cancelled(
    point: str, make_house: MakeHouse
) -> None:
    with Trial(make_house(), frontend=(point,)) as trial:
        drop = trial.buy(delay_s=100).drop
        cancelled = trial.cancel(drop.name)
        trial.until_all_have_died()
        assert trial.cancel(drop.name) == cancelled
        trial.check(drop.name, End("NOT_DISPENSED", "CANCELLED", 0))


@pytest.mark.parametrize("point", [*commit("status"), *around("send-welcome")])
def test_fault_24_frontend_killed_at_an_agents_first_link(
    point: str, make_house: MakeHouse
) -> None:
    with Trial(make_house(), frontend=(point,)) as trial:
        drop = trial.buy().drop
        trial.until_all_have_died()
        trial.check(drop.name, DISPENSED)


@pytest.mark.parametrize(
    "point", [*commit("link-opened"), *around("send-welcome"), *commit("returned")]
)
def test_fault_24_frontend_killed_while_a_command_that_never_left_is_taken_back(
    point: str, make_house: MakeHouse
) -> None:
    with Trial(make_house(), frontend=("after-commit-dispatched", point)) as trial:
        drop = trial.buy().drop
        trial.until_all_have_died()
        trial.check(drop.name, DISPENSED)


@pytest.mark.parametrize("point", commit("not-dispensed"))
def test_fault_24_frontend_killed_while_a_refused_drop_is_voided(
    point: str, make_house: MakeHouse
) -> None:
    with Trial(make_house(), frontend=(point,)) as trial:
        trial.house.board.fault("refuse", slot=1)
        drop = trial.buy().drop
        trial.until_all_have_died()
        trial.check(drop.name, End("NOT_DISPENSED", "BOARD_REFUSED", 0))


@pytest.mark.parametrize("point", [*commit("unknown"), *around("send-resultack")])
def test_fault_24_frontend_killed_while_an_interrupted_drop_is_held(
    point: str, make_house: MakeHouse
) -> None:
    with Trial(make_house(), frontend=(point,), agent=("after-write-board",)) as trial:
        drop = trial.buy().drop
        trial.until_all_have_died()
        trial.check(drop.name, INTERRUPTED)


@pytest.mark.parametrize("point", commit("resolved"))
def test_fault_24_frontend_killed_while_late_evidence_settles_a_drop(
    point: str, make_house: MakeHouse
) -> None:
    house = make_house(Tweaks(response_limit_s=0.5))
    with Trial(house, frontend=(point,)) as trial:
        house.board.fault("late", slot=1, seconds=1)
        drop = trial.buy().drop
        assert drop.state == drops.Drop.STATE_UNKNOWN
        trial.until_state(drop.name, "DISPENSED")
        trial.until_all_have_died()
        trial.check(drop.name, End("DISPENSED", "BOARD_ACK_LATE", 1))


@pytest.mark.parametrize("point", commit("withdrawn"))
def test_fault_24_frontend_killed_while_a_drop_is_given_up(
    point: str, make_house: MakeHouse
) -> None:
    house = make_house(Tweaks({"drops": "waiting_limit_s = 1.0\nlook_interval_s = 0.1"}))
    with Trial(house, frontend=("after-commit-scheduled", point), together=True) as trial:
        answered = threading.Event()
        trial.keep_down(house.agent, until=answered.is_set)
        drop = trial.buy(delay_s=1).drop
        trial.until_state(drop.name, "NOT_DISPENSED")
        answered.set()
        trial.until_all_have_died()
        trial.check(drop.name, End("NOT_DISPENSED", "MACHINE_OFFLINE", 0))


@pytest.mark.parametrize("point", [*commit("unknown"), *commit("resolved")])
def test_fault_24_frontend_killed_while_a_lost_agent_comes_back_and_never_heard_of_the_drop(
    point: str, make_house: MakeHouse
) -> None:
    house = make_house(Tweaks({"drops": "silence_limit_s = 2.0\nlook_interval_s = 0.1"}))
    with Trial(house, frontend=(point,), agent=("before-append-accepted",)) as trial:
        answered = threading.Event()
        trial.keep_down(house.agent, until=answered.is_set)
        drop = trial.buy().drop
        assert drop.cause == drops.Drop.CAUSE_AGENT_LOST
        answered.set()
        trial.until_state(drop.name, "NOT_DISPENSED")
        trial.until_all_have_died()
        trial.check(drop.name, End("NOT_DISPENSED", "NOT_RECEIVED", 0))


@pytest.mark.parametrize("point", commit("still-unknown"))
def test_fault_24_frontend_killed_while_a_lost_agent_comes_back_and_cannot_tell(
    point: str, make_house: MakeHouse
) -> None:
    house = make_house(Tweaks({"drops": "silence_limit_s = 2.0\nlook_interval_s = 0.1"}))
    with Trial(house, frontend=(point,), agent=("after-write-board",)) as trial:
        answered = threading.Event()
        trial.keep_down(house.agent, until=answered.is_set)
        drop = trial.buy().drop
        assert drop.cause == drops.Drop.CAUSE_AGENT_LOST
        answered.set()
        trial.until_all_have_died()
        trial.until(lambda: trial.get(drop.name).cause != drop.cause, "a better cause")
        trial.check(drop.name, INTERRUPTED)


@pytest.mark.parametrize("point", CHECKPOINT)
def test_fault_24_frontend_killed_while_sqlite_empties_its_journal(
    point: str, make_house: MakeHouse
) -> None:
    house = make_house(Tweaks({"storage": "checkpoint_pages = 100"}))
    with Trial(house, frontend=(point,)) as trial:
        while not trial.died_at:
            trial.buy_another()
        trial.until_all_have_died()
        trial.check_next()


@pytest.mark.parametrize("point", [*commit("credits"), *around("reply-credits")])
def test_fault_24_frontend_killed_while_credits_are_added(
    point: str, make_house: MakeHouse
) -> None:
    with Trial(make_house(), frontend=(point,)) as trial:
        account = trial.add_credits(100)
        trial.until_all_have_died()
        assert account.posted_credits == ALICE.credits + 100
        assert trial.alice.account().posted_credits == ALICE.credits + 100
        assert trial.add_credits(100).posted_credits == ALICE.credits + 100
        assert trial.house.problems_of_books() == []


@pytest.mark.parametrize(
    ("point", "bought"),
    [
        *dict.fromkeys(commit("reserved")[:2], False).items(),
        *dict.fromkeys(commit("reserved")[2:], True).items(),
        *dict.fromkeys(around("reply-session"), True).items(),
    ],
)
def test_fault_24_frontend_killed_under_a_session(
    point: str, bought: bool, make_house: MakeHouse
) -> None:
    """A line has no request_id: its drop is what was committed before its session died."""
    with Trial(make_house(), frontend=(point,)) as trial:
        lines = ["USER alice", f"PASS {ALICE.password}", f"MACHINE {MACHINE}", "DROP 1", "QUIT"]
        with contextlib.suppress(OSError):
            list(session(trial.house.session_port, lines))
        trial.until_all_have_died()
        placed = trial.alice.call(trial.alice.drops.ListDrops, drops.ListDropsRequest()).drops
        assert len(placed) == bought
        for drop in placed:
            trial.until_state(drop.name, "DISPENSED")
            trial.check_end(drop.name, DISPENSED)
        trial.check_next()


@pytest.mark.parametrize("point", commit("resolved"))
def test_fault_24_operators_command_killed_while_it_decides(
    point: str, make_house: MakeHouse
) -> None:
    with Trial(make_house(), agent=("after-write-board",)) as trial:
        drop = trial.buy().drop
        trial.until_all_have_died()
        name = drop.name.removeprefix("drops/")
        arguments = ("drops", "resolve", name, "--dispensed", "--why=the slot is one can short")
        command = trial.house.administer(*arguments)
        command.lives = [point]
        command.start()
        command.bury()
        if trial.alice.get(drop.name).state == drops.Drop.STATE_UNKNOWN:
            command.run()
        else:
            with pytest.raises(ProcessFailedError):
                command.run()
        trial.check(drop.name, End("DISPENSED", "OPERATOR", 1))


def test_fault_27_frontend_dies_again_and_again_while_it_recovers(make_house: MakeHouse) -> None:
    lives = (
        "during-commit-reserved",
        "after-commit-reserved",
        "before-commit-link-opened",
        "before-commit-dispatched",
        "after-commit-dispatched",
        "after-commit-link-opened",
        "before-send-welcome",
        "during-commit-returned",
        "after-commit-returned",
        "before-send-dispense",
        "before-commit-returned",
        "after-commit-dispatched",
        "after-send-welcome",
        "before-commit-dispensed",
        "during-commit-dispensed",
        "before-send-resultack",
        "after-send-resultack",
    )
    with Trial(make_house(), frontend=lives) as trial:
        drop = trial.buy().drop
        trial.until_all_have_died()
        assert trial.died_at == list(lives)
        trial.check(drop.name, DISPENSED)
