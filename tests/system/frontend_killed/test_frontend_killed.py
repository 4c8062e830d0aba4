"""Frontend killed in mid-drop: the motor goes on turning, and the drop is answered afterwards."""

from drink.v1.drop_service_pb2 import Drop
from scripts.demo.house import ALICE
from tests.system.house import House


def test_fault_24_a_frontend_killed_while_the_motor_turns(house: House) -> None:
    alice = house.client(ALICE)
    frontend = house.profile.frontends[0]
    turning = house.turning(alice, "d/1")
    house.docker("kill", frontend)
    house.docker("start", frontend)
    drop = alice.settled(turning.name)
    assert (drop.state, drop.cause) == (Drop.STATE_DISPENSED, Drop.CAUSE_BOARD_ACK)
    # Whoever did not hear the answer asks again, and hears it.
    again = alice.drop("d/1", request_id=drop.request_id)
    assert (again.name, again.state) == (drop.name, drop.state)
    alice.close()


def test_fault_28_a_frontend_stopped_while_the_motor_turns_answers_first(house: House) -> None:
    alice = house.client(ALICE)
    house.boards["d"].fault("slow", slot=1, seconds=3)
    runs = house.boards["d"].counts()["motor_runs"]
    call = alice.start("d/1")
    house.boards["d"].wait_for_motor(runs + 1)
    house.docker("restart", house.profile.frontends[0])
    assert call.result().drop.state == Drop.STATE_DISPENSED
    alice.close()
