import asyncio

import pytest

from drink_agent.domain.events import BoardStatus
from drink_agent.link import convert
from drink_agent.link.settings import LinkSettings
from drink_agent.link.state import SILENT_INTERVALS, LinkState
from drink_agent.link.stream import Outbox, heartbeat_monitor


async def everything(outbox: Outbox) -> list[str | None]:
    async with asyncio.timeout(5):
        return [message.WhichOneof("message") async for message in outbox]


async def test_messages_come_out_in_order_and_the_end_after_them() -> None:
    outbox = Outbox(10)
    outbox.put(convert.not_received("a"))
    outbox.put(convert.heartbeat(1, 0))
    outbox.close()
    assert await everything(outbox) == ["not_received", "heartbeat"]


async def test_a_full_outbox_refuses_messages() -> None:
    outbox = Outbox(2)
    assert [outbox.put(convert.not_received(drop)) for drop in "abc"] == [True, True, False]
    outbox.close()
    assert not outbox.put(convert.goodbye())
    assert len(await everything(outbox)) == 2


async def test_only_the_newest_status_is_kept() -> None:
    outbox = Outbox(1)
    for degrees in (1.0, 2.0, 3.0):
        outbox.put_status(convert.board_status(BoardStatus(True, {}, degrees)))
    outbox.close()
    async with asyncio.timeout(5):
        (message,) = [message async for message in outbox]
    assert message.board_status.temperature_celsius == 3.0


async def test_a_reader_is_woken() -> None:
    outbox = Outbox(1)
    reading = asyncio.create_task(everything(outbox))
    await asyncio.sleep(0)
    outbox.put(convert.goodbye())
    await asyncio.sleep(0)
    outbox.close()
    assert await reading == ["goodbye"]


LIMIT_S = 5.0
"""Limit of waits that normally take milliseconds."""


class Clock:
    """The loop's clock plus an offset that a test sets."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return asyncio.get_running_loop().time() + self.ahead_s


async def test_a_link_without_welcome_is_lost_in_time() -> None:
    clock = Clock()
    state = LinkState(LinkSettings(welcome_limit_s=0.05), clock())
    with pytest.raises(TimeoutError):
        async with heartbeat_monitor(state, clock):
            await asyncio.sleep(LIMIT_S)
    assert clock() >= state.silent_at


async def test_a_message_keeps_the_link() -> None:
    clock = Clock()
    state = LinkState(LinkSettings(welcome_limit_s=0.02), clock())
    async with heartbeat_monitor(state, clock):
        state.record_welcome(1, 0, clock())
        await asyncio.sleep(0.1)
    assert clock() < state.silent_at


async def test_an_earlier_deadline_counts_after_a_check() -> None:
    clock = Clock()
    state = LinkState(LinkSettings(welcome_limit_s=LIMIT_S * 10), clock())

    async def hear_a_welcome_and_nothing_more() -> None:
        async with heartbeat_monitor(state, clock) as check_deadline:
            state.record_welcome(1, 0, clock())
            clock.ahead_s = SILENT_INTERVALS - 0.05
            check_deadline()
            await asyncio.sleep(LIMIT_S)

    with pytest.raises(TimeoutError):
        await hear_a_welcome_and_nothing_more()
    assert clock() >= state.silent_at
