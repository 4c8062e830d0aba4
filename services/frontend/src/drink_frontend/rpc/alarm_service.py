"""AlarmService: what operators should examine."""
# ruff: noqa: N802 - the methods are named by the protocol

from typing import Literal

from drink.v1 import alarm_service_pb2 as pb
from drink.v1 import alarm_service_pb2_grpc
from drink_frontend.domain.durations import HOUR_MS
from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.limits import check_text
from drink_frontend.rpc.alarm_conversion import (
    alarm_kinds,
    alarm_message,
    alarm_severities,
    alarm_states,
    notification_message,
    parse_alarm,
    parse_channel,
    parse_day,
    parse_notification,
)
from drink_frontend.rpc.calls import Context, administrator
from drink_frontend.rpc.conversion import page_limit, page_token, parse_machine, parse_page_token
from drink_frontend.rpc.response_limits import PageLimits
from drink_frontend.usecases.alarms import AlarmReview
from drink_frontend.usecases.notifications import LeaseOrder, Notifications

LEASED, LEASED_MAX = 100, 1_000
"""Notifications that are leased at once: unless the request says how many, and at most."""

LEASE_MS, LEASE_MS_MIN, LEASE_MS_MAX = 60_000, 1_000, 600_000
"""Milliseconds of a lease: unless the request says how long, and its limits."""

AGE_MS_MAX = HOUR_MS
"""Most milliseconds that a request lets notifications become old."""

OPEN_ALARMS_MAX = 200
"""Most open alarms that are shown with a digest."""


class AlarmService(alarm_service_pb2_grpc.AlarmServiceServicer):
    """The RPCs of drink.v1.AlarmService.

    Args:
        alarms: The use cases of alarms.
        notifications: The use cases of those who tell people of them.
        pages: Limits pages of lists.
    """

    def __init__(
        self, alarms: AlarmReview, notifications: Notifications, pages: PageLimits
    ) -> None:
        self._alarms = alarms
        self._notifications = notifications
        self._pages = pages

    async def ListAlarms(
        self, request: pb.ListAlarmsRequest, _context: Context
    ) -> pb.ListAlarmsResponse:
        """One page of alarms, the newest first."""
        account = administrator("see alarms")
        states, kinds = alarm_states(request.states), alarm_kinds(request.kinds)
        machine = parse_machine(request.machine, "machine") if request.machine else None
        limit = page_limit(request.page_size)
        scope = f"alarms {machine or '-'} {','.join(states)} {','.join(kinds)}"
        before = parse_page_token(request.page_token, scope)
        async with self._pages.turn(account.id, limit):
            found = await self._alarms.list(
                states, kinds=kinds, machine=machine, before=before, limit=limit
            )
            messages, token = self._pages.page(
                found, alarm_message, limit, lambda alarm: page_token(alarm.sequence, scope)
            )
            return pb.ListAlarmsResponse(alarms=messages, next_page_token=token)

    async def AcknowledgeAlarm(
        self, request: pb.AcknowledgeAlarmRequest, _context: Context
    ) -> pb.AcknowledgeAlarmResponse:
        """Says that the caller examines an alarm."""
        actor = administrator("acknowledge alarms").id
        alarm = await self._alarms.acknowledge(actor, parse_alarm(request.name, "name"))
        return pb.AcknowledgeAlarmResponse(alarm=alarm_message(alarm))

    async def CloseAlarm(
        self, request: pb.CloseAlarmRequest, _context: Context
    ) -> pb.CloseAlarmResponse:
        """Closes an alarm whose cause is gone."""
        actor = administrator("close alarms").id
        sequence = parse_alarm(request.name, "name")
        reason = check_text(request.reason, "reason")
        alarm = await self._alarms.close(actor, sequence, reason)
        return pb.CloseAlarmResponse(alarm=alarm_message(alarm))

    async def LeaseNotifications(
        self, request: pb.LeaseNotificationsRequest, _context: Context
    ) -> pb.LeaseNotificationsResponse:
        """Leases what a channel has to tell."""
        account = administrator("lease notifications")
        order = LeaseOrder(
            parse_channel(request.channel),
            _count(request.max_count),
            _milliseconds(request, "lease_duration", LEASE_MS, (LEASE_MS_MIN, LEASE_MS_MAX)),
            alarm_severities(request.severities),
            _milliseconds(request, "minimum_age", 0, (0, AGE_MS_MAX)),
            parse_day(request.digest_day),
        )
        async with self._pages.turn(account.id, order.limit):
            leased = await self._notifications.lease(order)
            answer = pb.LeaseNotificationsResponse(
                notifications=[notification_message(each) for each in leased]
            )
            if any(each.alarm is None for each in leased):
                found = await self._alarms.list(limit=OPEN_ALARMS_MAX)
                answer.open_alarms.extend(alarm_message(each) for each in found)
            return answer

    async def SettleNotifications(
        self, request: pb.SettleNotificationsRequest, _context: Context
    ) -> pb.SettleNotificationsResponse:
        """Says what became of leased notifications."""
        administrator("settle notifications")
        channel = parse_channel(request.channel)
        if not 1 <= len(request.leases) <= LEASED_MAX:
            raise FieldInvalidError("leases", f"must be 1 to {LEASED_MAX}")
        leases = [(parse_notification(each.name), each.lease) for each in request.leases]
        why = check_text(request.reason, "reason")
        stale = await self._notifications.settle(channel, leases, failed=request.failed, why=why)
        return pb.SettleNotificationsResponse(stale=[f"notifications/{each}" for each in stale])


def _count(wanted: int) -> int:
    if not 0 <= wanted <= LEASED_MAX:
        raise FieldInvalidError("max_count", f"must be 0 to {LEASED_MAX}")
    return wanted or LEASED


def _milliseconds(
    request: pb.LeaseNotificationsRequest,
    field: Literal["lease_duration", "minimum_age"],
    default: int,
    limits: tuple[int, int],
) -> int:
    if not request.HasField(field):
        return default
    wanted, (least, most) = getattr(request, field).ToMilliseconds(), limits
    if not least <= wanted <= most:
        raise FieldInvalidError(field, f"must be {least} to {most} milliseconds")
    return int(wanted)
