import contextlib
import os
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink.v1 import machine_link_service_pb2 as pb
from drink.v1.drop_service_pb2 import Drop
from drink.v1.machine_link_service_pb2 import ConnectResponse, Dispense, ResultAck
from drink.v1.machine_service_pb2 import Slot
from drink_agent.domain.events import Ack, BoardStatus, Command, LinkUp
from drink_agent.domain.evidence import Cause, Direction, Evidence, Line, Sensor
from drink_agent.domain.records import Result
from drink_agent.domain.traces import DropTrace
from drink_agent.link import convert
from drink_agent.link.convert import AgentStats, LinkViolationError, link_events
from tests.support import programs

EVIDENCE = Evidence(
    (Line(Direction.SENT, 0, "31"), Line(Direction.RECEIVED, 3501, "4")),
    Sensor.STOCKED,
    Sensor.EMPTY,
    "a contradiction",
    sensor_before_ms=-4000,
)


@pytest.mark.parametrize("slot", [100, 1_000_000])
def test_a_slot_above_the_highest_is_refused_by_the_board_and_does_not_end_the_link(
    slot: int,
) -> None:
    """A newer frontend may have more slots; its drop would be dispatched on each link again."""
    dispense = ConnectResponse(dispense=Dispense(drop="drops/a", epoch=3, slot=slot, ttl_ms=9))
    assert link_events(dispense, 500) == [Command("a", slot, 3, 9, 500)]


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (
            ConnectResponse(
                welcome=pb.Welcome(epoch=3, wanted_drops=["drops/a"], heartbeat_interval_seconds=10)
            ),
            LinkUp(3, ("a",)),
        ),
        (
            ConnectResponse(dispense=Dispense(drop="drops/a", epoch=3, slot=2, ttl_ms=9)),
            Command("a", 2, 3, 9, 500),
        ),
        (ConnectResponse(result_ack=ResultAck(drop="drops/a", revision=2)), Ack("a", 2)),
    ],
)
def test_a_message_is_converted(response: ConnectResponse, expected: object) -> None:
    assert link_events(response, 500) == [expected]
    along = [ResultAck(drop="drops/x", revision=1), ResultAck(drop="drops/y", revision=3)]
    response.result_acks.extend(along)
    assert link_events(response, 500) == [Ack("x", 1), Ack("y", 3), expected]


@pytest.mark.parametrize(
    "response",
    [
        ConnectResponse(heartbeat=pb.Heartbeat(sequence=4)),
        ConnectResponse(goodbye=pb.Goodbye(reason=pb.Goodbye.REASON_SUPERSEDED)),
        ConnectResponse(),
    ],
)
def test_what_is_no_event_may_bring_acknowledgements(response: ConnectResponse) -> None:
    assert link_events(response, 500) == []
    response.result_acks.add(drop="drops/x", revision=1)
    assert link_events(response, 500) == [Ack("x", 1)]


def test_fault_22_a_message_of_a_newer_version_is_treated_as_a_heartbeat() -> None:
    newer = ConnectResponse.FromString(b"\xfa\x01\x02hi")
    assert link_events(newer, 500) == []


@given(st.binary(max_size=64))
def test_any_bytes_are_converted_or_a_violation(data: bytes) -> None:
    try:
        response = ConnectResponse.FromString(data)
    except Exception:  # protobuf's own, not ours
        return
    with contextlib.suppress(LinkViolationError):
        link_events(response, 500)


@pytest.mark.parametrize("name", ["", "a", "drops/", "drops/a/b", "drops/" + "a" * 64, "drops/-a"])
def test_an_invalid_drop_name_is_a_violation(name: str) -> None:
    with pytest.raises(LinkViolationError):
        link_events(ConnectResponse(result_ack=ResultAck(drop=name, revision=1)), 500)
    with pytest.raises(LinkViolationError):
        link_events(ConnectResponse(result_acks=[ResultAck(drop=name, revision=1)]), 500)


@pytest.mark.parametrize("cause", Cause)
def test_a_result_is_reported_with_all_its_fields(cause: Cause) -> None:
    message = convert.result(9, Result("a", 2, cause, EVIDENCE)).result
    assert (message.drop, message.revision, message.journal_sequence) == ("drops/a", 2, 9)
    assert Drop.State.Name(message.outcome) == f"STATE_{cause.outcome}"
    assert Drop.Cause.Name(message.cause) == f"CAUSE_{cause}"
    lines = message.evidence.lines
    assert [(line.direction, line.offset_ms, line.text) for line in lines] == [
        (1, 0, "31"),
        (2, 3501, "4"),
    ]
    assert Slot.Sensor.Name(message.evidence.sensor_before) == "SENSOR_STOCKED"
    assert Slot.Sensor.Name(message.evidence.sensor_after) == "SENSOR_EMPTY"
    assert message.evidence.contradiction == "a contradiction"
    assert message.evidence.sensor_before_offset_ms == -4000
    assert not message.evidence.HasField("sensor_after_offset_ms")


TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        (TRACEPARENT, TRACEPARENT),
        ("", ""),
        ("junk", ""),
        (TRACEPARENT + "\n", ""),
        (TRACEPARENT.upper(), ""),
        ("x" * 100_000, ""),
    ],
)
def test_a_traceparent_is_taken_or_left_and_the_command_stays(header: str, taken: str) -> None:
    dispense = Dispense(drop="drops/a", epoch=3, slot=2, ttl_ms=9, traceparent=header)
    expected = Command("a", 2, 3, 9, 500, taken)
    assert link_events(ConnectResponse(dispense=dispense), 500) == [expected]


def test_a_traced_result_tells_where_the_time_went() -> None:
    trace = DropTrace(TRACEPARENT, 100.0, 100.012, 104.0, 3_900, 104.02, 104.03)
    message = convert.result(9, Result("a", 1, Cause.BOARD_ACK, EVIDENCE), trace).result
    assert message.traceparent == TRACEPARENT
    assert message.timings == pb.Timings(
        commanded_ms=12, answered_ms=4_000, motor_ms=3_900, recorded_ms=4_020, sent_ms=4_030
    )
    refused = DropTrace(TRACEPARENT, 100.0, recorded_at=100.001, sent_at=100.002)
    message = convert.result(9, Result("a", 1, Cause.EXPIRED, EVIDENCE), refused).result
    assert message.timings == pb.Timings(recorded_ms=1, sent_ms=2)
    assert not message.timings.HasField("commanded_ms")
    message = convert.result(9, Result("a", 1, Cause.EXPIRED, EVIDENCE)).result
    assert message.traceparent == ""
    assert not message.HasField("timings")


def test_without_a_thermometer_no_temperature_is_sent() -> None:
    status = BoardStatus(ready=True, sensors={2: Sensor.EMPTY, 1: Sensor.STOCKED})
    message = convert.board_status(status).board_status
    assert not message.HasField("temperature_celsius")
    assert [slot.slot for slot in message.slots] == [1, 2]
    assert convert.board_status(BoardStatus(True, {}, 0.0)).board_status.HasField(
        "temperature_celsius"
    )


def test_the_version_of_the_board_is_sent() -> None:
    for version in ("", "1.2"):
        status = BoardStatus(ready=True, firmware_version=version)
        assert convert.board_status(status).board_status.firmware_version == version


def test_counters_are_sent_as_they_are() -> None:
    stats = AgentStats(61, 1, 2, 3, 4, (5, 6), 7.5, 8, 9, 10, 11)
    assert convert.agent_stats(stats).agent_stats == pb.AgentStats(
        uptime_seconds=61,
        links_lost=1,
        board_losses=2,
        board_connects=3,
        board_timeouts=4,
        motor_times=pb.AgentStats.MotorTimes(counts=[5, 6], sum_seconds=7.5),
        journal_bytes=8,
        disk_free_bytes=9,
        disk_bytes=10,
        memory_bytes=11,
    )


PURE_PYTHON = """
import sys
from google.protobuf.internal import api_implementation
from drink.v1.machine_link_service_pb2 import ConnectResponse
from drink_agent.domain.events import BoardStatus
from drink_agent.domain.evidence import Cause, Direction, Evidence, Line, Outcome, Sensor
from drink_agent.domain.records import Result
from drink_agent.domain.traces import DropTrace
from drink_agent.link import convert
assert api_implementation.Type() == "python", api_implementation.Type()
heard = ConnectResponse.FromString(bytes.fromhex(sys.argv[1]))
print(convert.link_events(heard, 500))
for said in eval(sys.argv[2]):
    print(said.SerializeToString(deterministic=True).hex())
"""


def test_protobuf_in_pure_python_converts_alike() -> None:
    """Wheels of protobuf for 32-bit ARM contain only this implementation."""
    response = ConnectResponse(dispense=Dispense(drop="drops/a", epoch=3, slot=2, ttl_ms=9))
    status = BoardStatus(ready=True, sensors={1: Sensor.STOCKED}, temperature_celsius=4.5)
    result = Result("a", 1, Cause.BOARD_ACK, EVIDENCE)
    said = f"(convert.result(7, {result!r}), convert.board_status({status!r}))"
    # The representation of an enumeration's value is no Python expression.
    said = re.sub(r"<(\w+)\.(\w+): '\w+'>", r"\1.\2", said)
    done = programs.run(
        *(sys.executable, "-c", PURE_PYTHON, response.SerializeToString().hex(), said),
        env={**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"},
    )
    assert done.returncode == 0, done.stderr
    expected = [
        str(link_events(response, 500)),
        *(
            each.SerializeToString(deterministic=True).hex()
            for each in (convert.result(7, result), convert.board_status(status))
        ),
    ]
    assert done.stdout.splitlines() == expected


def test_a_card_is_sent_by_its_number_alone() -> None:
    sent = convert.card_read("04A2B3C4")
    assert sent.WhichOneof("message") == "card_read"
    assert sent.card_read.ListFields()[0][1] == "04A2B3C4"
    assert len(sent.card_read.ListFields()) == 1
