"""Network cut and healed: what happened meanwhile at the machine is known afterwards."""

from collections.abc import Callable
from dataclasses import replace

from drink.v1.drop_service_pb2 import Drop
from scripts.demo.plan import ALICE
from tests.system.compose_system import SQLITE, ComposeSystem, Profile, on_one_engine


@on_one_engine
def test_fault_12_the_link_is_cut_while_the_motor_turns(system: ComposeSystem) -> None:
    alice = system.client(ALICE)
    agent = system.profile.agent("d")
    turning = system.turning(alice, "d/1")
    system.disconnect(agent)
    runs = system.boards["d"].counts()["motor_runs"]
    system.boards["d"].ask(do="wait", dispensed=runs, seconds=10)
    system.connect(agent)
    drop = alice.settled(turning.name)
    assert (drop.state, drop.cause) == (Drop.STATE_DISPENSED, Drop.CAUSE_BOARD_ACK)
    system.wait_ready("d")
    alice.close()


@on_one_engine
def test_a_machine_without_network_sells_nothing_and_holds_nobody_up(system: ComposeSystem) -> None:
    alice = system.client(ALICE)
    agent = system.profile.agent("d")
    system.disconnect(agent)
    assert alice.drop("ld/1").state == Drop.STATE_DISPENSED
    waiting = alice.place("d/1")
    system.connect(agent)
    assert alice.answered(waiting.name).state in (Drop.STATE_DISPENSED, Drop.STATE_NOT_DISPENSED)
    system.wait_ready("d")
    alice.close()


@on_one_engine
def test_fault_45_the_board_loses_power_while_the_motor_turns(system: ComposeSystem) -> None:
    alice = system.client(ALICE)
    turning = system.turning(alice, "d/1")
    system.docker("kill", "board-d")
    drop = alice.answered(turning.name)
    assert drop.state == Drop.STATE_UNKNOWN
    system.docker("start", "board-d")
    system.wait_ready("d")
    system.decide(drop, dispensed=False)
    assert alice.settled(drop.name).state == Drop.STATE_NOT_DISPENSED
    alice.close()


def test_fault_15_a_link_that_stalls_one_way_in_mid_drop(
    open_system: Callable[[Profile], ComposeSystem],
) -> None:
    with open_system(replace(SQLITE, names=("sqlite", "chaos"))) as system:
        system.variables["LINK_HOST"] = "chaos"
        system.up()
        alice = system.client(ALICE)
        turning = system.turning(alice, "d/1")
        assert system.chaos("stall up") == "ok"
        board = system.boards["d"]
        board.ask(do="wait", dispensed=board.counts()["motor_runs"], seconds=10)
        assert alice.get(turning.name).state == Drop.STATE_DISPATCHED
        assert system.chaos("cut") == "ok"
        drop = alice.settled(turning.name)
        assert (drop.state, drop.cause) == (Drop.STATE_DISPENSED, Drop.CAUSE_BOARD_ACK)
        alice.close()
        system.audit()
