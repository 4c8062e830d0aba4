"""Network cut and healed: what happened meanwhile at the machine is known afterwards."""

from collections.abc import Callable
from dataclasses import replace

from drink.v1.drop_service_pb2 import Drop
from scripts.demo.house import ALICE
from tests.system.house import SQLITE, House, Profile


def test_fault_12_the_link_is_cut_while_the_motor_turns(house: House) -> None:
    alice = house.client(ALICE)
    agent = house.profile.agent("d")
    turning = house.turning(alice, "d/1")
    house.disconnect(agent)
    runs = house.boards["d"].counts()["motor_runs"]
    house.boards["d"].ask(do="wait", dispensed=runs, seconds=10)
    house.connect(agent)
    drop = alice.settled(turning.name)
    assert (drop.state, drop.cause) == (Drop.STATE_DISPENSED, Drop.CAUSE_BOARD_ACK)
    house.wait_ready("d")
    alice.close()


def test_a_machine_without_network_sells_nothing_and_holds_nobody_up(house: House) -> None:
    alice = house.client(ALICE)
    agent = house.profile.agent("d")
    house.disconnect(agent)
    assert alice.drop("ld/1").state == Drop.STATE_DISPENSED
    waiting = alice.place("d/1")
    house.connect(agent)
    assert alice.answered(waiting.name).state in (Drop.STATE_DISPENSED, Drop.STATE_NOT_DISPENSED)
    house.wait_ready("d")
    alice.close()


def test_fault_45_the_board_loses_power_while_the_motor_turns(house: House) -> None:
    alice = house.client(ALICE)
    turning = house.turning(alice, "d/1")
    house.docker("kill", "board-d")
    drop = alice.answered(turning.name)
    assert drop.state == Drop.STATE_UNKNOWN
    house.docker("start", "board-d")
    house.wait_ready("d")
    house.decide(drop, dispensed=False)
    assert alice.settled(drop.name).state == Drop.STATE_NOT_DISPENSED
    alice.close()


def test_fault_15_a_link_that_stalls_one_way_in_mid_drop(
    open_house: Callable[[Profile], House],
) -> None:
    with open_house(replace(SQLITE, names=("sqlite", "chaos"))) as house:
        house.variables["LINK_HOST"] = "chaos"
        house.up()
        alice = house.client(ALICE)
        turning = house.turning(alice, "d/1")
        assert house.chaos("stall up") == "ok"
        board = house.boards["d"]
        board.ask(do="wait", dispensed=board.counts()["motor_runs"], seconds=10)
        assert alice.get(turning.name).state == Drop.STATE_DISPATCHED
        assert house.chaos("cut") == "ok"
        drop = alice.settled(turning.name)
        assert (drop.state, drop.cause) == (Drop.STATE_DISPENSED, Drop.CAUSE_BOARD_ACK)
        alice.close()
        house.audit()
