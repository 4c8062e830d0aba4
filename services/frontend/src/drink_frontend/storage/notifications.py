"""Notifications, the channels that tell them, and their leases."""

from collections.abc import Sequence

from sqlalchemy import and_, bindparam, delete, func, or_, select, update

from drink_frontend.domain.notifications import Channel, Delivery, News, Notification
from drink_frontend.storage.notification_tables import channels, deliveries, notifications
from drink_frontend.storage.rows import RowMapping
from drink_frontend.storage.statements import NOTHING, Executor, Statement, constant
from drink_frontend.storage.tables import NOT_CLOSED, alarms

_ROW = RowMapping(Notification, notifications)
_CHANNEL = RowMapping(Channel, channels)
_DELIVERY = RowMapping(Delivery, deliveries)

ADD = Statement(_ROW.insert())
"""Adds a notification with the parameters of `parameters`."""

parameters = _ROW.parameters
"""The parameters of `ADD`."""

_NAMED = channels.c.name == bindparam("name")
_LIST_CHANNELS = Statement(_CHANNEL.select().order_by(channels.c.seen_ms, channels.c.name))
_ADD_CHANNEL = Statement(_CHANNEL.insert())
_CHANGE_CHANNEL = Statement(
    update(channels)
    .where(_NAMED)
    .values(seen_ms=bindparam("seen_ms"), failures=bindparam("failures"))
)
_REMOVE_CHANNEL = Statement(delete(channels).where(_NAMED))
_HAS_DIGEST = Statement(
    select(notifications.c.sequence).where(
        notifications.c.day.is_not(None),
        notifications.c.channel == bindparam("channel"),
        notifications.c.day == bindparam("day"),
    )
)
_FOR_CHANNEL = or_(
    notifications.c.channel.is_(None), notifications.c.channel == bindparam("channel")
)
_WAITING = Statement(
    select(*_ROW.columns, *_DELIVERY.columns)
    .select_from(
        notifications.outerjoin(
            deliveries,
            and_(
                deliveries.c.notification == notifications.c.sequence,
                deliveries.c.channel == bindparam("channel"),
            ),
        )
    )
    .where(_FOR_CHANNEL, or_(deliveries.c.told.is_(None), deliveries.c.told == constant(0)))
    .order_by(notifications.c.sequence)
    .limit(bindparam("limit"))
    .offset(NOTHING)
)
_ONE = and_(
    deliveries.c.channel == bindparam("channel"),
    deliveries.c.notification == bindparam("notification"),
)
_DELIVERY_ONE = Statement(_DELIVERY.select().where(_ONE))
_ADD_DELIVERY = Statement(_DELIVERY.insert())
_CHANGE_DELIVERY = Statement(
    update(deliveries)
    .where(_ONE)
    .values({name: bindparam(name) for name in ("lease", "leased_ms", "ends_ms", "told")})
)
_CLOSED_ALARMS = select(alarms.c.sequence).where(~NOT_CLOSED)
_OVER = Statement(
    _ROW.select().where(
        notifications.c.channel.is_(None), notifications.c.alarm.in_(_CLOSED_ALARMS)
    )
)
_NEWEST = Statement(select(func.max(notifications.c.sequence), func.count()))
_OLDEST_WAITING = Statement(
    select(func.min(notifications.c.sequence)).where(
        or_(
            select(constant(1))
            .select_from(channels)
            .where(
                or_(notifications.c.channel.is_(None), notifications.c.channel == channels.c.name),
                ~select(constant(1))
                .select_from(deliveries)
                .where(
                    deliveries.c.channel == channels.c.name,
                    deliveries.c.notification == notifications.c.sequence,
                    deliveries.c.told == constant(1),
                )
                .exists(),
            )
            .exists(),
            notifications.c.at_ms >= bindparam("from_ms"),
        )
    )
)
_REMOVE_DELIVERIES = Statement(
    delete(deliveries).where(deliveries.c.notification < bindparam("before"))
)
_REMOVE_DELIVERIES_OF = Statement(
    delete(deliveries).where(deliveries.c.channel == bindparam("name"))
)
_REMOVE_DIGESTS_OF = Statement(
    delete(notifications).where(
        notifications.c.day.is_not(None), notifications.c.channel == bindparam("name")
    )
)
_REMOVE = Statement(delete(notifications).where(notifications.c.sequence < bindparam("before")))


class NotificationTable:
    """Notifications and their leases, in one unit of work. `AlarmTable` adds those of alarms.

    Args:
        executor: Runs its statements.
    """

    __slots__ = ("_executor",)

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def channels(self) -> Sequence[Channel]:
        """All channels, the one that has not asked for the longest time first."""
        return [_CHANNEL.read(row) for row in self._executor.all(_LIST_CHANNELS)]

    def keep_channel(self, channel: Channel) -> None:
        """Adds a channel, or changes it."""
        values = _CHANNEL.parameters(channel)
        if not self._executor.run(_CHANGE_CHANNEL, **values):
            self._executor.run(_ADD_CHANNEL, **values)

    def remove_channel(self, name: str) -> None:
        """Forgets a channel, and what it has told."""
        self._executor.run(_REMOVE_DELIVERIES_OF, name=name)
        self._executor.run(_REMOVE_DIGESTS_OF, name=name)
        self._executor.run(_REMOVE_CHANNEL, name=name)

    def has_digest(self, channel: str, day: str) -> bool:
        """Whether the digest of a day was added for a channel."""
        return self._executor.one(_HAS_DIGEST, channel=channel, day=day) is not None

    def add_digest(self, channel: str, day: str, now_ms: int) -> None:
        """Adds the digest of a day for a channel, if it is not there."""
        if not self.has_digest(channel, day):
            self._executor.run(
                ADD, **parameters(Notification(News.DIGEST, None, now_ms, channel, day))
            )

    def waiting(self, channel: str, limit: int) -> Sequence[tuple[Notification, Delivery | None]]:
        """What the channel has not told, the oldest first, with the leases that there were."""
        width = len(_ROW.columns)
        return [
            (
                _ROW.read(row[:width]),
                None if row[width] is None else _DELIVERY.read(row[width:]),
            )
            for row in self._executor.all(_WAITING, channel=channel, limit=limit)
        ]

    def over(self) -> Sequence[Notification]:
        """The notifications of alarms that are closed."""
        return [_ROW.read(row) for row in self._executor.all(_OVER)]

    def delivery(self, channel: str, notification: int) -> Delivery | None:
        """What is known of a notification at a channel."""
        row = self._executor.one(_DELIVERY_ONE, channel=channel, notification=notification)
        return _DELIVERY.read_one(row)

    def keep(self, delivery: Delivery) -> None:
        """Stores a lease, or that it was told."""
        values = _DELIVERY.parameters(delivery)
        if not self._executor.run(_CHANGE_DELIVERY, **values):
            self._executor.run(_ADD_DELIVERY, **values)

    def removable(self, from_ms: int, kept_max: int) -> int:
        """The sequence below which notifications can be removed; 0 if there is nothing to remove.

        Args:
            from_ms: Since when all are kept.
            kept_max: Most that are kept, whatever waits for them.
        """
        newest, count = self._executor.all(_NEWEST)[0]
        if newest is None:
            return 0
        ((oldest,),) = self._executor.all(_OLDEST_WAITING, from_ms=from_ms)
        before = newest if oldest is None else int(oldest)
        excess = int(newest) - kept_max + 1 if count > kept_max else 0
        return min(max(before, excess), int(newest)) if count > 1 else 0

    def remove_before(self, sequence: int) -> int:
        """Removes the notifications below a sequence; how many there were."""
        self._executor.run(_REMOVE_DELIVERIES, before=sequence)
        return self._executor.run(_REMOVE, before=sequence)
