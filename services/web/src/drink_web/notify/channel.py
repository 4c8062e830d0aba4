"""The work of one channel: leases what there is to tell, tells it, and settles it."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from google.protobuf.duration_pb2 import Duration

from drink.v1 import alarm_service_pb2 as pb
from drink_web.api import Api, Metadata
from drink_web.errors import CallError
from drink_web.notify.message import Message, digest_message, news_message, stories
from drink_web.notify.metrics import ChannelFacts
from drink_web.notify_settings import ChannelSettings, NotifySettings

_log = logging.getLogger(__name__)

LEASED_MAX = 1_000
"""Notifications that one call leases."""

MESSAGE_LEASES_MAX = 10
"""Most such calls for one message."""

SEVERITIES = {
    "info": pb.Alarm.SEVERITY_INFO,
    "warning": pb.Alarm.SEVERITY_WARNING,
    "critical": pb.Alarm.SEVERITY_CRITICAL,
}


class Sends(Protocol):
    """Sends messages; `Sender` does it by Apprise."""

    async def send(self, message: Message) -> str:
        """Sends a message; returns how that failed, empty if it did not."""


def _now() -> datetime:
    return datetime.now(UTC)


class Channel:
    """Tells people by one channel.

    Args:
        settings: The channel.
        notify: Times and limits.
        sender: Sends its messages.
        api: The frontend, and the notifier's login there.
        facts: Where is kept what becomes of its work, for the metrics.
        now: The time.
    """

    def __init__(
        self,
        settings: ChannelSettings,
        notify: NotifySettings,
        sender: Sends,
        api: tuple[Api, Metadata],
        facts: ChannelFacts,
        *,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._settings = settings
        self._notify = notify
        self._sender = sender
        self._api, self._caller = api
        self._now = now
        self._zone = ZoneInfo(settings.time_zone)
        self._facts = facts

    async def run(self) -> None:
        """Tells what there is until cancelled."""
        while True:
            try:
                pause_s = await self.round()
            except CallError as error:
                _log.warning(
                    "notify_postponed", extra={"facts": {"channel": self.name, "why": str(error)}}
                )
                self._facts.postponed += 1
                pause_s = self._back_off()
            await asyncio.sleep(pause_s)

    @property
    def name(self) -> str:
        """Its name."""
        return self._settings.name

    async def round(self) -> float:
        """Tells what there is now, in one message; returns the seconds until the next round.

        Raises:
            CallError: the frontend refused, or did not answer.
        """
        clock = asyncio.get_running_loop().time
        began = clock()
        leased, open_alarms = await self._lease()
        wanted = [each for each in leased if self._is_wanted(each)]
        await self._settle([each for each in leased if not self._is_wanted(each)])
        self._facts.look([each.create_time.ToMilliseconds() / 1000 for each in wanted])
        if not wanted:
            return self._notify.look_s
        message = self._message(wanted, open_alarms)
        # Another notifier has it once the lease has ended.
        if clock() - began + self._notify.send_limit_s > self._notify.lease_s:
            return self._notify.look_s
        failure = await self._sender.send(message)
        await self._settle(wanted, failure)
        facts: dict[str, object] = {"channel": self.name, "notifications": len(wanted)}
        if failure:
            self._facts.failed += 1
            pause_s = self._back_off()
            facts |= {"why": failure, "again_in_s": pause_s}
            _log.warning("notify_failed", extra={"facts": facts})
            return pause_s
        self._facts.success(self._now().timestamp())
        _log.info("notified", extra={"facts": facts})
        return self._notify.pause_s

    def _back_off(self) -> float:
        self._facts.failures += 1
        first_s, most_s = self._notify.retry_first_s, self._notify.retry_limit_s
        return float(min(first_s * 2 ** min(self._facts.failures - 1, 20), most_s))

    async def _lease(self) -> tuple[Sequence[pb.Notification], Sequence[pb.Alarm]]:
        local = self._now().astimezone(self._zone)
        is_quiet = self._settings.is_quiet(local.time())
        if is_quiet and not self._settings.quiet_critical:
            return (), ()
        request = pb.LeaseNotificationsRequest(
            channel=self.name,
            max_count=LEASED_MAX,
            lease_duration=_duration(self._notify.lease_s),
            minimum_age=_duration(self._notify.group_s),
        )
        if is_quiet:
            request.severities.append(pb.Alarm.SEVERITY_CRITICAL)
        elif self._settings.digest_is_due(local.time()):
            request.digest_day = local.date().isoformat()
        leased: list[pb.Notification] = []
        open_alarms: list[pb.Alarm] = []
        for _ in range(MESSAGE_LEASES_MAX):
            answer = await self._api.call(
                self._api.alarms.LeaseNotifications, request, self._caller
            )
            leased += answer.notifications
            open_alarms += answer.open_alarms
            # What is in the same message need not wait.
            request.ClearField("minimum_age")
            if len(answer.notifications) < LEASED_MAX:
                break
        return leased, open_alarms

    def _is_wanted(self, notification: pb.Notification) -> bool:
        if notification.news == pb.Notification.NEWS_DIGEST:
            return True
        alarm, chosen = notification.alarm, self._settings
        return (
            # A kind of a newer frontend may have no severity that is known here.
            not 0 < alarm.severity < SEVERITIES[chosen.least]
            and (not chosen.kinds or alarm.kind in chosen.kinds)
            and (not chosen.machines or alarm.machine.removeprefix("machines/") in chosen.machines)
        )

    def _message(
        self, wanted: Sequence[pb.Notification], open_alarms: Sequence[pb.Alarm]
    ) -> Message:
        chosen, lines_max = self._settings, self._notify.lines_max
        told, parts = stories(wanted), []
        if told:
            parts.append(news_message(told, chosen.language, chosen.time_zone, lines_max))
        if any(each.news == pb.Notification.NEWS_DIGEST for each in wanted):
            parts.append(digest_message(open_alarms, chosen.language, chosen.time_zone, lines_max))
        return Message(parts[0].title, "\n\n".join(part.body for part in parts))

    async def _settle(self, told: Sequence[pb.Notification], failure: str = "") -> None:
        """Says what became of leased notifications; as often as the lists' limit needs.

        Raises:
            CallError: the frontend refused, or did not answer; what was told is told again.
        """
        for begin in range(0, len(told), LEASED_MAX):
            request = pb.SettleNotificationsRequest(
                channel=self.name, failed=bool(failure), reason=failure[:200]
            )
            for each in told[begin : begin + LEASED_MAX]:
                request.leases.add(name=each.name, lease=each.lease)
            await self._api.call(self._api.alarms.SettleNotifications, request, self._caller)


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(round(seconds * 1000))
    return duration
