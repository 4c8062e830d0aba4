"""Agent killed in mid-drop: no second can, no guess; an operator decides."""

from drink.v1.drop_service_pb2 import Drop
from scripts.demo.plan import ALICE
from tests.system.compose_system import ComposeSystem, on_one_engine


@on_one_engine
def test_fault_25_an_agent_killed_while_the_motor_turns(system: ComposeSystem) -> None:
    """The board's answer is lost; else it would settle the drop after the agent's start."""
    alice = system.client(ALICE)
    runs = system.boards["d"].counts()["motor_runs"]
    turning = system.turning(alice, "d/1", answers=False)
    agent = system.profile.agent("d")
    system.docker("kill", agent)
    system.docker("start", agent)
    drop = alice.answered(turning.name)
    assert (drop.state, drop.cause) == (Drop.STATE_UNKNOWN, Drop.CAUSE_AGENT_RESTARTED)
    assert alice.account().held_credits == drop.price
    system.decide(drop, dispensed=True)
    drop = alice.settled(drop.name)
    assert (drop.state, drop.cause) == (Drop.STATE_DISPENSED, Drop.CAUSE_OPERATOR)
    assert system.boards["d"].counts()["motor_runs"] == runs + 1
    system.wait_ready("d")
    alice.close()


@on_one_engine
def test_fault_28_an_agent_stopped_while_the_motor_turns_ends_the_drop_first(
    system: ComposeSystem,
) -> None:
    alice = system.client(ALICE)
    turning = system.turning(alice, "d/1")
    system.docker("restart", system.profile.agent("d"))
    drop = alice.answered(turning.name)
    assert (drop.state, drop.cause) == (Drop.STATE_DISPENSED, Drop.CAUSE_BOARD_ACK)
    system.wait_ready("d")
    alice.close()
