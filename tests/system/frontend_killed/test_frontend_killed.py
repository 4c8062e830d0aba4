"""Frontend killed in mid-drop: the motor goes on turning, and the drop is answered afterwards."""

from drink.v1.drop_service_pb2 import Drop
from scripts.demo.plan import ALICE
from tests.system.compose_system import ComposeSystem


def test_fault_24_a_frontend_killed_while_the_motor_turns(system: ComposeSystem) -> None:
    alice = system.client(ALICE)
    frontend = system.profile.frontends[0]
    turning = system.turning(alice, "d/1")
    system.docker("kill", frontend)
    system.docker("start", frontend)
    drop = alice.settled(turning.name)
    assert (drop.state, drop.cause) == (Drop.STATE_DISPENSED, Drop.CAUSE_BOARD_ACK)
    # Whoever did not hear the answer asks again, and hears it.
    again = alice.drop("d/1", request_id=drop.request_id)
    assert (again.name, again.state) == (drop.name, drop.state)
    alice.close()


def test_fault_28_a_frontend_stopped_while_the_motor_turns_answers_first(
    system: ComposeSystem,
) -> None:
    alice = system.client(ALICE)
    system.boards["d"].fault("slow", slot=1, seconds=3)
    runs = system.boards["d"].counts()["motor_runs"]
    call = alice.start("d/1")
    system.boards["d"].wait_for_motor(runs + 1)
    system.docker("restart", system.profile.frontends[0])
    assert call.result().drop.state == Drop.STATE_DISPENSED
    alice.close()
