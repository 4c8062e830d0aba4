"""Leases of notifications: each channel tells each at least once, by one notifier at a time."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from drink_frontend.domain.alarms import Alarm, AlarmKind, Severity
from drink_frontend.domain.limits import check_text
from drink_frontend.domain.notifications import (
    CHANNELS_MAX,
    FAILURES_ALARM,
    KEPT_MS,
    NOTIFICATIONS_MAX,
    Channel,
    Delivery,
    Leased,
    Notification,
    channel_subject,
)
from drink_frontend.domain.ports import Clock
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.alarms import close_for_frontend


@dataclass(frozen=True, slots=True)
class LeaseOrder:
    """What a notifier asks for.

    Attributes:
        channel: For which channel.
        limit: Most notifications.
        duration_ms: Milliseconds that the leases last.
        severities: Of these severities, and digests; empty for all.
        wait_ms: Nothing is leased until the oldest that can be is as old as that, in milliseconds,
            so that what happens together is told together.
        day: Day of the digest that is due; empty for none.
    """

    channel: str
    limit: int
    duration_ms: int
    severities: Collection[Severity] = ()
    wait_ms: int = 0
    day: str = ""


class Notifications:
    """Leases and settles notifications, and removes old ones.

    Args:
        storage: The database.
        clock: Time.
    """

    def __init__(self, storage: Database, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def lease(self, order: LeaseOrder) -> Sequence[Leased]:
        """Leases what the channel has not told and nobody has leased, the oldest first.

        A channel that asks for the first time is told of alarms that are open, and not of those
        that were closed before. A lease that is not settled until it ends can be leased again.
        """
        now_ms = self._clock.now_ms()

        def look(tx: Transaction) -> bool:
            known = {channel.name for channel in tx.notifications.channels()}
            if order.channel not in known:
                return True
            if order.day and not tx.notifications.has_digest(order.channel, order.day):
                return True
            return bool(_free(tx, order, now_ms))

        # A notifier asks often, and mostly for nothing.
        if not await self._storage.read(look):
            return []
        return await self._storage.write(lambda tx: _lease(tx, order, now_ms))

    async def settle(
        self, channel: str, leases: Iterable[tuple[int, int]], *, failed: bool, why: str = ""
    ) -> Sequence[int]:
        """Stores that a channel has told notifications, or has failed to.

        Args:
            channel: The channel.
            leases: Numbers of notifications, each with that of its lease.
            failed: Whether it has failed; then they can be leased again at once.
            why: How it failed, in words without secrets.

        Returns:
            Those that were leased again meanwhile, or are no longer there; they are unchanged.

        Raises:
            FieldInvalidError: `why` is longer than a line.
        """
        check_text(why, "reason")
        now_ms, wanted = self._clock.now_ms(), list(leases)
        return await self._storage.write(
            lambda tx: _settle(tx, channel, wanted, None if not failed else why, now_ms)
        )

    async def expire(self) -> int:
        """Removes notifications that nobody waits for and that are old; how many.

        Raises:
            StorageUnavailableError: the database does not answer.
        """
        from_ms = self._clock.now_ms() - KEPT_MS

        def removable(tx: Transaction) -> int:
            return tx.notifications.removable(from_ms, NOTIFICATIONS_MAX)

        if not await self._storage.read(removable):
            return 0
        return await self._storage.write(lambda tx: tx.notifications.remove_before(removable(tx)))


def _free(
    tx: Transaction, order: LeaseOrder, now_ms: int
) -> Sequence[tuple[Notification, Alarm | None, Delivery | None]]:
    """What can be leased; nothing while the oldest of it is younger than the order waits for."""
    found: list[tuple[Notification, Alarm | None, Delivery | None]] = []
    for notification, delivery in tx.notifications.waiting(order.channel, NOTIFICATIONS_MAX):
        if delivery is not None and not delivery.is_free(now_ms):
            continue
        alarm = None if notification.alarm is None else tx.alarms.get(notification.alarm)
        if alarm is not None and order.severities and alarm.severity not in order.severities:
            continue
        found.append((notification, alarm, delivery))
        if len(found) == order.limit:
            break
    # The age of what happened after a clock was set back is not known: it counts as old.
    waits = found and 0 <= now_ms - found[0][0].at_ms < order.wait_ms
    return [] if waits else found


def _lease(tx: Transaction, order: LeaseOrder, now_ms: int) -> Sequence[Leased]:
    channel = _enter(tx, order.channel, now_ms)
    tx.notifications.keep_channel(replace(channel, seen_ms=now_ms))
    if order.day:
        tx.notifications.add_digest(order.channel, order.day, now_ms)
    leased = []
    for notification, alarm, before in _free(tx, order, now_ms):
        number = 1 if before is None else before.lease + 1
        ends_ms = now_ms + order.duration_ms
        tx.notifications.keep(
            Delivery(order.channel, notification.sequence, number, now_ms, ends_ms, told=False)
        )
        leased.append(Leased(notification, alarm, number))
    return leased


def _enter(tx: Transaction, name: str, now_ms: int) -> Channel:
    """The channel; a new one has told what is over, and may take the place of another."""
    known = tx.notifications.channels()
    for channel in known:
        if channel.name == name:
            return channel
    for channel in known[: max(0, len(known) + 1 - CHANNELS_MAX)]:
        tx.notifications.remove_channel(channel.name)
        _recover(tx, channel.name, now_ms)
    new = Channel(name, now_ms)
    tx.notifications.keep_channel(new)
    for each in tx.notifications.over():
        tx.notifications.keep(Delivery(name, each.sequence, 0, now_ms, now_ms, told=True))
    return new


def _settle(
    tx: Transaction,
    name: str,
    leases: Iterable[tuple[int, int]],
    failure: str | None,
    now_ms: int,
) -> Sequence[int]:
    stale, settled = [], 0
    for sequence, lease in leases:
        before = tx.notifications.delivery(name, sequence)
        if before is None or before.lease != lease or before.told:
            stale.append(sequence)
            continue
        after = replace(before, told=failure is None, ends_ms=now_ms)
        tx.notifications.keep(after)
        settled += 1
    channel = next((each for each in tx.notifications.channels() if each.name == name), None)
    if channel is None or not settled:
        return stale
    if failure is None:
        if channel.failures:
            tx.notifications.keep_channel(replace(channel, failures=0))
            _recover(tx, name, now_ms)
        return stale
    failures = channel.failures + 1
    tx.notifications.keep_channel(replace(channel, failures=failures))
    subject = channel_subject(name)
    is_open = tx.alarms.open_one(AlarmKind.CHANNEL_FAILED, subject) is not None
    if failures >= FAILURES_ALARM and not is_open:
        facts = {"failures": failures, "reason": failure}
        kind = AlarmKind.CHANNEL_FAILED
        tx.alarms.add(Alarm(kind, subject, None, now_ms, now_ms, 1, facts))
    return stale


def _recover(tx: Transaction, name: str, now_ms: int) -> None:
    alarm = tx.alarms.open_one(AlarmKind.CHANNEL_FAILED, channel_subject(name))
    if alarm is not None:
        close_for_frontend(tx, alarm, now_ms)
