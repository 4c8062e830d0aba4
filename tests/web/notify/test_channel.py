"""A channel over a real frontend: told once, in few messages, at the right hours."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from drink_frontend.domain.alarms import Alarm, AlarmKind
from drink_frontend.domain.entities import Proof
from drink_frontend.domain.notifications import FAILURES_ALARM
from drink_frontend.domain.tokens import Scope
from drink_frontend.storage.transaction import Transaction
from drink_web.api import Api
from drink_web.errors import CallError
from drink_web.notify.channel import LEASED_MAX, Channel
from drink_web.notify.message import Message
from drink_web.notify.metrics import ChannelFacts
from drink_web.notify_settings import ChannelSettings, NotifySettings
from drink_web.settings import FrontendSettings
from tests.support.rpc_frontend import Frontend, running_frontend

NOTIFY = NotifySettings(look_s=5, group_s=0, pause_s=120, retry_first_s=10, retry_limit_s=60)


@dataclass
class Letterbox:
    """Keeps messages, or fails; implements `notify.channel.Sends`."""

    messages: list[Message] = field(default_factory=list)
    failure: str = ""

    async def send(self, message: Message) -> str:
        if not self.failure:
            self.messages.append(message)
        return self.failure


@dataclass
class Desk:
    """A real frontend, and channels of notifiers that are logged in there."""

    frontend: Frontend
    api: Api
    token: str
    now: datetime = datetime(2026, 11, 30, 12, tzinfo=UTC)
    facts: ChannelFacts = field(default_factory=ChannelFacts)

    def channel(
        self, box: Letterbox, name: str = "mail", notify: NotifySettings = NOTIFY, **chosen: Any
    ) -> Channel:
        settings = ChannelSettings.model_validate({"name": name, "url_env": "X"} | chosen)
        access = self.api, self.api.caller(self.token)
        return Channel(settings, notify, box, access, self.facts, now=lambda: self.now)

    async def raise_alarms(
        self, numbers: Iterable[int], kind: AlarmKind = AlarmKind.BOARD_DOWN
    ) -> None:
        now_ms = self.frontend.bench.clock.now_ms()

        def unit(tx: Transaction) -> None:
            for number in numbers:
                tx.alarms.add(Alarm(kind, f"machines/m{number}", None, now_ms, now_ms, 1, {}))

        await self.frontend.bench.storage.write(unit)

    async def close(self, number: int) -> None:
        kind, subject = AlarmKind.BOARD_DOWN, f"machines/m{number}"
        await self.frontend.bench.storage.write(
            lambda tx: tx.alarms.close_open(kind, subject, "frontend", 9)
        )


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with running_frontend() as frontend:
        root = await frontend.bench.account("root")
        tokens = frontend.bench.accounts.tokens
        token, _ = await tokens.issue(root, Proof.PASSWORD, scope=Scope.NOTIFY)
        api = Api(FrontendSettings(address=f"localhost:{frontend.port}"))
        try:
            yield Desk(frontend, api, token)
        finally:
            await api.close()


async def test_an_alarm_and_its_end_are_told_once_by_each_channel(desk: Desk) -> None:
    mail, hook = Letterbox(), Letterbox()
    channels = desk.channel(mail), desk.channel(hook, "hook")
    await desk.raise_alarms([1])
    for _ in range(2):
        for channel in channels:
            await channel.round()
    await desk.close(1)
    assert [await channel.round() for channel in channels] == [120, 120]
    assert [await channel.round() for channel in channels] == [5, 5]
    for box in (mail, hook):
        assert [message.title for message in box.messages] == [
            "Drink: an alarm",
            "Drink: one is over",
        ]


async def test_500_alarms_are_one_message_and_wait_for_each_other(desk: Desk) -> None:
    box = Letterbox()
    channel = desk.channel(box, notify=NOTIFY.model_copy(update={"group_s": 15}))
    await channel.round()
    for part in range(5):
        await desk.raise_alarms(range(part * 100, part * 100 + 100))
        await channel.round()
    assert box.messages == []
    desk.frontend.bench.clock.pass_s(15)
    await channel.round()
    assert [message.title for message in box.messages] == ["Drink: 500 alarms"]


async def test_more_alarms_than_one_lease_takes_are_one_message(desk: Desk) -> None:
    box = Letterbox()
    channel = desk.channel(box)
    await channel.round()
    await desk.raise_alarms(range(2 * LEASED_MAX + 500))
    assert [await channel.round() for _ in range(2)] == [NOTIFY.pause_s, NOTIFY.look_s]
    assert [message.title for message in box.messages] == ["Drink: 2500 alarms"]


async def test_a_channel_that_fails_for_an_hour_is_asked_seldom_and_then_tells_all_once(
    desk: Desk,
) -> None:
    box = Letterbox(failure="500")
    settings = NOTIFY.model_copy(update={"retry_limit_s": 600})
    channel, clock = desk.channel(box, notify=settings), desk.frontend.bench.clock
    rounds, passed_s = 0, 0.0
    while passed_s < 3_600:
        await desk.raise_alarms([rounds])
        rounds += 1
        pause_s = await channel.round()
        clock.pass_s(pause_s)
        passed_s += pause_s
    assert desk.facts.failed == rounds < 15
    box.failure = ""
    # The alarm of the channel itself is among them, and its end is told by the next message.
    assert [await channel.round() for _ in range(3)] == [NOTIFY.pause_s] * 2 + [NOTIFY.look_s]
    titles = [message.title for message in box.messages]
    assert titles == [f"Drink: {rounds + 1} alarms", "Drink: one is over"]


async def test_two_notifiers_do_not_both_tell(desk: Desk) -> None:
    box = Letterbox()
    await desk.raise_alarms(range(50))
    await asyncio.gather(*(desk.channel(box).round() for _ in range(5)))
    assert [message.title for message in box.messages] == ["Drink: 50 alarms"]


async def test_what_a_notifier_that_was_killed_has_leased_is_told_by_another(desk: Desk) -> None:
    class Killed(Letterbox):
        async def send(self, message: Message) -> str:
            raise asyncio.CancelledError

    box = Letterbox()
    await desk.raise_alarms([1])
    with pytest.raises(asyncio.CancelledError):
        await desk.channel(Killed()).round()
    await desk.channel(box).round()
    assert box.messages == []
    desk.frontend.bench.clock.pass_s(NOTIFY.lease_s)
    await desk.channel(box).round()
    assert len(box.messages) == 1


async def test_a_channel_that_fails_is_told_by_the_other_and_tries_ever_more_seldom(
    desk: Desk,
) -> None:
    bad, good = Letterbox(failure="no answer"), Letterbox()
    channel, other = desk.channel(bad), desk.channel(good, "hook")
    await desk.raise_alarms([1])
    assert [await channel.round() for _ in range(4)] == [10, 20, 40, 60]
    await other.round()
    assert "Alarms do not get through on a channel: mail" in good.messages[0].body
    assert FAILURES_ALARM <= 4
    bad.failure = ""
    assert await channel.round() == 120
    assert "m1" in bad.messages[0].body
    await other.round()
    assert good.messages[1].body.startswith("Over: Alarms do not get through")


async def test_only_what_a_channel_is_for_is_told(desk: Desk) -> None:
    await desk.raise_alarms([1])
    await desk.raise_alarms([2], AlarmKind.BOOKS_UNSOUND)
    await desk.raise_alarms([3], AlarmKind.SLOT_LOW)
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"least": "warning"}, ["m2", "m1"]),
        ({"least": "critical"}, ["m2"]),
        ({"kinds": ["SLOT_LOW"]}, ["m3"]),
        ({"machines": ["d"]}, []),
    ]
    for number, (chosen, subjects) in enumerate(cases):
        box = Letterbox()
        channel = desk.channel(box, f"channel-{number}", **chosen)
        await channel.round()
        await channel.round()
        body = "".join(message.body for message in box.messages)
        assert [each for each in ("m2", "m1", "m3") if f": {each}," in body] == subjects


async def test_quiet_hours_let_critical_alarms_pass_and_the_rest_is_told_afterwards(
    desk: Desk,
) -> None:
    box = Letterbox()
    chosen: dict[str, Any] = {"quiet_hours": "22:00-07:00", "time_zone": "Europe/Berlin"}
    channel = desk.channel(box, **chosen)
    silent = desk.channel(Letterbox(), "silent", quiet_critical=False, **chosen)
    await channel.round()
    desk.now = datetime(2026, 11, 30, 21, 30, tzinfo=UTC)
    await desk.raise_alarms([1])
    await desk.raise_alarms([2], AlarmKind.BOOKS_UNSOUND)
    await channel.round()
    assert await silent.round() == NOTIFY.look_s
    assert [": m2," in message.body for message in box.messages] == [True]
    desk.now = datetime(2026, 12, 1, 6, 30, tzinfo=UTC)
    await channel.round()
    assert [": m1," in message.body for message in box.messages] == [False, True]


async def test_a_digest_comes_once_a_day(desk: Desk) -> None:
    box = Letterbox()
    channels = [desk.channel(box, digest="08:00", time_zone="Europe/Berlin") for _ in range(2)]

    async def at(day: int, hour: int) -> int:
        desk.now = datetime(2026, 11, day, hour, 30, tzinfo=UTC)
        for channel in channels:
            await channel.round()
        return len(box.messages)

    assert [await at(29, 6), await at(29, 7), await at(29, 20), await at(30, 6)] == [0, 1, 1, 1]
    assert box.messages[0].title == "Drink: no open alarm"
    await desk.raise_alarms([1])
    assert await at(30, 8) == 2
    assert ": m1," in box.messages[1].body


async def test_a_refusal_of_the_frontend_is_an_error_of_the_round(desk: Desk) -> None:
    desk.token = "wrong"
    with pytest.raises(CallError, match="TOKEN_INVALID"):
        await desk.channel(Letterbox()).round()


async def test_failures_and_what_waits_are_kept_for_the_metrics(desk: Desk) -> None:
    box = Letterbox(failure="away")
    channel, facts = desk.channel(box), desk.facts
    await desk.raise_alarms([1, 2])
    for _ in range(2):
        await channel.round()
    assert (facts.failed, facts.failures, facts.waiting, facts.sent) == (2, 2, 2, 0)
    assert facts.oldest_s == desk.frontend.bench.clock.now_ms() / 1000
    box.failure = ""
    await channel.round()
    assert (facts.failed, facts.failures, facts.waiting, facts.sent) == (2, 0, 0, 1)
    assert (facts.told, facts.success_s) == (2, desk.now.timestamp())
