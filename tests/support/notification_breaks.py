"""What the tables of notifications must refuse, by the name of the constraint."""

from collections.abc import Mapping

from drink_frontend.domain.alarms import Alarm, AlarmKind
from drink_frontend.domain.notifications import Channel, Delivery
from drink_frontend.storage.transaction import Transaction
from tests.support.kiosk_breaks import insert


def furnish_notifications(tx: Transaction) -> None:
    """Two alarms with their notifications, and a channel that has leased the first."""
    for kind in (AlarmKind.BACKUP_OLD, AlarmKind.BOOKS_UNSOUND):
        tx.alarms.add(Alarm(kind, "house", None, 1, 1, 1, {}))
    tx.notifications.keep_channel(Channel("mail", 1))
    first, _ = tx.notifications.waiting("mail", 2)
    tx.notifications.keep(Delivery("mail", first[0].sequence, 1, 1, 2, told=False))


_DIGEST = insert("notifications", news="DIGEST", at_ms=1, channel="mail", day="2026-11-29")
_DELIVERY = {
    "channel": "mail",
    "notification": 1,
    "lease": 1,
    "leased_ms": 1,
    "ends_ms": 2,
    "told": 0,
}

NOTIFICATION_BREAKS: Mapping[str, str | tuple[str, str]] = {
    "channels_key": insert("channels", name="mail", seen_ms=1, failures=0),
    "channels_failures": insert("channels", name="other", seen_ms=1, failures=-1),
    "notifications_key": insert("notifications", sequence=1, news="OPENED", alarm=1, at_ms=1),
    "notifications_alarm_exists": insert("notifications", news="OPENED", alarm=99, at_ms=1),
    "notifications_news": insert("notifications", news="REPEATED", alarm=1, at_ms=1),
    "notifications_alarm": insert("notifications", news="OPENED", at_ms=1),
    "notifications_digest": insert("notifications", news="DIGEST", at_ms=1, channel="mail"),
    "notifications_digest_once": (_DIGEST, _DIGEST),
    "deliveries_key": insert("deliveries", **_DELIVERY),
    "deliveries_channel_exists": insert("deliveries", **_DELIVERY | {"channel": "none"}),
    "deliveries_notification_exists": insert("deliveries", **_DELIVERY | {"notification": 99}),
    "deliveries_lease": insert("deliveries", **_DELIVERY | {"notification": 2, "lease": -1}),
    "deliveries_told": insert("deliveries", **_DELIVERY | {"notification": 2, "told": 2}),
}
"""Statements, of which the last one of each is to be refused."""
