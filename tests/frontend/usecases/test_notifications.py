"""Each channel tells each notification at least once, by one notifier at a time."""

from collections.abc import Sequence

import pytest

from drink_frontend.domain.alarms import Alarm, AlarmKind, AlarmState, Severity
from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.notifications import (
    CHANNELS_MAX,
    FAILURES_ALARM,
    KEPT_MS,
    Leased,
    News,
)
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.notifications import LeaseOrder
from tests.support.bench import Bench

LEASE_MS = 60_000


async def raise_alarm(bench: Bench, number: int, kind: AlarmKind = AlarmKind.BOARD_DOWN) -> None:
    now_ms = bench.clock.now_ms()
    alarm = Alarm(kind, f"machines/{number}", None, now_ms, now_ms, 1, {})
    await bench.storage.write(lambda tx: tx.alarms.add(alarm))


async def close(bench: Bench, number: int) -> None:
    def unit(tx: Transaction) -> None:
        subject, now_ms = f"machines/{number}", bench.clock.now_ms()
        tx.alarms.close_open(AlarmKind.BOARD_DOWN, subject, "frontend", now_ms)

    await bench.storage.write(unit)


async def lease(
    bench: Bench, channel: str = "mail", limit: int = 100, **terms: object
) -> Sequence[Leased]:
    order = LeaseOrder(channel, limit, LEASE_MS, **terms)  # type: ignore[arg-type]
    return await bench.notifications.lease(order)


def keys(leased: Sequence[Leased]) -> list[tuple[int, int]]:
    return [(each.notification.sequence, each.lease) for each in leased]


async def test_what_is_leased_is_told_once_by_each_channel(bench: Bench) -> None:
    await raise_alarm(bench, 1)
    await raise_alarm(bench, 2)
    first = await lease(bench)
    assert [(each.notification.news, each.alarm and each.alarm.subject) for each in first] == [
        (News.OPENED, "machines/1"),
        (News.OPENED, "machines/2"),
    ]
    assert await lease(bench) == []
    assert len(await lease(bench, "hook")) == 2
    assert await bench.notifications.settle("mail", keys(first), failed=False) == []
    bench.clock.pass_s(3_600)
    assert await lease(bench) == []
    assert len(await lease(bench, "hook")) == 2


async def test_two_notifiers_share_and_a_lease_that_ended_is_given_again(bench: Bench) -> None:
    for number in range(5):
        await raise_alarm(bench, number)
    ours, theirs = await lease(bench, limit=3), await lease(bench, limit=3)
    assert (len(ours), len(theirs)) == (3, 2)
    bench.clock.pass_s(LEASE_MS / 1000)
    again = await lease(bench)
    assert [each for each, _ in keys(again)] == [each for each, _ in keys(ours) + keys(theirs)]
    # The first notifier was away: it must not settle what another one tells now.
    stale = await bench.notifications.settle("mail", keys(ours), failed=False)
    assert list(stale) == [each for each, _ in keys(ours)]
    assert await bench.notifications.settle("mail", keys(again), failed=False) == []
    # The answer was lost.
    assert len(await bench.notifications.settle("mail", keys(again), failed=False)) == 5


async def test_what_happens_together_is_leased_together(bench: Bench) -> None:
    await lease(bench)
    await raise_alarm(bench, 1)
    bench.clock.pass_s(20)
    await raise_alarm(bench, 2)
    assert await lease(bench, wait_ms=30_000) == []
    bench.clock.pass_s(10)
    assert len(await lease(bench, wait_ms=30_000)) == 2
    await raise_alarm(bench, 3)
    bench.clock.jump_s(-86_400)
    assert len(await lease(bench, wait_ms=30_000)) == 3


async def test_only_some_severities_are_leased(bench: Bench) -> None:
    await raise_alarm(bench, 1)
    await raise_alarm(bench, 2, AlarmKind.BOOKS_UNSOUND)
    (critical,) = await lease(bench, severities=[Severity.CRITICAL])
    assert critical.alarm is not None
    assert critical.alarm.kind is AlarmKind.BOOKS_UNSOUND
    (rest,) = await lease(bench)
    assert rest.alarm is not None
    assert rest.alarm.kind is AlarmKind.BOARD_DOWN


async def test_a_new_channel_is_told_of_what_is_open_only(bench: Bench) -> None:
    await raise_alarm(bench, 1)
    await close(bench, 1)
    await raise_alarm(bench, 2)
    (open_one,) = await lease(bench)
    assert open_one.alarm is not None
    assert open_one.alarm.subject == "machines/2"
    await close(bench, 2)
    (closed,) = await lease(bench)
    assert (closed.notification.news, closed.alarm and closed.alarm.state) == (
        News.CLOSED,
        AlarmState.CLOSED,
    )


async def test_a_digest_is_due_once_for_a_day(bench: Bench) -> None:
    (digest,) = await lease(bench, day="2026-11-29")
    assert (digest.notification.news, digest.notification.day, digest.alarm) == (
        News.DIGEST,
        "2026-11-29",
        None,
    )
    await bench.notifications.settle("mail", keys([digest]), failed=False)
    assert await lease(bench, day="2026-11-29") == []
    assert len(await lease(bench, day="2026-11-30")) == 1
    assert len(await lease(bench, "hook", day="2026-11-30")) == 1


async def test_a_channel_that_fails_is_an_alarm_that_others_tell(bench: Bench) -> None:
    await raise_alarm(bench, 1)
    for number in range(FAILURES_ALARM):
        failed = await lease(bench)
        assert [each.lease for each in failed] == [number + 1]
        await bench.notifications.settle("mail", keys(failed), failed=True, why="HTTP 500")
    (alarm,) = await bench.review.list(kinds=[AlarmKind.CHANNEL_FAILED], limit=9)
    assert (alarm.subject, alarm.facts) == (
        "channels/mail",
        {"failures": FAILURES_ALARM, "reason": "HTTP 500"},
    )
    other = await lease(bench, "hook")
    assert [each.alarm and each.alarm.kind for each in other] == [
        AlarmKind.BOARD_DOWN,
        AlarmKind.CHANNEL_FAILED,
    ]
    works = await lease(bench)
    await bench.notifications.settle("mail", keys(works), failed=False)
    assert await bench.review.list(kinds=[AlarmKind.CHANNEL_FAILED], limit=9) == []
    with pytest.raises(FieldInvalidError):
        await bench.notifications.settle("mail", keys(works), failed=True, why="x" * 201)


async def test_the_channel_that_was_away_for_longest_makes_room(bench: Bench) -> None:
    await raise_alarm(bench, 1)
    for number in range(CHANNELS_MAX + 1):
        bench.clock.pass_s(1)
        await lease(bench, f"channel-{number}")
    known = await bench.storage.read(lambda tx: tx.notifications.channels())
    assert len(known) == CHANNELS_MAX
    assert "channel-0" not in {channel.name for channel in known}


async def test_nothing_is_written_when_there_is_nothing_to_tell(bench: Bench) -> None:
    await lease(bench, day="1")
    await bench.notifications.settle("mail", [(1, 1)], failed=False)
    units = bench.storage.stats.units
    for _ in range(5):
        assert await lease(bench, day="1") == []
    assert await bench.notifications.expire() == 0
    assert bench.storage.stats.units == units


async def test_old_notifications_go_and_those_that_wait_stay(bench: Bench) -> None:
    for number in range(3):
        await raise_alarm(bench, number)
    told = await lease(bench)
    await bench.notifications.settle("mail", keys(told), failed=False)
    bench.clock.pass_s(KEPT_MS / 1000 + 1)
    await raise_alarm(bench, 9)
    assert await bench.notifications.expire() == 3
    bench.clock.pass_s(KEPT_MS / 1000 + 1)
    await raise_alarm(bench, 10)
    assert await bench.notifications.expire() == 0
    assert len(await lease(bench)) == 2
