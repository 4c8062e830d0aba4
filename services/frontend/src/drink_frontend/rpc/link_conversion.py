"""Converts between the messages of MachineLinkService and the values of `links`.

Agents may be older or newer than the frontend, so an unknown cause or kind of message is treated as
absent. A value that is invalid in every version raises LinkProtocolError.
"""

import math
import re
from collections.abc import Callable
from typing import Any

from drink.v1 import drop_service_pb2, machine_link_service_pb2
from drink_frontend.domain.agents import MOTOR_TIMES_S, AgentStats
from drink_frontend.domain.cards import CARD_NUMBER_MAX
from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.durations import DAY_MS
from drink_frontend.domain.entities import Result, Timings
from drink_frontend.domain.errors import FieldInvalidError, LinkProtocolError
from drink_frontend.domain.limits import SLOT_MAX
from drink_frontend.domain.stock import Sensor
from drink_frontend.domain.temperatures import is_plausible
from drink_frontend.links import messages
from drink_frontend.rpc.conversion import SENSORS, drop_name, parse_drop, parse_machine
from drink_frontend.rpc.drop_conversion import CAUSES

EVIDENCE_LINES_MAX = 32
"""Lines of evidence kept of one result; further lines are dropped."""

EVIDENCE_TEXT_MAX = 200
"""Characters kept of one line of evidence."""

IGNORED_SLOTS_MAX = 8
"""Most slots above the highest number that the log lists."""

VERSION_MAX = 64
"""Characters kept of the version of an agent or a board."""

TRACEPARENT_MAX = 64
"""Characters kept of the `traceparent` that an agent sends back; it has 55."""

TIMING_MS_MAX = 7 * DAY_MS
"""Longest time that is believed of an agent: a result may wait for days for a link."""

_Wire = machine_link_service_pb2
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_OUTCOMES = {
    drop_service_pb2.Drop.STATE_DISPENSED: State.DISPENSED,
    drop_service_pb2.Drop.STATE_NOT_DISPENSED: State.NOT_DISPENSED,
    drop_service_pb2.Drop.STATE_UNKNOWN: State.UNKNOWN,
}
_CAUSES_BY_WIRE: dict[int, Cause] = {wire: cause for cause, wire in CAUSES.items()}
_SENSORS_BY_WIRE: dict[int, Sensor] = {wire: sensor for sensor, wire in SENSORS.items()}
_DIRECTIONS = {
    _Wire.Evidence.Line.DIRECTION_SENT: "SENT",
    _Wire.Evidence.Line.DIRECTION_RECEIVED: "RECEIVED",
}
_GOODBYES = {
    messages.GoodbyeReason.UNSPECIFIED: _Wire.Goodbye.REASON_UNSPECIFIED,
    messages.GoodbyeReason.SHUTTING_DOWN: _Wire.Goodbye.REASON_SHUTTING_DOWN,
    messages.GoodbyeReason.SUPERSEDED: _Wire.Goodbye.REASON_SUPERSEDED,
}
_GOODBYES_BY_WIRE: dict[int, messages.GoodbyeReason] = {
    wire: reason for reason, wire in _GOODBYES.items()
}


def agent_message(request: _Wire.ConnectRequest) -> messages.AgentMessage | None:
    """The value of an agent's message; None for an unknown kind of message.

    Raises:
        LinkProtocolError: the message is invalid.
    """
    kind = request.WhichOneof("message")
    if kind is None:
        return None
    return _READERS[kind](getattr(request, kind))


def frontend_message(envelope: messages.Envelope) -> _Wire.ConnectResponse:
    """The frontend's message as a drink.v1 message, with the acknowledgements beside it."""
    response = _message(envelope.message)
    if envelope.acks:
        response.result_acks.extend(map(_result_ack, envelope.acks))
    return response


def _result_ack(ack: messages.ResultAck) -> _Wire.ResultAck:
    return _Wire.ResultAck(drop=drop_name(ack.drop_id), revision=ack.revision)


def _message(message: messages.FrontendMessage) -> _Wire.ConnectResponse:
    match message:
        case messages.Welcome():
            return _Wire.ConnectResponse(
                welcome=_Wire.Welcome(
                    epoch=message.epoch,
                    wanted_drops=[drop_name(drop_id) for drop_id in message.wanted_drops],
                    heartbeat_interval_seconds=message.heartbeat_interval_s,
                    journal_report_ms=message.journal_report_ms,
                    stats_interval_seconds=message.stats_interval_s,
                )
            )
        case messages.Dispense(drop_id, epoch, slot, ttl_ms, traceparent):
            return _Wire.ConnectResponse(
                dispense=_Wire.Dispense(
                    drop=drop_name(drop_id),
                    epoch=epoch,
                    slot=slot,
                    ttl_ms=ttl_ms,
                    traceparent=traceparent,
                )
            )
        case messages.ResultAck():
            return _Wire.ConnectResponse(result_ack=_result_ack(message))
        case messages.Heartbeat(sequence, journal_sequence):
            return _Wire.ConnectResponse(
                heartbeat=_Wire.Heartbeat(sequence=sequence, journal_sequence=journal_sequence)
            )
        case messages.Goodbye(reason):
            return _Wire.ConnectResponse(goodbye=_Wire.Goodbye(reason=_GOODBYES[reason]))


def _hello(hello: _Wire.Hello) -> messages.Hello:
    try:
        machine = parse_machine(hello.machine, "hello.machine")
    except FieldInvalidError as error:
        raise LinkProtocolError(str(error), **error.facts) from None
    return messages.Hello(
        machine=machine,
        protocol_version=hello.protocol_version,
        boot_id=_id(hello.boot_id, "hello.boot_id"),
        journal_id=_id(hello.journal_id, "hello.journal_id"),
        journal_sequence=_natural(hello.journal_sequence, "hello.journal_sequence"),
        agent_version=_version(hello.agent_version),
        board_status=_board_status(hello.board_status),
    )


def _result(result: _Wire.Result) -> Result:
    outcome = _OUTCOMES.get(result.outcome)
    if outcome is None:
        raise _broken("result.outcome", "must be DISPENSED, NOT_DISPENSED or UNKNOWN")
    if result.revision < 1:
        raise _broken("result.revision", "must be at least 1")
    return Result(
        drop_id=_drop_id(result.drop, "result.drop"),
        revision=result.revision,
        outcome=outcome,
        cause=_CAUSES_BY_WIRE.get(result.cause, Cause.NONE),
        evidence=_evidence(result.evidence) if result.HasField("evidence") else {},
        journal_sequence=_natural(result.journal_sequence, "result.journal_sequence"),
        traceparent=result.traceparent[:TRACEPARENT_MAX],
        timings=_timings(result.timings) if result.HasField("timings") else None,
    )


def _timings(timings: _Wire.Timings) -> Timings:
    # They are only drawn: what no clock can have measured is left out, and nothing is refused.
    return Timings(
        commanded_ms=_since(timings.commanded_ms) if timings.HasField("commanded_ms") else None,
        answered_ms=_since(timings.answered_ms) if timings.HasField("answered_ms") else None,
        motor_ms=_since(timings.motor_ms) if timings.HasField("motor_ms") else None,
        recorded_ms=_since(timings.recorded_ms),
        sent_ms=_since(timings.sent_ms),
    )


def _since(ms: int) -> int:
    return min(max(ms, 0), TIMING_MS_MAX)


def _not_received(not_received: _Wire.NotReceived) -> messages.NotReceived:
    return messages.NotReceived(_drop_id(not_received.drop, "not_received.drop"))


def _heartbeat(heartbeat: _Wire.Heartbeat) -> messages.Heartbeat:
    return messages.Heartbeat(
        heartbeat.sequence, _natural(heartbeat.journal_sequence, "heartbeat.journal_sequence")
    )


def _agent_stats(stats: _Wire.AgentStats) -> AgentStats:
    size = len(MOTOR_TIMES_S) + 1
    counts = [
        _natural(count, "agent_stats.motor_times.counts")
        for count in stats.motor_times.counts[:size]
    ]
    seconds = stats.motor_times.sum_seconds
    if not 0 <= seconds < math.inf:
        raise _broken("agent_stats.motor_times.sum_seconds", "must be a number from 0")

    def natural(name: str) -> int:
        return _natural(getattr(stats, name), f"agent_stats.{name}")

    return AgentStats(
        uptime_s=natural("uptime_seconds"),
        links_lost=natural("links_lost"),
        board_losses=natural("board_losses"),
        board_connects=natural("board_connects"),
        board_timeouts=natural("board_timeouts"),
        motor_times=tuple([*counts, *[0] * size][:size]),
        motor_seconds=seconds,
        journal_bytes=natural("journal_bytes"),
        disk_free_bytes=natural("disk_free_bytes"),
        disk_bytes=natural("disk_bytes"),
        memory_bytes=natural("memory_bytes"),
    )


def _goodbye(goodbye: _Wire.Goodbye) -> messages.Goodbye:
    return messages.Goodbye(
        _GOODBYES_BY_WIRE.get(goodbye.reason, messages.GoodbyeReason.UNSPECIFIED)
    )


def _card_read(card_read: _Wire.CardRead) -> messages.CardRead:
    # A number that is none is refused where cards are known, and ends no link.
    return messages.CardRead(card_read.number[: CARD_NUMBER_MAX + 1])


def _evidence(evidence: _Wire.Evidence) -> dict[str, Any]:
    return {
        "lines": [
            {
                "direction": _DIRECTIONS.get(line.direction, "UNSPECIFIED"),
                "offset_ms": line.offset_ms,
                "text": line.text[:EVIDENCE_TEXT_MAX],
            }
            for line in evidence.lines[:EVIDENCE_LINES_MAX]
        ],
        "sensor_before": str(_sensor(evidence.sensor_before)),
        "sensor_before_offset_ms": (
            evidence.sensor_before_offset_ms
            if evidence.HasField("sensor_before_offset_ms")
            else None
        ),
        "sensor_after": str(_sensor(evidence.sensor_after)),
        "sensor_after_offset_ms": (
            evidence.sensor_after_offset_ms if evidence.HasField("sensor_after_offset_ms") else None
        ),
        "sensor_independent": evidence.sensor_independent,
        "contradiction": evidence.contradiction[:EVIDENCE_TEXT_MAX],
    }


def _board_status(status: _Wire.BoardStatus) -> messages.BoardStatus:
    slots = {slot.slot: _sensor(slot.sensor) for slot in status.slots}
    ignored = sorted(slot for slot in slots if not 1 <= slot <= SLOT_MAX)
    temperature: float | None = status.temperature_celsius
    if not status.HasField("temperature_celsius") or not is_plausible(status.temperature_celsius):
        temperature = None
    return messages.BoardStatus(
        ready=status.ready,
        sensors={slot: sensor for slot, sensor in slots.items() if 1 <= slot <= SLOT_MAX},
        temperature_celsius=temperature,
        firmware_version=_version(status.firmware_version),
        ignored_slots=tuple(ignored[:IGNORED_SLOTS_MAX]),
    )


def _version(text: str) -> str:
    # Shown to people, and a database need not accept every character.
    return "".join(filter(str.isprintable, text))[:VERSION_MAX].strip()


def _sensor(wire: int) -> Sensor:
    return _SENSORS_BY_WIRE.get(wire, Sensor.UNSPECIFIED)


def _drop_id(name: str, field: str) -> str:
    try:
        return parse_drop(name, field)
    except FieldInvalidError as error:
        raise LinkProtocolError(str(error), **error.facts) from None


def _id(value: str, field: str) -> str:
    if not _ID.fullmatch(value):
        raise _broken(field, "must be 1 to 64 characters of A-Z a-z 0-9 _ . : -")
    return value


def _natural(value: int, field: str) -> int:
    if value < 0:
        raise _broken(field, "must not be negative")
    return value


def _broken(field: str, rule: str) -> LinkProtocolError:
    return LinkProtocolError(f"{field}: {rule}", field=field)


_READERS: dict[str, Callable[[Any], messages.AgentMessage]] = {
    "hello": _hello,
    "result": _result,
    "not_received": _not_received,
    "board_status": _board_status,
    "heartbeat": _heartbeat,
    "goodbye": _goodbye,
    "agent_stats": _agent_stats,
    "card_read": _card_read,
}
