"""The frontend is killed at each step that leaves something behind (faults 24 and 27)."""

import contextlib
import threading

import pytest

from drink.v1 import drop_service_pb2 as drops
from scripts.client import session
from scripts.processes import ProcessFailedError
from tests.crash.conftest import MakeSystem
from tests.crash.killable_system import ALICE, MACHINE, Tweaks
from tests.crash.points import (
    CHECKPOINT,
    DIVIDED,
    FRONTEND_BUYING,
    FRONTEND_TURNS,
    around,
    commit,
    sample,
)
from tests.crash.scenario import DISPENSED, INTERRUPTED, Outcome, Scenario


@pytest.mark.parametrize("point", FRONTEND_BUYING)
def test_fault_24_frontend_killed_while_a_can_is_bought(
    point: str, make_system: MakeSystem
) -> None:
    with Scenario(make_system(), frontend=(point,)) as scenario:
        scenario.buy_and_check(DISPENSED)


@pytest.mark.parametrize("point", sample(FRONTEND_TURNS))
def test_fault_24_frontend_killed_inside_a_turn(point: str, make_system: MakeSystem) -> None:
    with Scenario(make_system(), frontend=(point,)) as scenario:
        scenario.buy_and_check(DISPENSED)


@pytest.mark.parametrize("point", [*DIVIDED, *commit("reserved")])
def test_fault_24_frontend_killed_while_a_refused_batch_is_divided(
    point: str, make_system: MakeSystem
) -> None:
    """The order is in a batch of its own then, and one that breaks a rule comes after it."""
    system = make_system()
    system.frontend.bug = "tests.crash.frontend_bugs:break_a_rule_beside_orders"
    with Scenario(system, frontend=(*DIVIDED, point)) as scenario:
        scenario.buy_and_check(DISPENSED)


@pytest.mark.parametrize("point", sample([*commit("scheduled"), *commit("released")]))
def test_fault_24_frontend_killed_with_a_delayed_drop(point: str, make_system: MakeSystem) -> None:
    with Scenario(make_system(), frontend=(point,)) as scenario:
        drop = scenario.buy(delay_s=1).drop
        scenario.until_state(drop.name, "DISPENSED")
        scenario.until_all_are_killed()
        scenario.check(drop.name, DISPENSED)


@pytest.mark.parametrize("point", sample([*commit("cancelled"), *around("reply-cancel")]))
def test_fault_24_frontend_killed_while_a_drop_is_cancelled(
    point: str, make_system: MakeSystem
) -> None:
    with Scenario(make_system(), frontend=(point,)) as scenario:
        drop = scenario.buy(delay_s=100).drop
        cancelled = scenario.cancel(drop.name)
        scenario.until_all_are_killed()
        assert scenario.cancel(drop.name) == cancelled
        scenario.check(drop.name, Outcome("NOT_DISPENSED", "CANCELLED", 0))


@pytest.mark.parametrize("point", sample([*commit("status"), *around("send-welcome")]))
def test_fault_24_frontend_killed_at_an_agents_first_link(
    point: str, make_system: MakeSystem
) -> None:
    with Scenario(make_system(), frontend=(point,)) as scenario:
        scenario.buy_and_check(DISPENSED)


@pytest.mark.parametrize(
    "point", sample([*commit("link-opened"), *around("send-welcome"), *commit("returned")])
)
def test_fault_24_frontend_killed_while_a_command_that_never_left_is_taken_back(
    point: str, make_system: MakeSystem
) -> None:
    with Scenario(make_system(), frontend=("after-commit-dispatched", point)) as scenario:
        scenario.buy_and_check(DISPENSED)


@pytest.mark.parametrize("point", commit("not-dispensed"))
def test_fault_24_frontend_killed_while_a_refused_drop_is_voided(
    point: str, make_system: MakeSystem
) -> None:
    with Scenario(make_system(), frontend=(point,)) as scenario:
        scenario.system.board.fault("refuse", slot=1)
        scenario.buy_and_check(Outcome("NOT_DISPENSED", "BOARD_REFUSED", 0))


@pytest.mark.parametrize("point", sample([*commit("unknown"), *around("send-resultack")]))
def test_fault_24_frontend_killed_while_an_interrupted_drop_is_held(
    point: str, make_system: MakeSystem
) -> None:
    with Scenario(make_system(), frontend=(point,), agent=("after-write-board",)) as scenario:
        scenario.buy_and_check(INTERRUPTED)


@pytest.mark.parametrize("point", commit("resolved"))
def test_fault_24_frontend_killed_while_late_evidence_settles_a_drop(
    point: str, make_system: MakeSystem
) -> None:
    system = make_system(Tweaks(response_limit_s=0.5))
    with Scenario(system, frontend=(point,)) as scenario:
        system.board.fault("late", slot=1, seconds=3)
        drop = scenario.buy().drop
        assert drop.state == drops.Drop.STATE_UNKNOWN
        scenario.until_state(drop.name, "DISPENSED")
        scenario.until_all_are_killed()
        scenario.check(drop.name, Outcome("DISPENSED", "BOARD_ACK_LATE", 1))


@pytest.mark.parametrize("point", commit("withdrawn"))
def test_fault_24_frontend_killed_while_a_drop_is_given_up(
    point: str, make_system: MakeSystem
) -> None:
    system = make_system(Tweaks({"drops": "waiting_limit_s = 1.0\nlook_interval_s = 0.1"}))
    with Scenario(system, frontend=("after-commit-scheduled", point), together=True) as scenario:
        answered = threading.Event()
        scenario.keep_down(system.agent, until=answered.is_set)
        drop = scenario.buy(delay_s=1).drop
        scenario.until_state(drop.name, "NOT_DISPENSED")
        answered.set()
        scenario.until_all_are_killed()
        scenario.check(drop.name, Outcome("NOT_DISPENSED", "MACHINE_OFFLINE", 0))


def killed_around_a_lost_agent(
    make_system: MakeSystem, point: str, agent: str, expected: Outcome
) -> None:
    """The agent is killed at its point, and comes back when its drop has been given up."""
    system = make_system(Tweaks({"drops": "silence_limit_s = 2.0\nlook_interval_s = 0.1"}))
    with Scenario(system, frontend=(point,), agent=(agent,)) as scenario:
        answered = threading.Event()
        scenario.keep_down(system.agent, until=answered.is_set)
        drop = scenario.buy().drop
        assert drop.cause == drops.Drop.CAUSE_AGENT_LOST
        answered.set()
        scenario.until_all_are_killed()
        scenario.until(lambda: scenario.get(drop.name).cause != drop.cause, "a better cause")
        scenario.check(drop.name, expected)


@pytest.mark.parametrize("point", sample([*commit("unknown"), *commit("resolved")]))
def test_fault_24_frontend_killed_while_a_lost_agent_comes_back_without_the_drop(
    point: str, make_system: MakeSystem
) -> None:
    never = Outcome("NOT_DISPENSED", "NOT_RECEIVED", 0)
    killed_around_a_lost_agent(make_system, point, "before-append-accepted", never)


@pytest.mark.parametrize("point", commit("still-unknown"))
def test_fault_24_frontend_killed_while_a_lost_agent_comes_back_and_cannot_tell(
    point: str, make_system: MakeSystem
) -> None:
    killed_around_a_lost_agent(make_system, point, "after-write-board", INTERRUPTED)


@pytest.mark.parametrize("point", CHECKPOINT)
def test_fault_24_frontend_killed_while_sqlite_empties_its_journal(
    point: str, make_system: MakeSystem
) -> None:
    system = make_system(Tweaks({"storage": "checkpoint_pages = 100"}))
    with Scenario(system, frontend=(point,)) as scenario:
        while not scenario.killed_at:
            scenario.buy_another()
        scenario.until_all_are_killed()
        scenario.check_next()


@pytest.mark.parametrize("point", sample([*commit("credits"), *around("reply-credits")]))
def test_fault_24_frontend_killed_while_credits_are_added(
    point: str, make_system: MakeSystem
) -> None:
    with Scenario(make_system(), frontend=(point,)) as scenario:
        account = scenario.add_credits(100)
        scenario.until_all_are_killed()
        assert account.posted_credits == ALICE.credits + 100
        assert scenario.alice.account().posted_credits == ALICE.credits + 100
        assert scenario.add_credits(100).posted_credits == ALICE.credits + 100
        assert scenario.system.problems_of_books() == []


@pytest.mark.parametrize("point", sample([*commit("credits"), *around("reply-set-credits")]))
def test_fault_24_frontend_killed_while_credits_are_set(
    point: str, make_system: MakeSystem
) -> None:
    """The repeated request is answered, although the credits are not the expected ones any more."""
    with Scenario(make_system(), frontend=(point,)) as scenario:
        account = scenario.set_credits(7)
        scenario.until_all_are_killed()
        assert account.posted_credits == 7
        assert scenario.set_credits(7).posted_credits == 7
        assert scenario.alice.account().posted_credits == 7
        assert scenario.system.problems_of_books() == []


@pytest.mark.parametrize("point", sample([*commit("account"), *around("reply-account")]))
def test_fault_24_frontend_killed_while_a_credit_limit_is_set(
    point: str, make_system: MakeSystem
) -> None:
    with Scenario(make_system(), frontend=(point,)) as scenario:
        account = scenario.set_credit_limit(9)
        scenario.until_all_are_killed()
        assert account.credit_limit == 9
        assert scenario.alice.account().available_credits == ALICE.credits + 9
        assert scenario.system.problems_of_books() == []


@pytest.mark.parametrize("point", sample([*commit("reported"), *around("reply-report")]))
def test_fault_24_frontend_killed_while_a_buyer_reports(
    point: str, make_system: MakeSystem
) -> None:
    """The report has no request_id: a repeated one is kept again, and the drop stays as it is."""
    with Scenario(make_system(), frontend=(point,)) as scenario:
        bought = scenario.buy().drop
        reported = scenario.report(bought.name, "warm")
        scenario.until_all_are_killed()
        assert reported.state == bought.state
        listed = scenario.alice.call(
            scenario.alice.drops.ListDropRecords, drops.ListDropRecordsRequest(parent=bought.name)
        ).records
        texts = [each.facts["text"] for each in listed if each.kind == "DROP_REPORTED"]
        assert texts in (["warm"], ["warm", "warm"])
        assert scenario.system.problems_of_books() == []


@pytest.mark.parametrize("point", [*commit("stock"), *around("reply-stock")])
def test_fault_24_frontend_killed_while_a_slot_is_loaded(
    point: str, make_system: MakeSystem
) -> None:
    """Invariant 27: the items are in the slot once, with their movement."""
    with Scenario(make_system(), frontend=(point,)) as scenario:
        loaded = scenario.load(7)
        scenario.until_all_are_killed()
        assert (loaded.movement.change, loaded.slot.available) == (7, loaded.movement.on_hand)
        assert scenario.load(7) == loaded
        assert scenario.system.problems_of_books() == []


@pytest.mark.parametrize("point", [*commit("refunded"), *around("reply-refund")])
def test_fault_24_frontend_killed_while_a_drop_is_refunded(
    point: str, make_system: MakeSystem
) -> None:
    with Scenario(make_system(), frontend=(point,)) as scenario:
        bought = scenario.buy().drop
        refunded = scenario.refund(bought.name, 1)
        scenario.until_all_are_killed()
        assert refunded.refunded_credits == 1
        assert scenario.refund(bought.name, 1) == refunded
        assert scenario.alice.account().posted_credits == ALICE.credits - bought.price + 1
        assert scenario.system.problems_of_books() == []


@pytest.mark.parametrize(
    ("point", "bought"),
    [
        *dict.fromkeys(commit("reserved")[:2], False).items(),
        *dict.fromkeys(commit("reserved")[2:], True).items(),
        *dict.fromkeys(around("reply-session"), True).items(),
    ],
)
def test_fault_24_frontend_killed_under_a_session(
    point: str, bought: bool, make_system: MakeSystem
) -> None:
    """A line has no request_id: its drop is what was committed before its session ended."""
    with Scenario(make_system(), frontend=(point,)) as scenario:
        lines = ["USER alice", f"PASS {ALICE.password}", f"MACHINE {MACHINE}", "DROP 1", "QUIT"]
        with contextlib.suppress(OSError):
            list(session(scenario.system.session_port, lines))
        scenario.until_all_are_killed()
        placed = scenario.alice.call(scenario.alice.drops.ListDrops, drops.ListDropsRequest()).drops
        assert len(placed) == bought
        for drop in placed:
            scenario.until_state(drop.name, "DISPENSED")
            scenario.check_outcome(drop.name, DISPENSED)
        scenario.check_next()


@pytest.mark.parametrize("point", commit("resolved"))
def test_fault_24_operators_command_killed_while_it_decides(
    point: str, make_system: MakeSystem
) -> None:
    with Scenario(make_system(), agent=("after-write-board",)) as scenario:
        drop = scenario.buy().drop
        scenario.until_all_are_killed()
        name = drop.name.removeprefix("drops/")
        arguments = ("drops", "resolve", name, "--dispensed", "--why=the slot is one can short")
        command = scenario.system.administer(*arguments)
        command.kill_points = [point]
        command.start()
        command.wait_killed()
        if scenario.alice.get(drop.name).state == drops.Drop.STATE_UNKNOWN:
            command.run()
        else:
            with pytest.raises(ProcessFailedError):
                command.run()
        scenario.check(drop.name, Outcome("DISPENSED", "OPERATOR", 1))


def test_fault_27_frontend_is_killed_repeatedly_while_it_recovers(make_system: MakeSystem) -> None:
    kill_points = (
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
    with Scenario(make_system(), frontend=kill_points) as scenario:
        drop = scenario.buy().drop
        scenario.until_all_are_killed()
        assert scenario.killed_at == list(kill_points)
        scenario.check(drop.name, DISPENSED)
