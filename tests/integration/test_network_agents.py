"""What the network does between agents and frontend, and what becomes of the drops meanwhile."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from drink.v1.drop_service_pb2 import Drop
from drink.v1.machine_service_pb2 import Machine
from scripts.processes import wait_until
from tests.fakes.proxy import Way
from tests.integration.house import COUPLE, House, outcome, refused

HEARTBEAT_S = 1
"""Seconds between heartbeats; after three without a word a link is lost."""

PLAN = replace(
    COUPLE,
    frontend={"links": f"heartbeat_interval_s = {HEARTBEAT_S}\ncommand_ttl_s = 1"},
    agent={"link": "backoff_slow_s = 0.5"},
)

SLOW_S = 0.6
"""Seconds that a motor runs where something is to happen meanwhile."""


@pytest.fixture
def house(house: House) -> House:
    """The house with all its links."""
    house.wait_ready("d", "ld")
    for process in (house.frontend, *house.agents.values()):
        process.mark()
    return house


def dispatched(house: House) -> Drop:
    """A drop whose command is on its way to the agent of d."""
    drop = house.alice.place("d/1")
    house.frontend.wait_for("drop_dispatched", drop_id=drop.name.removeprefix("drops/"))
    return drop


def turning(house: House) -> Drop:
    """A drop whose motor runs."""
    runs = house.runs("d")
    house.boards["d"].fault("slow", slot=1, seconds=SLOW_S)
    drop = house.alice.place("d/1")
    house.wait_for_motor("d", runs + 1)
    return drop


def assert_dispensed_once(house: House, drop: Drop, runs: int) -> None:
    assert outcome(house.alice.answered(drop.name)) == ("DISPENSED", "BOARD_ACK")
    assert house.runs("d") == runs + 1


def test_fault_9_an_agent_finds_its_frontend_again_after_many_refusals(house: House) -> None:
    house.links.refuse()
    house.links.cut()
    house.wait_reach(Machine.REACH_OFFLINE, "d", "ld")
    with refused("MACHINE_OFFLINE"):
        house.alice.drop("d/1")

    def tried() -> bool:
        lost = [each for each in house.agents["d"].events() if each["event"] == "link_lost"]
        return len(lost) >= 4

    wait_until(tried, "the agent of d has dialled in vain")
    house.links.accept()
    house.wait_ready("d", "ld")
    assert outcome(house.alice.drop("d/1"))[0] == "DISPENSED"


def test_fault_10_a_command_lost_on_its_way_is_sent_again(house: House) -> None:
    runs = house.runs("d")
    house.links.stall(Way.DOWN)
    drop = dispatched(house)
    house.links.cut()
    assert_dispensed_once(house, drop, runs)
    house.agents["d"].wait_for("drop_not_received", drop_id=drop.name.removeprefix("drops/"))


def test_fault_11_a_cut_after_the_command_arrived_does_not_repeat_it(house: House) -> None:
    runs = house.runs("d")
    house.links.stall(Way.UP)
    drop = dispatched(house)
    house.wait_for_motor("d", runs + 1)
    house.links.cut()
    assert_dispensed_once(house, drop, runs)


def test_fault_12_a_cut_before_the_result_delays_it(house: House) -> None:
    runs = house.runs("d")
    drop = turning(house)
    house.links.cut()
    assert_dispensed_once(house, drop, runs)


def test_fault_13_a_result_whose_acknowledgement_is_lost_counts_once(house: House) -> None:
    runs = house.runs("d")
    drop = turning(house)
    house.links.stall(Way.DOWN)
    assert_dispensed_once(house, drop, runs)
    house.links.cut()
    drop_id = drop.name.removeprefix("drops/")
    house.frontend.wait_for("drop_reported", drop_id=drop_id, verdict="REPEATED")
    house.agents["d"].wait_for("drop_acknowledged", drop_id=drop_id)


def test_fault_14_a_half_open_link_is_noticed_by_both_and_the_drop_is_sent_again(
    house: House,
) -> None:
    runs = house.runs("d")
    house.links.stall()
    drop = dispatched(house)
    house.frontend.wait_for("link_lost", machine="d")
    house.agents["d"].wait_for("link_lost", reason="SILENT")
    assert_dispensed_once(house, drop, runs)


@pytest.mark.parametrize(
    ("way", "who"),
    [
        (Way.UP, lambda house: house.frontend.wait_for("link_lost", machine="d")),
        (Way.DOWN, lambda house: house.agents["d"].wait_for("link_lost", reason="SILENT")),
    ],
)
def test_fault_15_a_link_stalled_in_one_direction_is_replaced(
    house: House, way: Way, who: Callable[[House], object]
) -> None:
    runs = house.runs("d")
    house.links.stall(way)
    drop = dispatched(house)
    who(house)
    assert_dispensed_once(house, drop, runs)


def test_fault_16_a_command_delayed_beyond_its_ttl_runs_at_most_once(house: House) -> None:
    runs = house.runs("d")
    house.links.delay(1.5, Way.DOWN)
    drop = dispatched(house)
    assert_dispensed_once(house, drop, runs)
    house.links.cut()


def test_fault_17_of_two_streams_of_one_agent_only_the_newer_gives_commands(house: House) -> None:
    runs = house.runs("d")
    first, second = turning(house), house.alice.place("d/2")
    house.links.cut(Way.DOWN)  # the agent is told, the frontend is not
    for drop in (first, second):
        assert outcome(house.alice.answered(drop.name)) == ("DISPENSED", "BOARD_ACK")
    assert house.runs("d") == runs + 2
    house.frontend.wait_for("link_closed", machine="d")
