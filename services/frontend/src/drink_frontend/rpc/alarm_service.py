"""AlarmService: what operators should examine."""
# ruff: noqa: N802 - the methods are named by the protocol

from drink.v1 import alarm_service_pb2 as pb
from drink.v1 import alarm_service_pb2_grpc
from drink_frontend.domain.limits import check_text
from drink_frontend.rpc.alarm_conversion import (
    alarm_kinds,
    alarm_message,
    alarm_states,
    parse_alarm,
)
from drink_frontend.rpc.calls import Context, administrator
from drink_frontend.rpc.conversion import page_limit, page_token, parse_machine, parse_page_token
from drink_frontend.rpc.response_limits import PageLimits
from drink_frontend.usecases.alarms import AlarmReview


class AlarmService(alarm_service_pb2_grpc.AlarmServiceServicer):
    """The RPCs of drink.v1.AlarmService.

    Args:
        alarms: The use cases of alarms.
        pages: Limits pages of lists.
    """

    def __init__(self, alarms: AlarmReview, pages: PageLimits) -> None:
        self._alarms = alarms
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
