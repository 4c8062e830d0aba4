"""A drop that waits too long is given up, and a later report still counts."""

from dataclasses import replace

from drink.v1.machine_service_pb2 import Machine
from scripts.proxy import Way
from tests.integration.audited_system import COUPLE, PRICE, AuditedSystem, outcome

WAITING_LIMIT_S, SILENCE_LIMIT_S = 1.5, 2.0

PLAN = replace(
    COUPLE,
    frontend={
        "links": "heartbeat_interval_s = 1\ncommand_ttl_s = 1",
        "drops": (
            f"waiting_limit_s = {WAITING_LIMIT_S}\n"
            f"silence_limit_s = {SILENCE_LIMIT_S}\n"
            "look_interval_s = 0.1\n"
            "waiting_max = 5"
        ),
    },
)

TURNING_S = 5.0
"""Seconds that a motor runs to outlast the limits."""


def test_fault_52_while_a_machine_is_away_its_drops_are_given_up_or_held(
    system: AuditedSystem,
) -> None:
    runs = system.runs("d")
    system.boards["d"].fault("slow", slot=1, seconds=TURNING_S)
    turning, waiting = system.alice.place("d/1"), system.alice.place("d/2")
    delayed = system.alice.place("d/2", delay_s=1)
    system.wait_for_motor("d", runs + 1)
    system.links.refuse()
    system.links.cut()
    for drop in (waiting, delayed):
        assert outcome(system.alice.answered(drop.name)) == ("NOT_DISPENSED", "MACHINE_OFFLINE")
    assert outcome(system.alice.answered(turning.name)) == ("UNKNOWN", "AGENT_LOST")
    assert system.alice.account().held_credits == PRICE
    system.links.accept()
    assert outcome(system.alice.settled(turning.name)) == ("DISPENSED", "BOARD_ACK")
    assert system.runs("d") == runs + 1


def test_fault_52_a_drop_given_up_as_unknown_is_freed_when_its_command_never_arrived(
    system: AuditedSystem,
) -> None:
    runs, credits_ = system.runs("d"), system.alice.account().available_credits
    system.links.stall(Way.DOWN)
    drop = system.alice.place("d/1")
    assert outcome(system.alice.answered(drop.name)) == ("UNKNOWN", "AGENT_LOST")
    system.links.cut()
    assert outcome(system.alice.settled(drop.name)) == ("NOT_DISPENSED", "NOT_RECEIVED")
    assert system.runs("d") == runs
    assert system.alice.account().available_credits == credits_


def test_fault_16_a_command_that_waits_for_its_board_longer_than_its_ttl_is_not_started(
    system: AuditedSystem,
) -> None:
    """The board is gone when the command arrives, before the frontend is notified."""
    runs = system.runs("d")
    system.links.stall(Way.UP)
    system.boards["d"].ask(do="disconnect", seconds=2)
    drop = system.alice.place("d/1")
    system.links.flow()
    assert outcome(system.alice.answered(drop.name)) == ("NOT_DISPENSED", "BOARD_UNREACHABLE")
    system.wait_ready("d")
    assert system.runs("d") == runs


def test_a_machine_takes_only_so_many_waiting_drops(system: AuditedSystem) -> None:
    runs = system.runs("d")
    system.boards["d"].fault("slow", slot=1, seconds=1.9)
    calls = [system.alice.start("d/1") for _ in range(8)]
    system.wait_for_motor("d", runs + 1)
    failures = [call.exception() for call in calls]
    assert sum(failure is not None for failure in failures) == 3
    system.wait_reach(Machine.REACH_READY, "d")
