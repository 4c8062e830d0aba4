"""What boards do wrong, through the real agent, and what the buyer is told and pays."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from drink.v1.drop_service_pb2 import Drop
from drink.v1.machine_service_pb2 import Machine
from scripts.plan import MachinePlan, SlotPlan
from scripts.processes import wait_until
from scripts.proxy import Way
from tests.fakes.ports import free_port
from tests.integration.house import COUPLE, PRICE, House, id_of, outcome, refused

RESPONSE_LIMIT_S = 1.0

PLAN = replace(
    COUPLE,
    machines=(
        MachinePlan(
            "d",
            "Big Drink",
            (
                SlotPlan(1, "Coke", PRICE, 60),
                SlotPlan(2, "Dew", PRICE, 60),
                SlotPlan(3, "Rare", PRICE, 1),
                SlotPlan(4, "Rarer", PRICE, 1),
                SlotPlan(5, "Gone", PRICE, 3),
            ),
        ),
        replace(COUPLE.machines[1], board_port=free_port()),
    ),
    response_limit_s=RESPONSE_LIMIT_S,
    # A stalled link has to outlast a command on a busy machine.
    frontend={"links": "heartbeat_interval_s = 60", "rpc": "keepalive_timeout_s = 60"},
    agent={"board": "probe_interval_s = 0.2", "log": 'level = "DEBUG"'},
)

LATE_S = 2.5
"""Seconds by which an answer is late, long after the limit."""

RESTARTED_WITHIN_S = 12.0
"""Seconds by which an answer is late that comes after a service was restarted."""


def drop(house: House, fault: str, seconds: float = 0.0, slot: int = 1) -> Drop:
    """A drop whose board does this."""
    house.boards["d"].fault(fault, slot=slot, seconds=seconds)
    return house.alice.drop(f"d/{slot}")


def assert_works(house: House) -> None:
    """The machine sells on."""
    house.wait_ready("d")
    assert outcome(house.alice.drop("d/1")) == ("DISPENSED", "BOARD_ACK")


def test_fault_40_a_silent_board_leaves_the_credits_held_until_somebody_looks(
    house: House,
) -> None:
    silent = drop(house, "silent")
    assert outcome(silent) == ("UNKNOWN", "BOARD_SILENT")
    assert house.alice.account().held_credits == PRICE
    assert_works(house)
    assert "DISPENSED OPERATOR" in house.resolve(silent)
    assert house.alice.account().held_credits == 0


def test_fault_40_the_last_can_of_a_silent_board_is_evidence_for_a_person(house: House) -> None:
    """A slot that is found empty and refused would look the same."""
    silent = drop(house, "silent", slot=3)
    assert outcome(silent) == ("UNKNOWN", "BOARD_SILENT")
    history = house.admin("drops", "show", id_of(silent))
    assert '"sensor_before": "STOCKED"' in history
    assert '"sensor_after": "EMPTY", "sensor_after_offset_ms": ' in history
    assert "DISPENSED OPERATOR" in house.resolve(silent)


def fill_again(house: House, machine: str = "d") -> None:
    """Somebody sees to a slot that was found empty; it has all its cans."""
    board = house.boards[machine]
    board.ask(do="refill", slot=1, cans=board.counts()["cans"]["1"])
    wait_until(lambda: house.root.slot(f"{machine}/1").available > 0, "the slot is open")


@pytest.mark.parametrize("machine", ["d", "ld"])
def test_fault_57_a_slot_found_empty_and_refused_late_costs_nothing(
    house: House, machine: str
) -> None:
    """Over a serial line, and by a board that dials in."""
    credits_, runs = house.alice.account().available_credits, house.runs(machine)
    house.boards[machine].fault("found_empty", slot=1, seconds=LATE_S)
    late = house.alice.drop(f"{machine}/1")
    assert outcome(late) == ("UNKNOWN", "BOARD_SILENT")
    assert house.alice.account().held_credits == PRICE
    settled = house.alice.settled(late.name)
    assert outcome(settled) == ("NOT_DISPENSED", "BOARD_REFUSED_LATE")
    assert house.alice.account().available_credits == credits_
    assert house.runs(machine) == runs
    fill_again(house, machine)


def test_fault_57_a_slot_found_empty_whose_refusal_is_lost_stays_unknown(house: House) -> None:
    lost = drop(house, "found_empty_silent")
    assert outcome(lost) == ("UNKNOWN", "BOARD_SILENT")
    fill_again(house)
    assert_works(house)
    assert outcome(house.alice.get(lost.name)) == ("UNKNOWN", "BOARD_SILENT")
    assert "NOT_DISPENSED OPERATOR" in house.resolve(lost, dispensed=False)


def test_fault_57_a_late_refusal_is_not_the_next_drops(house: House) -> None:
    """The next drop, of another slot, waits since before the board fell silent."""
    house.boards["d"].fault("found_empty", slot=1, seconds=LATE_S)
    late, following = house.alice.place("d/1"), house.alice.place("d/2")
    settled = house.alice.settled(late.name)
    assert outcome(settled) == ("NOT_DISPENSED", "BOARD_REFUSED_LATE")
    assert outcome(house.alice.settled(following.name)) == ("DISPENSED", "BOARD_ACK")
    fill_again(house)


def restart_agent(house: House) -> None:
    house.agents["d"].kill()
    house.agents["d"].start()


def restart_frontend(house: House) -> None:
    house.frontend.kill()
    house.start_frontend()


@pytest.mark.parametrize("restart", [restart_agent, restart_frontend])
def test_fault_59_a_refusal_after_a_restart_settles_its_drop(
    house: House, restart: Callable[[House], None]
) -> None:
    late = drop(house, "found_empty", RESTARTED_WITHIN_S)
    assert outcome(late) == ("UNKNOWN", "BOARD_SILENT")
    restart(house)
    settled = house.alice.settled(late.name)
    assert outcome(settled) == ("NOT_DISPENSED", "BOARD_REFUSED_LATE")
    house.wait_ready("d")
    fill_again(house)
    assert_works(house)


def test_fault_59_the_answer_of_a_board_that_dials_in_again_settles_its_drop(house: House) -> None:
    """Its connection broke while its motor ran; it answers over the next one."""
    board = house.boards["ld"]
    board.fault("slow", slot=1, seconds=2 * LATE_S)
    runs = house.runs("ld")
    late = house.alice.place("ld/1")
    house.wait_for_motor("ld", runs + 1)
    board.ask(do="disconnect", seconds=0.3)
    assert outcome(house.alice.settled(late.name)) == ("DISPENSED", "BOARD_ACK_LATE")


def test_fault_41_a_late_ack_during_the_next_drop_settles_the_right_one(house: House) -> None:
    """It waits since before the board fell silent: later ones find the board unreachable."""
    runs = house.runs("d")
    house.boards["d"].fault("late", slot=1, seconds=LATE_S)
    late, following = house.alice.place("d/1"), house.alice.place("d/2")
    assert outcome(house.alice.answered(late.name)) == ("UNKNOWN", "BOARD_SILENT")
    with refused("BOARD_UNREACHABLE"):
        house.alice.drop("d/2")
    assert outcome(house.alice.settled(late.name)) == ("DISPENSED", "BOARD_ACK_LATE")
    assert outcome(house.alice.settled(following.name)) == ("DISPENSED", "BOARD_ACK")
    assert house.runs("d") == runs + 2


def test_fault_42_a_doubled_ack_settles_one_drop(house: House) -> None:
    assert outcome(drop(house, "duplicate", 0.3)) == ("DISPENSED", "BOARD_ACK")
    assert outcome(drop(house, "slow", 0.6, slot=2)) == ("DISPENSED", "BOARD_ACK")
    wait_until(lambda: not house.boards["d"].counts()["motor_running"], "the motor stands")
    assert_works(house)


def test_fault_42_acks_and_statuses_that_nobody_asked_for_change_nothing(house: House) -> None:
    board = house.boards["d"]
    before = house.root.slot("d/1")
    board.ask(do="say", text="4\n5\n71 1\n4\n")
    assert outcome(drop(house, "refuse")) == ("NOT_DISPENSED", "BOARD_REFUSED")
    assert house.root.slot("d/1").available == before.available


def test_fault_43_garbage_around_the_ack_is_skipped(house: House) -> None:
    assert outcome(drop(house, "garbage")) == ("DISPENSED", "BOARD_ACK")


@pytest.mark.parametrize("cut", ["apart", "coalesced", "random"])
def test_fault_43_lines_may_arrive_in_any_pieces(house: House, cut: str) -> None:
    board = house.boards["d"]
    board.ask(do="cut", cut=cut)
    assert outcome(house.alice.drop("d/1")) == ("DISPENSED", "BOARD_ACK")
    board.ask(do="cut", cut="bytes")


def test_fault_44_a_refusal_costs_nothing(house: House) -> None:
    credits_ = house.alice.account().available_credits
    assert outcome(drop(house, "refuse")) == ("NOT_DISPENSED", "BOARD_REFUSED")
    assert house.alice.account().available_credits == credits_


def test_fault_44_a_board_that_refuses_after_the_can_fell_is_believed(house: House) -> None:
    assert outcome(drop(house, "refuse_after")) == ("NOT_DISPENSED", "BOARD_REFUSED")
    house.untruths.unpaid["d/1"] += 1


def test_fault_44_a_jam_that_the_board_does_not_notice_is_paid(house: House) -> None:
    assert outcome(drop(house, "jam")) == ("DISPENSED", "BOARD_ACK")
    house.untruths.undelivered["d/1"] += 1


@pytest.mark.parametrize(("fault", "fell"), [("power", True), ("power_before", False)])
def test_fault_45_a_board_that_restarts_in_mid_drop_cannot_tell(
    house: House, fault: str, fell: bool
) -> None:
    lost = drop(house, fault, 0.3)
    assert outcome(lost)[0] == "UNKNOWN"
    house.resolve(lost, dispensed=fell)
    assert_works(house)


def test_fault_46_a_plug_pulled_in_mid_drop_leaves_it_unknown(house: House) -> None:
    lost = drop(house, "disconnect", 0.5)
    assert outcome(lost) == ("UNKNOWN", "BOARD_LOST")
    assert outcome(house.alice.drop("ld/1")) == ("DISPENSED", "BOARD_ACK")
    assert_works(house)
    house.resolve(lost)


def test_fault_46_while_the_plug_is_out_nothing_is_sold(house: House) -> None:
    house.boards["d"].ask(do="disconnect", seconds=1.5)
    house.wait_reach(Machine.REACH_BOARD_DOWN, "d")
    with refused("BOARD_UNREACHABLE"):
        house.alice.drop("d/1")
    assert_works(house)


def test_fault_47_a_board_that_dials_in_is_lost_in_mid_drop_and_dials_again(house: House) -> None:
    house.boards["ld"].fault("disconnect", slot=1, seconds=0.3)
    lost = house.alice.drop("ld/1")
    assert outcome(lost) == ("UNKNOWN", "BOARD_LOST")
    house.wait_ready("ld")
    assert outcome(house.alice.drop("ld/1")) == ("DISPENSED", "BOARD_ACK")
    if outcome(house.alice.get(lost.name))[0] == "UNKNOWN":  # else it answered over the next one
        house.resolve(lost)


def test_fault_47_a_board_that_comes_back_while_its_old_connection_hangs_is_taken(
    house: House,
) -> None:
    """Its power failed in mid-drop: no word on the old connection, a login on a new one."""
    house.boards["ld"].fault("power", slot=1, seconds=0.3)
    lost = house.alice.drop("ld/1")
    assert outcome(lost)[0] == "UNKNOWN"
    house.wait_ready("ld")
    assert outcome(house.alice.drop("ld/1")) == ("DISPENSED", "BOARD_ACK")
    house.resolve(lost)


def test_fault_49_a_slot_that_its_sensor_calls_empty_sells_nothing(house: House) -> None:
    """The books say three. Somebody has taken them out."""
    board = house.boards["d"]
    board.ask(do="refill", slot=5, cans=0)
    wait_until(lambda: house.root.slot("d/5").available == 0, "the slot is closed")
    with refused("SLOT_EMPTY"):
        house.alice.drop("d/5")
    assert "SENSOR_CONTRADICTED" in house.admin("alarms")
    board.ask(do="refill", slot=5, cans=3)
    wait_until(lambda: house.root.slot("d/5").available == 3, "the slot is open")


def test_fault_58_a_slot_that_the_board_does_not_list_is_refused_and_shown(house: House) -> None:
    """Invariant 8: its command is not written, so its credits are free."""
    ghost = ("d", "9")
    house.admin("slot", "add", *ghost, "--item", "Ghost", "--price", "50", "--available", "3")
    runs = house.runs("d")
    assert outcome(house.alice.drop("d/9")) == ("NOT_DISPENSED", "BOARD_UNREACHABLE")
    assert house.alice.account().held_credits == 0
    assert "the board lists no slot 9, only 1, 2, 3, 4, 5" in house.admin("alarms")
    assert "not listed by the board" in house.admin("machine", "list")
    assert house.runs("d") == runs
    assert house.boards["d"].counts()["protocol_violations"] == 0
    assert_works(house)
    house.agents["d"].kill()
    house.agents["d"].start()
    wait_until(lambda: "SLOT_UNLISTED" in house.admin("alarms"), "it is raised with the next link")
    house.admin("slot", "change", *ghost, "--available", "0", "--disabled")
    house.wait_ready("d")


def test_fault_42_a_board_that_takes_its_answer_back_is_an_alarm(house: House) -> None:
    """Invariant 8: the first answer has settled the drop for good."""
    credits_ = house.alice.account().available_credits
    silent = drop(house, "silent")
    assert outcome(silent) == ("UNKNOWN", "BOARD_SILENT")
    house.boards["d"].ask(do="say", text="4\n5\n")
    assert outcome(house.alice.settled(silent.name)) == ("DISPENSED", "BOARD_ACK_LATE")
    claim = "NOT_DISPENSED/BOARD_REFUSED_LATE after DISPENSED/BOARD_ACK_LATE"
    wait_until(lambda: claim in house.admin("drops", "show", id_of(silent)), "it is kept")
    assert claim in house.admin("alarms")
    assert outcome(house.alice.get(silent.name)) == ("DISPENSED", "BOARD_ACK_LATE")
    assert house.alice.account().available_credits == credits_ - PRICE
    assert_works(house)


def test_fault_58_a_slot_that_a_board_without_a_new_connection_lacks_is_refused(
    house: House,
) -> None:
    """It has started again with one slot less; the serial line does not tell."""
    board = house.boards["d"]
    board.ask(do="say", text="71 1`2 1`3 1`4 1`5 1`6 1\n")
    house.wait_ready("d")
    added = ("d", "6")
    house.admin("slot", "add", *added, "--item", "Brief", "--price", "50", "--available", "3")
    assert_works(house)
    assert outcome(house.alice.drop("d/6")) == ("NOT_DISPENSED", "BOARD_UNREACHABLE")
    assert board.counts()["protocol_violations"] == 0
    house.admin("slot", "change", *added, "--available", "0", "--disabled")
    assert_works(house)


def test_a_board_that_tells_of_a_slot_above_the_highest_goes_on_selling(house: House) -> None:
    house.boards["d"].ask(do="say", text="71 1`2 1`3 0`4 1`5 1`100 1\n")
    assert_works(house)


@pytest.mark.parametrize("dispensed", [True, False])
def test_fault_53_evidence_that_comes_after_the_operator_decided_is_raised_only(
    house: House, dispensed: bool
) -> None:
    late = drop(house, "late", 2 * LATE_S)
    assert outcome(late) == ("UNKNOWN", "BOARD_SILENT")
    drop_id = id_of(late)
    agent = house.agents["d"]
    house.links.stall(Way.UP)
    agent.wait_for("drop_result", drop_id=drop_id, revision=2)
    house.resolve(late, dispensed=dispensed)
    house.links.flow()
    agent.wait_for("drop_acknowledged", drop_id=drop_id, revision=2)
    decided = "DISPENSED" if dispensed else "NOT_DISPENSED"
    assert outcome(house.alice.get(late.name)) == (decided, "OPERATOR")
    contradicted = f"DROP_CONTRADICTED  agent:d  {drop_id}" in house.admin("alarms")
    assert contradicted is not dispensed
    if not dispensed:
        house.untruths.unpaid["d/1"] += 1
