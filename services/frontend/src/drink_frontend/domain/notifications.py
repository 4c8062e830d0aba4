"""What has to be told about alarms, and to which channels. Times are milliseconds."""

from dataclasses import dataclass
from enum import StrEnum

from drink_frontend.domain.alarms import Alarm
from drink_frontend.domain.durations import DAY_MS

CHANNELS_MAX = 20
"""Most channels. Beyond it the one that has not asked for the longest time is forgotten."""

NOTIFICATIONS_MAX = 10_000
"""Most notifications that are kept; beyond it the oldest are removed, told or not."""

KEPT_MS = 7 * DAY_MS
"""Time after which a notification is removed that no channel waits for."""

FAILURES_ALARM = 3
"""Failures of a channel, one after another, that raise CHANNEL_FAILED."""


class News(StrEnum):
    """What a notification tells."""

    OPENED = "OPENED"
    """An alarm was opened."""
    CLOSED = "CLOSED"
    """An alarm was closed."""
    DIGEST = "DIGEST"
    """A day's summary is due; for one channel."""


@dataclass(frozen=True, slots=True)
class Notification:
    """Something to tell.

    Attributes:
        news: What.
        alarm: Number of the alarm; None for a digest.
        at_ms: When it happened.
        channel: The only channel that it is for; None for all.
        day: Of a digest, as its channel named it; None for others.
        sequence: Order, counted by the database; 0 before it is stored.
    """

    news: News
    alarm: int | None
    at_ms: int
    channel: str | None = None
    day: str | None = None
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Channel:
    """A way in which people are told, as its notifier names it.

    Attributes:
        name: Its name.
        seen_ms: When it asked last.
        failures: How often it has failed since it told something.
    """

    name: str
    seen_ms: int
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is known of a notification at a channel.

    Attributes:
        channel: The channel.
        notification: Number of the notification.
        lease: How often it was leased.
        leased_ms: When it was leased last.
        ends_ms: When that lease ends.
        told: Whether it was told.
    """

    channel: str
    notification: int
    lease: int
    leased_ms: int
    ends_ms: int
    told: bool

    def is_free(self, now_ms: int) -> bool:
        """Whether it can be leased; also if the clock was set back to before its last lease."""
        return not self.told and not self.leased_ms <= now_ms < self.ends_ms


@dataclass(frozen=True, slots=True)
class Leased:
    """A notification that was leased.

    Attributes:
        notification: What to tell.
        alarm: Its alarm as it is now; None for a digest.
        lease: Number of the lease, which settles it.
    """

    notification: Notification
    alarm: Alarm | None
    lease: int


def channel_subject(name: str) -> str:
    """A channel, as the subject of alarms."""
    return f"channels/{name}"
