"""Converts between drink.v1 messages and the domain's alarms."""

import re
from collections.abc import Iterable, Sequence

from drink.v1 import alarm_service_pb2 as pb
from drink_frontend.domain.alarms import Alarm, AlarmKind, AlarmState, Severity
from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.notifications import Leased, News
from drink_frontend.rpc.conversion import machine_name, optional_timestamp, timestamp

STATES = {state: pb.Alarm.State.Value(f"STATE_{state}") for state in AlarmState}
"""The drink.v1 value of each state of an alarm."""

SEVERITIES = {each: pb.Alarm.Severity.Value(f"SEVERITY_{each}") for each in Severity}
"""The drink.v1 value of each severity of an alarm."""

_SEVERITIES_BY_WIRE: dict[int, Severity] = {wire: each for each, wire in SEVERITIES.items()}
_NEWS = {each: pb.Notification.News.Value(f"NEWS_{each}") for each in News}
_CHANNEL = re.compile(r"[a-z0-9-]{1,40}")
_DAY = re.compile(r"[A-Za-z0-9-]{0,40}")
_STATES_BY_WIRE: dict[int, AlarmState] = {wire: state for state, wire in STATES.items()}
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")


def alarm_name(sequence: int) -> str:
    """`alarms/{alarm}`."""
    return f"alarms/{sequence}"


def parse_alarm(name: str, field: str) -> int:
    """The alarm's number in `alarms/{alarm}`; FieldInvalidError if the name is invalid."""
    number = name.removeprefix("alarms/")
    if number == name or not _NUMBER.fullmatch(number):
        raise FieldInvalidError(field, "must be alarms/{alarm}")
    return int(number)


def alarm_states(states: Iterable[int]) -> Sequence[AlarmState]:
    """The states in a request, each one once."""
    wanted = set(states)
    if not wanted <= _STATES_BY_WIRE.keys():
        raise FieldInvalidError("states", "must be states of an alarm")
    return sorted(_STATES_BY_WIRE[state] for state in wanted)


def alarm_kinds(kinds: Iterable[str]) -> Sequence[AlarmKind]:
    """The kinds in a request, each one once."""
    try:
        return sorted({AlarmKind(kind) for kind in kinds})
    except ValueError:
        raise FieldInvalidError("kinds", "must be kinds of alarms") from None


def alarm_message(alarm: Alarm) -> pb.Alarm:
    """An alarm as a drink.v1 message."""
    message = pb.Alarm(
        name=alarm_name(alarm.sequence),
        kind=alarm.kind,
        subject=alarm.subject,
        machine="" if alarm.machine is None else machine_name(alarm.machine),
        state=STATES[alarm.state],
        count=alarm.count,
        create_time=timestamp(alarm.opened_ms),
        last_time=timestamp(alarm.last_ms),
        acknowledged_by=alarm.acknowledged_by or "",
        acknowledge_time=optional_timestamp(alarm.acknowledged_ms),
        closed_by=alarm.closed_by or "",
        close_time=optional_timestamp(alarm.closed_ms),
        severity=SEVERITIES[alarm.severity],
    )
    message.facts.update(alarm.facts)
    return message


def parse_channel(name: str) -> str:
    """The name of a channel in a request; FieldInvalidError if it cannot be one."""
    if not _CHANNEL.fullmatch(name):
        raise FieldInvalidError("channel", "must be 1 to 40 lower-case letters, digits and hyphens")
    return name


def parse_day(day: str) -> str:
    """The day of a digest in a request; FieldInvalidError if it cannot be one."""
    if not _DAY.fullmatch(day):
        raise FieldInvalidError("digest_day", "must be at most 40 letters, digits and hyphens")
    return day


def alarm_severities(severities: Iterable[int]) -> Sequence[Severity]:
    """The severities in a request, each one once."""
    wanted = set(severities)
    if not wanted <= _SEVERITIES_BY_WIRE.keys():
        raise FieldInvalidError("severities", "must be severities of an alarm")
    return sorted(_SEVERITIES_BY_WIRE[each] for each in wanted)


def notification_message(leased: Leased) -> pb.Notification:
    """A leased notification as a drink.v1 message."""
    told = leased.notification
    return pb.Notification(
        name=f"notifications/{told.sequence}",
        news=_NEWS[told.news],
        alarm=None if leased.alarm is None else alarm_message(leased.alarm),
        create_time=timestamp(told.at_ms),
        lease=leased.lease,
        digest_day=told.day or "",
    )


def parse_notification(name: str) -> int:
    """The number in `notifications/{notification}`; FieldInvalidError if the name is invalid."""
    number = name.removeprefix("notifications/")
    if number == name or not _NUMBER.fullmatch(number):
        raise FieldInvalidError("leases.name", "must be notifications/{notification}")
    return int(number)
