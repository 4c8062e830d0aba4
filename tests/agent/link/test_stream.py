import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink_agent.domain.events import BoardStatus
from drink_agent.domain.evidence import Cause, Evidence
from drink_agent.domain.records import Result
from drink_agent.link import convert
from drink_agent.link.convert import LinkViolationError
from drink_agent.link.settings import LinkSettings
from drink_agent.link.stream import (
    CARD_WAIT_S,
    INTERVAL_S_MAX,
    JOURNAL_REPORT_MS_MAX,
    SILENT_INTERVALS,
    STATS_INTERVAL_S_MAX,
    LinkStream,
)

SETTINGS = LinkSettings()

LIMIT_S = 20.0
"""Limit of waits that normally take milliseconds."""


@dataclass
class Clock:
    """A clock that the test sets."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def welcomed(clock: Clock, interval_s: int = 10) -> LinkStream:
    """A stream that is welcomed five seconds after dialling."""
    stream = LinkStream(SETTINGS, clock)
    clock.now += 5
    stream.welcome(interval_s, 200, 0)
    return stream


async def everything(stream: LinkStream) -> list[str | None]:
    async with asyncio.timeout(LIMIT_S):
        return [message.WhichOneof("message") async for message in stream.messages()]


async def test_messages_come_out_in_order_and_the_end_after_them() -> None:
    stream = LinkStream(SETTINGS, Clock())
    stream.outgoing.put_nowait(convert.not_received("a"))
    stream.outgoing.put_nowait(convert.heartbeat(1, 0))
    stream.outgoing.put_nowait(None)
    assert await everything(stream) == ["not_received", "heartbeat"]


async def test_of_statuses_that_wait_only_the_newest_is_sent() -> None:
    stream = LinkStream(SETTINGS, Clock())
    sent = []
    for degrees in (1.0, 2.0, 3.0):
        stream.put_status(convert.board_status(BoardStatus(True, {}, degrees)))
    messages = stream.messages()
    sent.append(await anext(messages))
    stream.put_status(convert.board_status(BoardStatus(False, {}, None)))
    stream.outgoing.put_nowait(None)
    sent += [message async for message in messages]
    assert [each.board_status.temperature_celsius for each in sent] == [3.0, 0.0]
    assert [each.board_status.ready for each in sent] == [True, False]


async def test_a_card_waits_alone_and_not_for_long() -> None:
    clock = Clock(100.0)
    stream = LinkStream(SETTINGS, clock)
    messages = stream.messages()
    stream.put_card(convert.card_read("one"))
    stream.put_card(convert.card_read("two"))
    assert (await anext(messages)).card_read.number == "one"
    stream.put_card(convert.card_read("three"))
    clock.now += CARD_WAIT_S + 0.1
    stream.put(convert.goodbye())
    assert (await anext(messages)).HasField("goodbye")
    stream.put_card(convert.card_read("four"))
    assert (await anext(messages)).card_read.number == "four"


def test_a_card_puts_off_no_heartbeat() -> None:
    clock = Clock(100.0)
    stream = welcomed(clock, interval_s=10)
    due = stream.heartbeat_at
    clock.now = 105.0
    stream.put_card(convert.card_read("one"))
    assert stream.heartbeat_at == due


async def test_a_reader_is_woken() -> None:
    stream = LinkStream(SETTINGS, Clock())
    reading = asyncio.create_task(everything(stream))
    await asyncio.sleep(0)
    stream.outgoing.put_nowait(convert.goodbye())
    await asyncio.sleep(0)
    stream.outgoing.put_nowait(None)
    assert await reading == ["goodbye"]


def test_a_link_that_is_not_welcomed_has_a_deadline() -> None:
    stream = LinkStream(SETTINGS, Clock(100.0))
    assert stream.silent_at == 100.0 + SETTINGS.welcome_limit_s
    assert stream.heartbeat_at is None
    assert stream.up_s() == 0


def test_heartbeats_count_up_an_interval_apart_from_the_welcome_on() -> None:
    clock = Clock(100.0)
    stream = welcomed(clock, interval_s=10)
    assert stream.heartbeat_at == 115.0
    clock.now = 115.0
    assert stream.next_heartbeat(0) == 1
    assert stream.heartbeat_at == 125.0
    clock.now = 125.0
    assert stream.next_heartbeat(0) == 2
    assert stream.heartbeat_at == 135.0
    assert stream.up_s() == 20.0


def test_no_heartbeat_is_due_while_messages_pass_in_both_directions() -> None:
    clock = Clock(100.0)
    stream = welcomed(clock, interval_s=10)
    stream.next_heartbeat(0)
    clock.now = 112.0
    stream.put(convert.not_received("a"))
    assert stream.heartbeat_at == 115.0
    stream.received_at = 113.0
    assert stream.heartbeat_at == 122.0


def test_a_heartbeat_is_due_when_the_frontend_is_silent() -> None:
    """A frontend answers heartbeats; without one it would seem lost."""
    clock = Clock(100.0)
    stream = welcomed(clock, interval_s=10)
    for clock.now in (105.0, 108.0, 111.0, 114.0):
        stream.put_status(convert.board_status(BoardStatus(True, {}, clock.now)))
        assert stream.heartbeat_at == 115.0
    clock.now = 115.0
    stream.next_heartbeat(0)
    assert stream.heartbeat_at == 125.0
    assert stream.heartbeat_at < stream.silent_at


RESULT = Result("a", 1, Cause.BOARD_ACK, Evidence())


def test_fault_37_a_journal_is_told_by_the_result_or_soon() -> None:
    clock = Clock(100.0)
    stream = welcomed(clock, interval_s=10)
    stream.next_heartbeat(3)
    stream.must_tell(5)
    assert stream.heartbeat_at == 105.2
    stream.put(convert.result(4, RESULT))
    stream.put(convert.board_status(BoardStatus(True, {}, None)))
    assert stream.heartbeat_at == 105.2
    stream.put(convert.result(6, RESULT))
    assert stream.heartbeat_at == 115.0
    stream.must_tell(8)
    stream.next_heartbeat(8)
    assert stream.heartbeat_at == 115.0


def test_fault_37_a_journal_is_told_at_once_to_a_frontend_that_says_nothing_else() -> None:
    clock = Clock(100.0)
    stream = LinkStream(SETTINGS, clock)
    stream.welcome(10, 0, 0)
    stream.next_heartbeat(3)
    stream.must_tell(5)
    assert stream.heartbeat_at == 100.0


def test_three_silent_intervals_lose_the_link() -> None:
    stream = welcomed(Clock(100.0), interval_s=10)
    assert stream.silent_at == 105.0 + SILENT_INTERVALS * 10
    stream.received_at = 120.0
    assert stream.silent_at == 120.0 + SILENT_INTERVALS * 10


def test_a_second_welcome_breaks_the_protocol() -> None:
    with pytest.raises(LinkViolationError):
        welcomed(Clock()).welcome(10, 0, 0)


INT32 = st.integers(-(2**31), 2**31 - 1)


@given(INT32, INT32 | st.integers(0, JOURNAL_REPORT_MS_MAX), st.integers(0, 10_000))
def test_a_welcome_is_accepted_within_its_limits_only(
    interval_s: int, report_ms: int, wanted: int
) -> None:
    stream = LinkStream(SETTINGS, Clock())
    within = 1 <= interval_s <= INTERVAL_S_MAX and 0 <= report_ms <= JOURNAL_REPORT_MS_MAX
    if within and wanted <= SETTINGS.wanted_limit:
        stream.welcome(interval_s, report_ms, wanted)
        assert stream.up_since is not None
    else:
        with pytest.raises(LinkViolationError):
            stream.welcome(interval_s, report_ms, wanted)
        assert stream.up_since is None


class LoopClock:
    """The loop's clock plus an offset that a test sets."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return asyncio.get_running_loop().time() + self.ahead_s


async def test_a_link_without_welcome_is_lost_in_time() -> None:
    clock = LoopClock()
    stream = LinkStream(LinkSettings(welcome_limit_s=0.05), clock)
    with pytest.raises(TimeoutError):
        async with stream.heartbeat_monitor():
            await asyncio.sleep(LIMIT_S)
    assert clock() >= stream.silent_at


async def test_a_message_keeps_the_link() -> None:
    clock = LoopClock()
    stream = LinkStream(LinkSettings(welcome_limit_s=0.02), clock)
    async with stream.heartbeat_monitor():
        stream.welcome(1, 0, 0)
        await asyncio.sleep(0.1)
    assert clock() < stream.silent_at


async def test_an_earlier_deadline_counts_after_a_check() -> None:
    clock = LoopClock()
    stream = LinkStream(LinkSettings(welcome_limit_s=LIMIT_S * 10), clock)

    async def welcome_and_nothing_more() -> None:
        async with stream.heartbeat_monitor() as check_deadline:
            stream.welcome(1, 0, 0)
            clock.ahead_s = SILENT_INTERVALS - 0.05
            check_deadline()
            await asyncio.sleep(LIMIT_S)

    with pytest.raises(TimeoutError):
        await welcome_and_nothing_more()
    assert clock() >= stream.silent_at


@pytest.mark.parametrize(
    ("asked_s", "interval_s"), [(60, 60), (1_000_000, STATS_INTERVAL_S_MAX), (0, None), (-5, None)]
)
async def test_statistics_are_due_at_once_and_then_at_the_interval(
    asked_s: int, interval_s: int | None
) -> None:
    clock = Clock()
    stream = LinkStream(SETTINGS, clock)
    assert stream.stats_at is None
    stream.welcome(10, 200, 0, asked_s)
    assert stream.stats_at == (None if interval_s is None else clock.now)
    if interval_s is not None:
        clock.now += 7
        stream.put_stats(convert.not_received("a"))
        assert stream.stats_at == clock.now + interval_s
