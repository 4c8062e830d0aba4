"""Each state and cause of the domain has a drink.v1 value of the same name; selections of drops."""

from drink.v1 import drop_service_pb2
from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import ALL_DROPS, DropSelection
from drink_frontend.rpc import drop_conversion as conversion


def test_every_state_has_its_name() -> None:
    assert {drop_service_pb2.Drop.State.Name(wire) for wire in conversion.STATES.values()} == {
        f"STATE_{state}" for state in State
    }
    assert conversion.STATES.keys() == set(State)


def test_every_cause_of_the_wire_is_one_of_the_domain() -> None:
    names = {
        drop_service_pb2.Drop.Cause.Name(wire).removeprefix("CAUSE_"): cause
        for cause, wire in conversion.CAUSES.items()
    }
    assert names.pop("UNSPECIFIED") is Cause.NONE
    assert all(name == cause for name, cause in names.items())
    assert len(conversion.CAUSES) == len(drop_service_pb2.Drop.Cause.items()) == len(Cause)


def test_states_are_asked_for_once_each() -> None:
    unknown = drop_service_pb2.Drop.STATE_UNKNOWN
    request = drop_service_pb2.ListDropsRequest(states=[unknown, unknown])
    assert conversion.drop_selection(request, "ann") == DropSelection("ann", (State.UNKNOWN,))
    request = drop_service_pb2.ListDropsRequest()
    assert conversion.drop_selection(request, None) == ALL_DROPS
