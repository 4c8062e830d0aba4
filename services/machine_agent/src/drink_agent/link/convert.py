"""Converts between the messages of drink.v1 and the types of the agent's domain."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from drink.v1 import machine_link_service_pb2 as pb
from drink.v1.drop_service_pb2 import Drop
from drink.v1.machine_link_service_pb2 import ConnectRequest, ConnectResponse
from drink.v1.machine_service_pb2 import Slot
from drink_agent.domain.events import Ack, BoardStatus, Command, LinkUp
from drink_agent.domain.evidence import Cause, Direction, Outcome, Sensor
from drink_agent.domain.records import Result
from drink_agent.domain.traces import DropTrace

PROTOCOL_VERSION = 2
"""Version of the link protocol that this agent implements: acknowledgements may come with another
message."""

_DROP_NAME = re.compile(r"drops/([A-Za-z0-9][A-Za-z0-9._~-]{0,62})")
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

_OUTCOMES = {outcome: Drop.State.Value(f"STATE_{outcome}") for outcome in Outcome}
_CAUSES = {cause: Drop.Cause.Value(f"CAUSE_{cause}") for cause in Cause}
_SENSORS = {sensor: Slot.Sensor.Value(f"SENSOR_{sensor}") for sensor in Sensor}
_DIRECTIONS: Mapping[Direction, pb.Evidence.Line.Direction.ValueType] = {
    direction: pb.Evidence.Line.Direction.Value(f"DIRECTION_{direction}") for direction in Direction
}


class LinkViolationError(Exception):
    """The frontend sent something that the protocol does not allow."""


@dataclass(frozen=True, slots=True)
class Hello:
    """First message of a link: the agent's identity and status."""

    machine: str
    """Id of the machine."""
    boot_id: str
    """Id of this start of the agent."""
    journal_id: str
    """Id of the journal, made with the file."""
    journal_sequence: int
    """Number of the journal's last durable entry."""
    agent_version: str
    """Version of the agent's software."""
    board: BoardStatus
    """Current status of the board."""


MOTOR_TIMES_S = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0)
"""Limits of `AgentStats.motor_times` in seconds; the protocol sets them."""


@dataclass(frozen=True, slots=True)
class AgentStats:
    """Counters since the agent's start, and sizes now; drink.v1.AgentStats documents each."""

    uptime_s: int
    links_lost: int
    board_losses: int
    board_connects: int
    board_timeouts: int
    motor_times: tuple[int, ...]
    """Commands by the time until the board's answer: one number for each of `MOTOR_TIMES_S`, and
    one for longer times."""
    motor_seconds: float
    """Sum of these times."""
    journal_bytes: int
    disk_free_bytes: int
    disk_bytes: int
    memory_bytes: int
    """0 if it is not known."""


def link_events(response: ConnectResponse, received_ms: int) -> list[LinkUp | Command | Ack]:
    """Converts a message of the frontend: the acknowledgements beside it, then the message itself.

    Args:
        response: The message.
        received_ms: Time of its receipt, in milliseconds since the host booted.

    Returns:
        Nothing for Heartbeat, Goodbye, and messages of a kind that this version does not know.

    Raises:
        LinkViolationError: A field has a value that the protocol does not allow.
    """
    events: list[LinkUp | Command | Ack] = list(map(_ack, response.result_acks))
    event = _event(response, received_ms)
    return events if event is None else [*events, event]


def _ack(ack: pb.ResultAck) -> Ack:
    return Ack(_drop_id(ack.drop), ack.revision)


def _event(response: ConnectResponse, received_ms: int) -> LinkUp | Command | Ack | None:
    match response.WhichOneof("message"):
        case "welcome":
            welcome = response.welcome
            if welcome.epoch < 1:
                raise LinkViolationError("an epoch out of range")
            return LinkUp(welcome.epoch, tuple(map(_drop_id, welcome.wanted_drops)))
        case "dispense":
            dispense = response.dispense
            if dispense.slot < 1:
                raise LinkViolationError("a slot out of range")
            if dispense.ttl_ms < 0:
                raise LinkViolationError("a time to live out of range")
            drop = _drop_id(dispense.drop)
            trace = dispense.traceparent if _TRACEPARENT.fullmatch(dispense.traceparent) else ""
            return Command(drop, dispense.slot, dispense.epoch, dispense.ttl_ms, received_ms, trace)
        case "result_ack":
            return _ack(response.result_ack)
        case _:
            return None


def hello(content: Hello) -> ConnectRequest:
    """Returns the first message of a link."""
    return ConnectRequest(
        hello=pb.Hello(
            machine=f"machines/{content.machine}",
            protocol_version=PROTOCOL_VERSION,
            boot_id=content.boot_id,
            journal_id=content.journal_id,
            journal_sequence=content.journal_sequence,
            agent_version=content.agent_version,
            board_status=_board_status(content.board),
        )
    )


def result(sequence: int, outcome: Result, trace: DropTrace | None = None) -> ConnectRequest:
    """Returns the report of a result.

    Args:
        sequence: Number of its entry in the journal.
        outcome: The result.
        trace: Where its time went; None if it is not traced.
    """
    # Filled in place: a message that is made first and then given to another one is copied.
    request = ConnectRequest()
    message, evidence = request.result, outcome.evidence
    message.drop = f"drops/{outcome.drop}"
    message.revision = outcome.revision
    message.outcome = _OUTCOMES[outcome.outcome]
    message.cause = _CAUSES[outcome.cause]
    message.journal_sequence = sequence
    proof = message.evidence
    for line in evidence.lines:
        proof.lines.add(
            direction=_DIRECTIONS[line.direction], offset_ms=line.offset_ms, text=line.text
        )
    proof.sensor_before = _SENSORS[evidence.sensor_before]
    proof.sensor_after = _SENSORS[evidence.sensor_after]
    proof.contradiction = evidence.contradiction
    proof.sensor_independent = evidence.sensor_independent
    if evidence.sensor_before_ms is not None:
        proof.sensor_before_offset_ms = evidence.sensor_before_ms
    if evidence.sensor_after_ms is not None:
        proof.sensor_after_offset_ms = evidence.sensor_after_ms
    if trace is not None:
        message.traceparent = trace.traceparent
        message.timings.CopyFrom(_timings(trace))
    return request


def _timings(trace: DropTrace) -> pb.Timings:
    return pb.Timings(
        commanded_ms=trace.since_receipt(trace.commanded_at),
        answered_ms=trace.since_receipt(trace.answered_at),
        motor_ms=trace.motor_ms,
        recorded_ms=trace.since_receipt(trace.recorded_at) or 0,
        sent_ms=trace.since_receipt(trace.sent_at) or 0,
    )


def not_received(drop: str) -> ConnectRequest:
    """Returns the report that the journal has no entry of a drop."""
    return ConnectRequest(not_received=pb.NotReceived(drop=f"drops/{drop}"))


def board_status(status: BoardStatus) -> ConnectRequest:
    """Returns the report of the board's status."""
    return ConnectRequest(board_status=_board_status(status))


def heartbeat(sequence: int, journal_sequence: int) -> ConnectRequest:
    """Returns a heartbeat.

    Args:
        sequence: Its number on this link, from 1.
        journal_sequence: Number of the journal's last durable entry.
    """
    return ConnectRequest(
        heartbeat=pb.Heartbeat(sequence=sequence, journal_sequence=journal_sequence)
    )


def agent_stats(stats: AgentStats) -> ConnectRequest:
    """Returns the message of the agent's statistics."""
    return ConnectRequest(
        agent_stats=pb.AgentStats(
            uptime_seconds=stats.uptime_s,
            links_lost=stats.links_lost,
            board_losses=stats.board_losses,
            board_connects=stats.board_connects,
            board_timeouts=stats.board_timeouts,
            motor_times=pb.AgentStats.MotorTimes(
                counts=stats.motor_times, sum_seconds=stats.motor_seconds
            ),
            journal_bytes=stats.journal_bytes,
            disk_free_bytes=stats.disk_free_bytes,
            disk_bytes=stats.disk_bytes,
            memory_bytes=stats.memory_bytes,
        )
    )


def card_read(number: str) -> ConnectRequest:
    """Returns the report that a card was held to the reader."""
    return ConnectRequest(card_read=pb.CardRead(number=number))


def goodbye() -> ConnectRequest:
    """Returns the last message of a link that the agent closes."""
    return ConnectRequest(goodbye=pb.Goodbye(reason=pb.Goodbye.REASON_SHUTTING_DOWN))


def _drop_id(name: str) -> str:
    found = _DROP_NAME.fullmatch(name)
    if found is None:
        raise LinkViolationError("a drop's name that is none")
    return found[1]


def _board_status(status: BoardStatus) -> pb.BoardStatus:
    return pb.BoardStatus(
        ready=status.ready,
        slots=[
            pb.BoardStatus.SlotSensor(slot=slot, sensor=_SENSORS[sensor])
            for slot, sensor in sorted(status.sensors.items())
        ],
        temperature_celsius=status.temperature_celsius,
        firmware_version=status.firmware_version,
    )
