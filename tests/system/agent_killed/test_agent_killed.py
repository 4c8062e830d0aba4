"""Agent killed in mid-drop: no second can, no guess; an operator decides."""

from drink.v1.drop_service_pb2 import Drop
from scripts.demo.house import ALICE
from tests.system.house import House


def test_fault_25_an_agent_killed_while_the_motor_turns(house: House) -> None:
    """The board's answer is lost; else it would settle the drop after the agent's start."""
    alice = house.client(ALICE)
    runs = house.boards["d"].counts()["motor_runs"]
    turning = house.turning(alice, "d/1", answers=False)
    agent = house.profile.agent("d")
    house.docker("kill", agent)
    house.docker("start", agent)
    drop = alice.answered(turning.name)
    assert (drop.state, drop.cause) == (Drop.STATE_UNKNOWN, Drop.CAUSE_AGENT_RESTARTED)
    assert alice.account().held_credits == drop.price
    house.decide(drop, dispensed=True)
    drop = alice.settled(drop.name)
    assert (drop.state, drop.cause) == (Drop.STATE_DISPENSED, Drop.CAUSE_OPERATOR)
    assert house.boards["d"].counts()["motor_runs"] == runs + 1
    house.wait_ready("d")
    alice.close()


def test_fault_28_an_agent_stopped_while_the_motor_turns_ends_the_drop_first(house: House) -> None:
    alice = house.client(ALICE)
    turning = house.turning(alice, "d/1")
    house.docker("restart", house.profile.agent("d"))
    drop = alice.answered(turning.name)
    assert (drop.state, drop.cause) == (Drop.STATE_DISPENSED, Drop.CAUSE_BOARD_ACK)
    house.wait_ready("d")
    alice.close()
