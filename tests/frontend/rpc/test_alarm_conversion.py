"""Alarms as messages."""

from drink.v1 import alarm_service_pb2 as pb
from drink_frontend.domain.alarms import Alarm, AlarmKind, AlarmState
from drink_frontend.rpc.alarm_conversion import STATES, alarm_message, alarm_name, parse_alarm


def test_every_state_has_a_value_of_its_own() -> None:
    assert STATES.keys() == set(AlarmState)
    assert sorted(STATES.values()) == sorted(pb.Alarm.State.values())[1:]


def test_a_name_is_read_as_it_was_written() -> None:
    assert parse_alarm(alarm_name(12), "name") == 12


def test_an_alarm_that_nobody_examined_has_no_times_of_that() -> None:
    message = alarm_message(
        Alarm(AlarmKind.TWO_AGENTS, "machines/d", "d", 1_500, 2_000, 2, {"n": [1]}, sequence=3)
    )
    assert (message.name, message.machine, message.create_time.nanos) == (
        "alarms/3",
        "machines/d",
        500_000_000,
    )
    assert not message.HasField("acknowledge_time")
    assert not message.HasField("close_time")
    assert list(message.facts.get_or_create_list("n")) == [1]
