"""The wire knows every value of the domain, under its own name."""

import pytest

from drink.v1 import drop_service_pb2, machine_service_pb2
from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import Machine, Reach
from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.stock import Sensor
from drink_frontend.rpc import convert


def test_every_state_has_its_name() -> None:
    assert {drop_service_pb2.Drop.State.Name(wire) for wire in convert.STATES.values()} == {
        f"STATE_{state}" for state in State
    }
    assert convert.STATES.keys() == set(State)


def test_every_cause_of_the_wire_is_one_of_the_domain() -> None:
    names = {
        drop_service_pb2.Drop.Cause.Name(wire).removeprefix("CAUSE_"): cause
        for cause, wire in convert.CAUSES.items()
    }
    assert names.pop("UNSPECIFIED") is Cause.NONE
    assert all(name == cause for name, cause in names.items())
    assert len(convert.CAUSES) == len(drop_service_pb2.Drop.Cause.items()) == len(Cause)


def test_every_sensor_reading_has_its_name() -> None:
    assert {
        machine_service_pb2.Slot.Sensor.Name(wire): sensor
        for sensor, wire in convert.SENSORS.items()
    } == {f"SENSOR_{sensor}": sensor for sensor in Sensor}


@pytest.mark.parametrize("reach", Reach)
def test_every_reach_has_its_name(reach: Reach) -> None:
    machine = Machine("d", "D", "", True, 1, None, 0, None, reach)
    wire = convert.machine_message(machine).reach
    assert machine_service_pb2.Machine.Reach.Name(wire) == f"REACH_{reach}"


@pytest.mark.parametrize(
    ("asked", "given"), [(0, 50), (1, 1), (1_000, 1_000), (1_001, 1_000), (2**31 - 1, 1_000)]
)
def test_a_page_has_at_most_a_thousand_rows(asked: int, given: int) -> None:
    assert convert.page_limit(asked) == given


def test_a_page_cannot_be_negative() -> None:
    with pytest.raises(FieldInvalidError):
        convert.page_limit(-1)


def test_states_are_asked_for_once_each() -> None:
    unknown = drop_service_pb2.Drop.STATE_UNKNOWN
    assert convert.drop_states([unknown, unknown]) == [State.UNKNOWN]
    assert convert.drop_states([]) == []
