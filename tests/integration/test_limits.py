"""What waits too long is given up, and what is told later still counts."""

from dataclasses import replace

from drink.v1.machine_service_pb2 import Machine
from scripts.proxy import Way
from tests.integration.house import COUPLE, PRICE, House, outcome

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


def test_fault_52_while_a_machine_is_away_its_drops_are_given_up_or_held(house: House) -> None:
    runs = house.runs("d")
    house.boards["d"].fault("slow", slot=1, seconds=TURNING_S)
    turning, waiting = house.alice.place("d/1"), house.alice.place("d/2")
    delayed = house.alice.place("d/2", delay_s=1)
    house.wait_for_motor("d", runs + 1)
    house.links.refuse()
    house.links.cut()
    for drop in (waiting, delayed):
        assert outcome(house.alice.answered(drop.name)) == ("NOT_DISPENSED", "MACHINE_OFFLINE")
    assert outcome(house.alice.answered(turning.name)) == ("UNKNOWN", "AGENT_LOST")
    assert house.alice.account().held_credits == PRICE
    house.links.accept()
    assert outcome(house.alice.settled(turning.name)) == ("DISPENSED", "BOARD_ACK")
    assert house.runs("d") == runs + 1


def test_fault_52_a_drop_given_up_as_unknown_is_freed_when_its_command_never_arrived(
    house: House,
) -> None:
    runs, credits_ = house.runs("d"), house.alice.account().available_credits
    house.links.stall(Way.DOWN)
    drop = house.alice.place("d/1")
    assert outcome(house.alice.answered(drop.name)) == ("UNKNOWN", "AGENT_LOST")
    house.links.cut()
    assert outcome(house.alice.settled(drop.name)) == ("NOT_DISPENSED", "NOT_RECEIVED")
    assert house.runs("d") == runs
    assert house.alice.account().available_credits == credits_


def test_fault_16_a_command_that_waits_for_its_board_longer_than_its_ttl_is_not_started(
    house: House,
) -> None:
    """The board is gone when the command arrives, before the frontend has heard of it."""
    runs = house.runs("d")
    house.links.stall(Way.UP)
    house.boards["d"].ask(do="disconnect", seconds=2)
    drop = house.alice.place("d/1")
    house.links.flow()
    assert outcome(house.alice.answered(drop.name)) == ("NOT_DISPENSED", "BOARD_UNREACHABLE")
    house.wait_ready("d")
    assert house.runs("d") == runs


def test_a_machine_takes_only_so_many_waiting_drops(house: House) -> None:
    runs = house.runs("d")
    house.boards["d"].fault("slow", slot=1, seconds=0.8)
    calls = [house.alice.start("d/1") for _ in range(8)]
    house.wait_for_motor("d", runs + 1)
    failures = [call.exception() for call in calls]
    assert sum(failure is not None for failure in failures) == 3
    house.wait_reach(Machine.REACH_READY, "d")
