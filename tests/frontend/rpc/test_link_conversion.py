"""Unknown values of agents are treated as absent; values that are never valid are refused."""

import math
from contextlib import suppress
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from drink.v1 import drop_service_pb2, machine_service_pb2
from drink.v1 import machine_link_service_pb2 as pb
from drink_frontend.domain.agents import AgentStats
from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import Result, Timings
from drink_frontend.domain.errors import LinkProtocolError
from drink_frontend.domain.stock import Sensor
from drink_frontend.links import messages
from drink_frontend.rpc.link_conversion import (
    EVIDENCE_LINES_MAX,
    EVIDENCE_TEXT_MAX,
    IGNORED_SLOTS_MAX,
    TIMING_MS_MAX,
    TRACEPARENT_MAX,
    VERSION_MAX,
    agent_message,
    frontend_message,
)

DROP = "0123456789ABCDEFGHJKMNPQRS"
STOCKED = machine_service_pb2.Slot.SENSOR_STOCKED
EMPTY = machine_service_pb2.Slot.SENSOR_EMPTY


def hello(**changes: Any) -> pb.ConnectRequest:
    fields: dict[str, Any] = {
        "machine": "machines/d",
        "protocol_version": 1,
        "boot_id": "boot-1",
        "journal_id": "journal-1",
        "journal_sequence": 7,
    }
    return pb.ConnectRequest(hello=pb.Hello(**(fields | changes)))


def result(**changes: Any) -> pb.ConnectRequest:
    fields: dict[str, Any] = {
        "drop": f"drops/{DROP}",
        "revision": 1,
        "outcome": drop_service_pb2.Drop.STATE_DISPENSED,
        "cause": drop_service_pb2.Drop.CAUSE_BOARD_ACK,
        "journal_sequence": 8,
    }
    return pb.ConnectRequest(result=pb.Result(**(fields | changes)))


def board_status(**fields: Any) -> pb.ConnectRequest:
    return pb.ConnectRequest(board_status=pb.BoardStatus(**fields))


def test_hello() -> None:
    status = pb.BoardStatus(
        ready=True,
        slots=[pb.BoardStatus.SlotSensor(slot=3, sensor=EMPTY)],
        temperature_celsius=-1.5,
    )
    assert agent_message(hello(agent_version="0.1.0", board_status=status)) == messages.Hello(
        machine="d",
        protocol_version=1,
        boot_id="boot-1",
        journal_id="journal-1",
        journal_sequence=7,
        agent_version="0.1.0",
        board_status=messages.BoardStatus(True, {3: Sensor.EMPTY}, -1.5),
    )


def test_hello_without_a_status_says_that_the_board_is_not_ready() -> None:
    message = agent_message(hello())
    assert isinstance(message, messages.Hello)
    assert message.board_status == messages.BoardStatus(False, {}, None)


def test_a_traced_result_tells_where_the_time_went() -> None:
    timings = pb.Timings(commanded_ms=12, answered_ms=4_000, recorded_ms=4_020, sent_ms=4_030)
    message = agent_message(result(traceparent="00-a-b-01", timings=timings))
    assert isinstance(message, Result)
    assert message.traceparent == "00-a-b-01"
    assert message.timings == Timings(12, 4_000, None, 4_020, 4_030)


def test_times_and_headers_that_cannot_be_are_bounded_and_not_refused() -> None:
    timings = pb.Timings(commanded_ms=-5, motor_ms=2**62, sent_ms=-(2**62), recorded_ms=2**62)
    message = agent_message(result(traceparent="x" * 100_000, timings=timings))
    assert isinstance(message, Result)
    assert message.traceparent == "x" * TRACEPARENT_MAX
    assert message.timings == Timings(0, None, TIMING_MS_MAX, TIMING_MS_MAX, 0)


def test_an_agent_of_before_tells_no_times() -> None:
    message = agent_message(result())
    assert isinstance(message, Result)
    assert (message.traceparent, message.timings) == ("", None)


def test_result() -> None:
    evidence = pb.Evidence(
        lines=[
            pb.Evidence.Line(direction=pb.Evidence.Line.DIRECTION_SENT, text="31"),
            pb.Evidence.Line(
                direction=pb.Evidence.Line.DIRECTION_RECEIVED, offset_ms=3500, text="4"
            ),
        ],
        sensor_before=STOCKED,
        sensor_before_offset_ms=-4000,
        contradiction="slot still full",
    )
    assert agent_message(result(evidence=evidence)) == Result(
        drop_id=DROP,
        revision=1,
        outcome=State.DISPENSED,
        cause=Cause.BOARD_ACK,
        evidence={
            "lines": [
                {"direction": "SENT", "offset_ms": 0, "text": "31"},
                {"direction": "RECEIVED", "offset_ms": 3500, "text": "4"},
            ],
            "sensor_before": "STOCKED",
            "sensor_before_offset_ms": -4000,
            "sensor_after": "UNSPECIFIED",
            "sensor_after_offset_ms": None,
            "sensor_independent": False,
            "contradiction": "slot still full",
        },
        journal_sequence=8,
    )


def stats(**fields: Any) -> pb.ConnectRequest:
    return pb.ConnectRequest(agent_stats=pb.AgentStats(**fields))


def test_counters_of_an_agent() -> None:
    message = agent_message(
        stats(
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
    )
    times = (5, 6, 0, 0, 0, 0, 0, 0, 0)
    assert message == AgentStats(61, 1, 2, 3, 4, times, 7.5, 8, 9, 10, 11)


def test_counters_of_a_newer_agent_are_read_as_far_as_they_are_known() -> None:
    times = pb.AgentStats.MotorTimes(counts=[1] * 20)
    assert agent_message(stats(motor_times=times)) == AgentStats(motor_times=(1,) * 9)
    assert agent_message(stats()) == AgentStats()


@pytest.mark.parametrize(
    "fields",
    [
        {"uptime_seconds": -1},
        {"links_lost": -1},
        {"disk_free_bytes": -(1 << 63)},
        {"motor_times": pb.AgentStats.MotorTimes(counts=[1, -1])},
        {"motor_times": pb.AgentStats.MotorTimes(sum_seconds=-0.1)},
        {"motor_times": pb.AgentStats.MotorTimes(sum_seconds=float("nan"))},
        {"motor_times": pb.AgentStats.MotorTimes(sum_seconds=float("inf"))},
    ],
)
def test_counters_that_cannot_be_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(LinkProtocolError, match=r"agent_stats\."):
        agent_message(stats(**fields))


def test_a_slot_above_the_highest_is_ignored_and_named() -> None:
    """It must not end the link, since the board would report the same on the next one."""
    slots = [pb.BoardStatus.SlotSensor(slot=slot, sensor=STOCKED) for slot in (-1, 0, 1, 99, 100)]
    assert agent_message(board_status(slots=slots)) == messages.BoardStatus(
        False, {1: Sensor.STOCKED, 99: Sensor.STOCKED}, None, ignored_slots=(-1, 0, 100)
    )
    many = [pb.BoardStatus.SlotSensor(slot=slot) for slot in range(100, 1_000)]
    message = agent_message(board_status(slots=many))
    assert isinstance(message, messages.BoardStatus)
    assert len(message.ignored_slots) == IGNORED_SLOTS_MAX


def test_a_result_is_a_fact_however_much_evidence_comes_with_it() -> None:
    line = pb.Evidence.Line(text="x" * 1_000)
    message = agent_message(
        result(evidence=pb.Evidence(lines=[line] * 100, contradiction="y" * 1_000))
    )
    assert isinstance(message, Result)
    assert message.outcome is State.DISPENSED
    assert len(message.evidence["lines"]) == EVIDENCE_LINES_MAX
    assert {len(line["text"]) for line in message.evidence["lines"]} == {EVIDENCE_TEXT_MAX}
    assert len(message.evidence["contradiction"]) == EVIDENCE_TEXT_MAX


def test_fault_22_unknown_values_of_a_newer_agent_are_treated_as_absent() -> None:
    newer_cause = pb.Result.FromString(result().result.SerializeToString() + b"\x20\x63")
    message = agent_message(pb.ConnectRequest(result=newer_cause))
    assert isinstance(message, Result)
    assert (message.outcome, message.cause) == (State.DISPENSED, Cause.NONE)

    newer_reason = pb.Goodbye.FromString(b"\x08\x63")
    assert agent_message(pb.ConnectRequest(goodbye=newer_reason)) == messages.Goodbye(
        messages.GoodbyeReason.UNSPECIFIED
    )
    newer_sensor = pb.BoardStatus.SlotSensor.FromString(b"\x08\x01\x10\x63")
    assert agent_message(board_status(slots=[newer_sensor])) == messages.BoardStatus(
        False, {1: Sensor.UNSPECIFIED}
    )
    newer_message = pb.ConnectRequest.FromString(b"\x9a\x06\x00")
    assert agent_message(newer_message) is None
    assert agent_message(pb.ConnectRequest()) is None


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("0.2.0", "0.2.0"),
        ("", ""),
        ("v" * 1_000, "v" * VERSION_MAX),
        ("\0 1\x1b[31m.2\n\u202e", "1[31m.2"),
    ],
)
def test_versions_are_for_people_and_cut(said: str, kept: str) -> None:
    message = agent_message(
        hello(agent_version=said, board_status=pb.BoardStatus(firmware_version=said))
    )
    assert isinstance(message, messages.Hello)
    assert message.agent_version == message.board_status.firmware_version == kept


def test_the_other_messages() -> None:
    assert agent_message(
        pb.ConnectRequest(not_received=pb.NotReceived(drop=f"drops/{DROP}"))
    ) == messages.NotReceived(DROP)
    assert agent_message(
        pb.ConnectRequest(heartbeat=pb.Heartbeat(sequence=5, journal_sequence=9))
    ) == messages.Heartbeat(5, 9)
    for reason in messages.GoodbyeReason:
        wire = pb.Goodbye(reason=pb.Goodbye.Reason.Value(f"REASON_{reason}"))
        assert agent_message(pb.ConnectRequest(goodbye=wire)) == messages.Goodbye(reason)
    assert agent_message(
        board_status(ready=True, slots=[pb.BoardStatus.SlotSensor(slot=1, sensor=STOCKED)])
    ) == messages.BoardStatus(True, {1: Sensor.STOCKED})


@pytest.mark.parametrize("celsius", [math.nan, math.inf, -math.inf, 1e300, -273.0])
def test_a_temperature_that_cannot_be_is_none(celsius: float) -> None:
    message = agent_message(board_status(temperature_celsius=celsius))
    assert message == messages.BoardStatus(False, {}, None)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (hello(machine="d"), "hello.machine"),
        (hello(machine="machines/D"), "hello.machine"),
        (hello(boot_id=""), "hello.boot_id"),
        (hello(journal_id=""), "hello.journal_id"),
        (hello(journal_id="x" * 65), "hello.journal_id"),
        (hello(journal_id="a\nb"), "hello.journal_id"),
        (hello(journal_sequence=-1), "hello.journal_sequence"),
        (result(drop=DROP), "result.drop"),
        (result(drop=""), "result.drop"),
        (result(revision=0), "result.revision"),
        (result(outcome=drop_service_pb2.Drop.STATE_UNSPECIFIED), "result.outcome"),
        (result(outcome=drop_service_pb2.Drop.STATE_DISPATCHED), "result.outcome"),
        (result(journal_sequence=-1), "result.journal_sequence"),
        (pb.ConnectRequest(not_received=pb.NotReceived(drop="1")), "not_received.drop"),
        (
            pb.ConnectRequest(heartbeat=pb.Heartbeat(journal_sequence=-1)),
            "heartbeat.journal_sequence",
        ),
    ],
)
def test_what_cannot_be_right_is_refused(request_: pb.ConnectRequest, field: str) -> None:
    with pytest.raises(LinkProtocolError) as caught:
        agent_message(request_)
    assert caught.value.facts == {"field": field}


@given(st.binary(max_size=100), st.integers(1, 7))
def test_no_bytes_break_the_reader(raw: bytes, kind: int) -> None:
    with suppress(DecodeError):
        request = pb.ConnectRequest.FromString(bytes([kind << 3 | 2, len(raw)]) + raw)
        with suppress(LinkProtocolError):
            agent_message(request)


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (
            messages.Welcome(3, (DROP,), 10, 200, 60),
            pb.ConnectResponse(
                welcome=pb.Welcome(
                    epoch=3,
                    wanted_drops=[f"drops/{DROP}"],
                    heartbeat_interval_seconds=10,
                    journal_report_ms=200,
                    stats_interval_seconds=60,
                )
            ),
        ),
        (
            messages.Dispense(DROP, 3, 7, 9_000),
            pb.ConnectResponse(
                dispense=pb.Dispense(drop=f"drops/{DROP}", epoch=3, slot=7, ttl_ms=9_000)
            ),
        ),
        (
            messages.Dispense(DROP, 3, 7, 9_000, "00-a-b-01"),
            pb.ConnectResponse(
                dispense=pb.Dispense(
                    drop=f"drops/{DROP}", epoch=3, slot=7, ttl_ms=9_000, traceparent="00-a-b-01"
                )
            ),
        ),
        (
            messages.ResultAck(DROP, 2),
            pb.ConnectResponse(result_ack=pb.ResultAck(drop=f"drops/{DROP}", revision=2)),
        ),
        (
            messages.Heartbeat(4, 0),
            pb.ConnectResponse(heartbeat=pb.Heartbeat(sequence=4)),
        ),
        (
            messages.Goodbye(messages.GoodbyeReason.SUPERSEDED),
            pb.ConnectResponse(goodbye=pb.Goodbye(reason=pb.Goodbye.REASON_SUPERSEDED)),
        ),
    ],
)
def test_each_message_of_the_frontend_is_converted(
    message: messages.FrontendMessage, wire: pb.ConnectResponse
) -> None:
    assert frontend_message(messages.Envelope(message)) == wire
    acks = (messages.ResultAck(DROP, 1), messages.ResultAck(DROP, 2))
    for ack in acks:
        wire.result_acks.add(drop=f"drops/{DROP}", revision=ack.revision)
    assert frontend_message(messages.Envelope(message, acks)) == wire
