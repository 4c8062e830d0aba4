"""Faults of boards, through the real agent: the buyer's answer and charge."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from drink.v1.drop_service_pb2 import Drop
from drink.v1.machine_service_pb2 import Machine
from scripts.plan import MachinePlan, SlotPlan
from scripts.processes import wait_until
from scripts.proxy import Way
from tests.integration.audited_system import COUPLE, PRICE, AuditedSystem, id_of, outcome, refused
from tests.support.ports import free_port

RESPONSE_LIMIT_S = 2.0

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

LATE_S = 5.0
"""Seconds by which an answer is late: what is so until then has to be seen."""

RESTARTED_WITHIN_S = 12.0
"""Seconds by which an answer is late that comes after a service was restarted."""


def drop(system: AuditedSystem, fault: str, seconds: float = 0.0, slot: int = 1) -> Drop:
    """A drop whose board does this."""
    system.boards["d"].fault(fault, slot=slot, seconds=seconds)
    return system.alice.drop(f"d/{slot}")


def assert_works(system: AuditedSystem) -> None:
    """The machine sells on."""
    system.wait_ready("d")
    assert outcome(system.alice.drop("d/1")) == ("DISPENSED", "BOARD_ACK")


def test_fault_40_a_silent_board_leaves_the_credits_held_until_somebody_looks(
    system: AuditedSystem,
) -> None:
    silent = drop(system, "silent")
    assert outcome(silent) == ("UNKNOWN", "BOARD_SILENT")
    assert system.alice.account().held_credits == PRICE
    assert_works(system)
    assert "DISPENSED OPERATOR" in system.resolve(silent)
    assert system.alice.account().held_credits == 0


def test_fault_40_the_last_can_of_a_silent_board_is_evidence_for_a_person(
    system: AuditedSystem,
) -> None:
    """A slot that is found empty and refused would look the same."""
    silent = drop(system, "silent", slot=3)
    assert outcome(silent) == ("UNKNOWN", "BOARD_SILENT")
    history = system.admin("drops", "show", id_of(silent))
    assert '"sensor_before": "STOCKED"' in history
    assert '"sensor_after": "EMPTY", "sensor_after_offset_ms": ' in history
    assert "DISPENSED OPERATOR" in system.resolve(silent)


def fill_again(system: AuditedSystem, machine: str = "d") -> None:
    """Refills a slot that was found empty; it has all its cans."""
    board = system.boards[machine]
    board.ask(do="refill", slot=1, cans=board.counts()["cans"]["1"])
    wait_until(lambda: system.root.slot(f"{machine}/1").available > 0, "the slot is open")


@pytest.mark.parametrize("machine", ["d", "ld"])
def test_fault_57_a_slot_found_empty_and_refused_late_costs_nothing(
    system: AuditedSystem, machine: str
) -> None:
    """Over a serial line, and by a board that dials in."""
    credits_, runs = system.alice.account().available_credits, system.runs(machine)
    system.boards[machine].fault("found_empty", slot=1, seconds=LATE_S)
    late = system.alice.drop(f"{machine}/1")
    assert outcome(late) == ("UNKNOWN", "BOARD_SILENT")
    assert system.alice.account().held_credits == PRICE
    settled = system.alice.settled(late.name)
    assert outcome(settled) == ("NOT_DISPENSED", "BOARD_REFUSED_LATE")
    assert system.alice.account().available_credits == credits_
    assert system.runs(machine) == runs
    fill_again(system, machine)


def test_fault_57_a_slot_found_empty_whose_refusal_is_lost_stays_unknown(
    system: AuditedSystem,
) -> None:
    lost = drop(system, "found_empty_silent")
    assert outcome(lost) == ("UNKNOWN", "BOARD_SILENT")
    fill_again(system)
    assert_works(system)
    assert outcome(system.alice.get(lost.name)) == ("UNKNOWN", "BOARD_SILENT")
    assert "NOT_DISPENSED OPERATOR" in system.resolve(lost, dispensed=False)


def test_fault_57_a_late_refusal_is_not_the_next_drops(system: AuditedSystem) -> None:
    """The next drop, of another slot, waits since before the board fell silent."""
    system.boards["d"].fault("found_empty", slot=1, seconds=LATE_S)
    late, following = system.alice.place("d/1"), system.alice.place("d/2")
    settled = system.alice.settled(late.name)
    assert outcome(settled) == ("NOT_DISPENSED", "BOARD_REFUSED_LATE")
    assert outcome(system.alice.settled(following.name)) == ("DISPENSED", "BOARD_ACK")
    fill_again(system)


def restart_agent(system: AuditedSystem) -> None:
    system.agents["d"].kill()
    system.agents["d"].start()


def restart_frontend(system: AuditedSystem) -> None:
    system.frontend.kill()
    system.start_frontend()


@pytest.mark.parametrize("restart", [restart_agent, restart_frontend])
def test_fault_59_a_refusal_after_a_restart_settles_its_drop(
    system: AuditedSystem, restart: Callable[[AuditedSystem], None]
) -> None:
    late = drop(system, "found_empty", RESTARTED_WITHIN_S)
    assert outcome(late) == ("UNKNOWN", "BOARD_SILENT")
    restart(system)
    settled = system.alice.settled(late.name)
    assert outcome(settled) == ("NOT_DISPENSED", "BOARD_REFUSED_LATE")
    system.wait_ready("d")
    fill_again(system)
    assert_works(system)


def test_fault_59_the_answer_of_a_board_that_dials_in_again_settles_its_drop(
    system: AuditedSystem,
) -> None:
    """Its connection broke while its motor ran; it answers over the next one."""
    board = system.boards["ld"]
    board.fault("slow", slot=1, seconds=LATE_S)
    runs = system.runs("ld")
    late = system.alice.place("ld/1")
    system.wait_for_motor("ld", runs + 1)
    board.ask(do="disconnect", seconds=0.3)
    assert outcome(system.alice.settled(late.name)) == ("DISPENSED", "BOARD_ACK_LATE")


def test_fault_41_a_late_ack_during_the_next_drop_settles_the_right_one(
    system: AuditedSystem,
) -> None:
    """It waits since before the board fell silent: later ones find the board unreachable."""
    runs = system.runs("d")
    system.boards["d"].fault("late", slot=1, seconds=LATE_S)
    late, following = system.alice.place("d/1"), system.alice.place("d/2")
    assert outcome(system.alice.answered(late.name)) == ("UNKNOWN", "BOARD_SILENT")
    with refused("BOARD_UNREACHABLE"):
        system.alice.drop("d/2")
    assert outcome(system.alice.settled(late.name)) == ("DISPENSED", "BOARD_ACK_LATE")
    assert outcome(system.alice.settled(following.name)) == ("DISPENSED", "BOARD_ACK")
    assert system.runs("d") == runs + 2


def test_fault_42_a_doubled_ack_settles_one_drop(system: AuditedSystem) -> None:
    assert outcome(drop(system, "duplicate", 0.3)) == ("DISPENSED", "BOARD_ACK")
    assert outcome(drop(system, "slow", 0.6, slot=2)) == ("DISPENSED", "BOARD_ACK")
    wait_until(lambda: not system.boards["d"].counts()["motor_running"], "the motor stands")
    assert_works(system)


def test_fault_42_acks_and_statuses_that_nobody_asked_for_change_nothing(
    system: AuditedSystem,
) -> None:
    board = system.boards["d"]
    before = system.root.slot("d/1")
    board.ask(do="say", text="4\n5\n71 1\n4\n")
    assert outcome(drop(system, "refuse")) == ("NOT_DISPENSED", "BOARD_REFUSED")
    assert system.root.slot("d/1").available == before.available


def test_fault_43_garbage_around_the_ack_is_skipped(system: AuditedSystem) -> None:
    assert outcome(drop(system, "garbage")) == ("DISPENSED", "BOARD_ACK")


@pytest.mark.parametrize("cut", ["apart", "coalesced", "random"])
def test_fault_43_lines_may_arrive_in_any_pieces(system: AuditedSystem, cut: str) -> None:
    board = system.boards["d"]
    board.ask(do="cut", cut=cut)
    assert outcome(system.alice.drop("d/1")) == ("DISPENSED", "BOARD_ACK")
    board.ask(do="cut", cut="bytes")


def test_fault_44_a_refusal_costs_nothing(system: AuditedSystem) -> None:
    credits_ = system.alice.account().available_credits
    assert outcome(drop(system, "refuse")) == ("NOT_DISPENSED", "BOARD_REFUSED")
    assert system.alice.account().available_credits == credits_


def test_fault_44_a_board_that_refuses_after_the_can_fell_is_believed(
    system: AuditedSystem,
) -> None:
    assert outcome(drop(system, "refuse_after")) == ("NOT_DISPENSED", "BOARD_REFUSED")
    system.untruths.unpaid["d/1"] += 1


def test_fault_44_a_jam_that_the_board_does_not_notice_is_paid(system: AuditedSystem) -> None:
    assert outcome(drop(system, "jam")) == ("DISPENSED", "BOARD_ACK")
    system.untruths.undelivered["d/1"] += 1


@pytest.mark.parametrize(("fault", "fell"), [("power", True), ("power_before", False)])
def test_fault_45_a_board_that_restarts_in_mid_drop_cannot_tell(
    system: AuditedSystem, fault: str, fell: bool
) -> None:
    lost = drop(system, fault, 0.3)
    assert outcome(lost)[0] == "UNKNOWN"
    system.resolve(lost, dispensed=fell)
    assert_works(system)


def test_fault_46_a_plug_pulled_in_mid_drop_leaves_it_unknown(system: AuditedSystem) -> None:
    lost = drop(system, "disconnect", 0.5)
    assert outcome(lost) == ("UNKNOWN", "BOARD_LOST")
    assert outcome(system.alice.drop("ld/1")) == ("DISPENSED", "BOARD_ACK")
    assert_works(system)
    system.resolve(lost)


def test_fault_46_while_the_plug_is_out_nothing_is_sold(system: AuditedSystem) -> None:
    system.boards["d"].ask(do="disconnect", seconds=LATE_S)
    system.wait_reach(Machine.REACH_BOARD_DOWN, "d")
    with refused("BOARD_UNREACHABLE"):
        system.alice.drop("d/1")
    assert_works(system)


def test_fault_47_a_board_that_dials_in_is_lost_in_mid_drop_and_dials_again(
    system: AuditedSystem,
) -> None:
    system.boards["ld"].fault("disconnect", slot=1, seconds=0.3)
    lost = system.alice.drop("ld/1")
    assert outcome(lost) == ("UNKNOWN", "BOARD_LOST")
    system.wait_ready("ld")
    assert outcome(system.alice.drop("ld/1")) == ("DISPENSED", "BOARD_ACK")
    if outcome(system.alice.get(lost.name))[0] == "UNKNOWN":  # else it answered over the next one
        system.resolve(lost)


def test_fault_47_a_board_that_comes_back_while_its_old_connection_hangs_is_taken(
    system: AuditedSystem,
) -> None:
    """Its power failed in mid-drop: no word on the old connection, a login on a new one."""
    system.boards["ld"].fault("power", slot=1, seconds=0.3)
    lost = system.alice.drop("ld/1")
    assert outcome(lost)[0] == "UNKNOWN"
    system.wait_ready("ld")
    assert outcome(system.alice.drop("ld/1")) == ("DISPENSED", "BOARD_ACK")
    system.resolve(lost)


def test_fault_49_a_slot_that_its_sensor_calls_empty_sells_nothing(system: AuditedSystem) -> None:
    """The books have three cans on hand, and they were taken out."""
    board = system.boards["d"]
    board.ask(do="refill", slot=5, cans=0)
    wait_until(lambda: system.root.slot("d/5").available == 0, "the slot is closed")
    with refused("SLOT_EMPTY"):
        system.alice.drop("d/5")
    assert "SENSOR_CONTRADICTED" in system.admin("alarms")
    board.ask(do="refill", slot=5, cans=3)
    wait_until(lambda: system.root.slot("d/5").available == 3, "the slot is open")


def test_fault_58_a_slot_that_the_board_does_not_list_is_refused_and_shown(
    system: AuditedSystem,
) -> None:
    """Invariant 8: its command is not written, so its credits are free."""
    ghost = ("d", "9")
    system.admin("slot", "add", *ghost, "--item", "Ghost", "--price", "50", "--available", "3")
    runs = system.runs("d")
    assert outcome(system.alice.drop("d/9")) == ("NOT_DISPENSED", "BOARD_UNREACHABLE")
    assert system.alice.account().held_credits == 0
    assert "the board lists no slot 9, only 1, 2, 3, 4, 5" in system.admin("alarms")
    assert "not listed by the board" in system.admin("machine", "list")
    assert system.runs("d") == runs
    assert system.boards["d"].counts()["protocol_violations"] == 0
    assert_works(system)
    system.agents["d"].kill()
    system.agents["d"].start()
    wait_until(lambda: "SLOT_UNLISTED" in system.admin("alarms"), "it is raised with the next link")
    system.admin("slot", "change", *ghost, "--available", "0", "--disabled")
    system.wait_ready("d")


def test_fault_42_a_board_that_takes_its_answer_back_is_an_alarm(system: AuditedSystem) -> None:
    """Invariant 8: the first answer has settled the drop for good."""
    credits_ = system.alice.account().available_credits
    silent = drop(system, "silent")
    assert outcome(silent) == ("UNKNOWN", "BOARD_SILENT")
    system.boards["d"].ask(do="say", text="4\n5\n")
    assert outcome(system.alice.settled(silent.name)) == ("DISPENSED", "BOARD_ACK_LATE")
    claim = "NOT_DISPENSED/BOARD_REFUSED_LATE after DISPENSED/BOARD_ACK_LATE"
    wait_until(lambda: claim in system.admin("drops", "show", id_of(silent)), "it is kept")
    assert claim in system.admin("alarms")
    assert outcome(system.alice.get(silent.name)) == ("DISPENSED", "BOARD_ACK_LATE")
    assert system.alice.account().available_credits == credits_ - PRICE
    assert_works(system)


def test_fault_58_a_slot_that_a_board_without_a_new_connection_lacks_is_refused(
    system: AuditedSystem,
) -> None:
    """It has started again with one slot less; the serial line does not tell."""
    board = system.boards["d"]
    board.ask(do="say", text="71 1`2 1`3 1`4 1`5 1`6 1\n")
    system.wait_ready("d")
    added = ("d", "6")
    system.admin("slot", "add", *added, "--item", "Brief", "--price", "50", "--available", "3")
    assert_works(system)
    assert outcome(system.alice.drop("d/6")) == ("NOT_DISPENSED", "BOARD_UNREACHABLE")
    assert board.counts()["protocol_violations"] == 0
    system.admin("slot", "change", *added, "--available", "0", "--disabled")
    assert_works(system)


def test_a_board_that_tells_of_a_slot_above_the_highest_goes_on_selling(
    system: AuditedSystem,
) -> None:
    system.boards["d"].ask(do="say", text="71 1`2 1`3 0`4 1`5 1`100 1\n")
    assert_works(system)


@pytest.mark.parametrize("dispensed", [True, False])
def test_fault_53_evidence_that_comes_after_the_operator_decided_is_raised_only(
    system: AuditedSystem, dispensed: bool
) -> None:
    late = drop(system, "silent")
    assert outcome(late) == ("UNKNOWN", "BOARD_SILENT")
    drop_id = id_of(late)
    agent = system.agents["d"]
    # A frontend that hears nothing for long ends the link, and a new one would carry the answer.
    system.links.refuse()
    system.links.stall(Way.UP)
    system.boards["d"].ask(do="say", text="4\n")
    agent.wait_for("drop_result", drop_id=drop_id, revision=2)
    system.resolve(late, dispensed=dispensed)
    system.links.accept()
    system.links.flow()
    agent.wait_for("drop_acknowledged", drop_id=drop_id, revision=2)
    decided = "DISPENSED" if dispensed else "NOT_DISPENSED"
    assert outcome(system.alice.get(late.name)) == (decided, "OPERATOR")
    contradicted = f"DROP_CONTRADICTED  drops/{drop_id}" in system.admin("alarms")
    assert contradicted is not dispensed
    if not dispensed:
        system.untruths.unpaid["d/1"] += 1
