"""The contract of `NotificationTable`, and the notifications of alarms."""

from drink_frontend.domain.alarms import Alarm, AlarmKind
from drink_frontend.domain.notifications import Channel, Delivery, News
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction


def raise_alarm(tx: Transaction, number: int, at_ms: int) -> None:
    tx.alarms.add(Alarm(AlarmKind.MACHINE_OFFLINE, f"machines/{number}", None, at_ms, at_ms, 1, {}))


async def waiting(storage: Database, channel: str = "mail") -> list[tuple[int, str]]:
    found = await storage.read(lambda tx: tx.notifications.waiting(channel, 100))
    return [(each.sequence, each.news.value) for each, _ in found]


async def test_openings_and_closings_wait_and_repeats_do_not(storage: Database) -> None:
    def unit(tx: Transaction) -> None:
        for at_ms in (1, 2):
            raise_alarm(tx, 1, at_ms)
        raise_alarm(tx, 2, 3)
        tx.alarms.close(1, "root", 4)
        tx.alarms.close_open(AlarmKind.MACHINE_OFFLINE, "machines/2", "root", 5)
        tx.alarms.close_open(AlarmKind.MACHINE_OFFLINE, "machines/2", "root", 6)
        tx.alarms.acknowledge(2, "root", 7)

    await storage.write(unit)
    assert await waiting(storage) == [(1, "OPENED"), (2, "OPENED"), (3, "CLOSED"), (4, "CLOSED")]
    found = await storage.read(lambda tx: tx.notifications.waiting("mail", 2))
    assert [(each.alarm, each.at_ms, each.channel) for each, _ in found] == [
        (1, 1, None),
        (2, 3, None),
    ]


async def test_what_a_channel_has_told_no_longer_waits_there(storage: Database) -> None:
    leased = Delivery("mail", 1, 1, 10, 20, told=False)

    def unit(tx: Transaction) -> None:
        raise_alarm(tx, 1, 1)
        raise_alarm(tx, 2, 2)
        for name in ("mail", "hook"):
            tx.notifications.keep_channel(Channel(name, 1))
        tx.notifications.keep(leased)
        tx.notifications.keep(Delivery("mail", 2, 1, 10, 20, told=True))

    await storage.write(unit)
    ((_, delivery),) = await storage.read(lambda tx: tx.notifications.waiting("mail", 9))
    assert delivery == leased
    assert await storage.read(lambda tx: tx.notifications.delivery("mail", 1)) == leased
    assert await storage.read(lambda tx: tx.notifications.delivery("hook", 1)) is None
    assert await waiting(storage, "hook") == [(1, "OPENED"), (2, "OPENED")]


async def test_a_digest_is_added_once_and_for_its_channel(storage: Database) -> None:
    def unit(tx: Transaction) -> None:
        tx.notifications.add_digest("mail", "2026-11-29", 1)
        tx.notifications.add_digest("mail", "2026-11-29", 2)
        tx.notifications.add_digest("hook", "2026-11-29", 3)

    await storage.write(unit)
    assert await waiting(storage) == [(1, "DIGEST")]
    assert await waiting(storage, "hook") == [(2, "DIGEST")]


async def test_channels_are_kept_changed_and_forgotten(storage: Database) -> None:
    def unit(tx: Transaction) -> None:
        raise_alarm(tx, 1, 1)
        for channel in (Channel("mail", 5), Channel("hook", 3), Channel("mail", 7, 2)):
            tx.notifications.keep_channel(channel)
        tx.notifications.keep(Delivery("mail", 1, 1, 10, 20, told=True))
        tx.notifications.add_digest("mail", "1", 1)

    await storage.write(unit)
    assert await storage.read(lambda tx: tx.notifications.channels()) == [
        Channel("hook", 3),
        Channel("mail", 7, 2),
    ]
    await storage.write(lambda tx: tx.notifications.remove_channel("mail"))
    assert await waiting(storage) == [(1, "OPENED")]
    assert await storage.read(lambda tx: tx.notifications.channels()) == [Channel("hook", 3)]


async def test_what_is_over_is_found(storage: Database) -> None:
    def unit(tx: Transaction) -> None:
        raise_alarm(tx, 1, 1)
        raise_alarm(tx, 2, 2)
        tx.alarms.close(1, "root", 3)

    await storage.write(unit)
    over = await storage.read(lambda tx: tx.notifications.over())
    assert sorted((each.alarm, each.news) for each in over) == [(1, News.CLOSED), (1, News.OPENED)]


async def test_what_is_old_and_told_everywhere_can_be_removed_but_for_the_newest(
    storage: Database,
) -> None:
    async def removable(from_ms: int, kept_max: int = 100) -> int:
        return await storage.read(lambda tx: tx.notifications.removable(from_ms, kept_max))

    def unit(tx: Transaction) -> None:
        for number in (1, 2, 3, 4):
            raise_alarm(tx, number, number)
        tx.notifications.keep_channel(Channel("mail", 1))

    assert await removable(100) == 0
    await storage.write(unit)
    assert await removable(100) == 1
    assert await removable(100, kept_max=2) == 3
    for number in (1, 2, 3, 4):
        told = Delivery("mail", number, 1, 1, 2, told=True)
        await storage.write(lambda tx, told=told: tx.notifications.keep(told))  # type: ignore[misc]
    assert await removable(3) == 3
    assert await removable(100) == 4
    assert await storage.write(lambda tx: tx.notifications.remove_before(4)) == 3
    await storage.write(lambda tx: raise_alarm(tx, 5, 5))
    assert await waiting(storage) == [(5, "OPENED")]
