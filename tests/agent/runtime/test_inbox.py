import asyncio
import time

import pytest

from drink_agent.domain.events import (
    Ack,
    BoardLateEvidence,
    BoardOutcome,
    BoardStatus,
    Command,
    Tick,
)
from drink_agent.domain.evidence import Cause, Evidence
from drink_agent.runtime.inbox import Inbox

LIMIT_S = 5.0


async def test_events_come_out_in_order_and_nothing_after_the_time() -> None:
    inbox = Inbox(10, time.monotonic)
    inbox.post(Ack("a", 1))
    inbox.post(Ack("b", 1))
    assert [await inbox.get(0), await inbox.get(0)] == [Ack("a", 1), Ack("b", 1)]
    assert await inbox.get(0) is None
    assert await inbox.get(0.01) is None


async def test_a_waiting_loop_is_woken() -> None:
    inbox = Inbox(10, time.monotonic)
    waiting = asyncio.create_task(inbox.get(LIMIT_S))
    await asyncio.sleep(0)
    inbox.post(Tick())
    assert await waiting == Tick()


async def test_the_board_is_never_held_up_and_its_outcomes_are_kept() -> None:
    inbox = Inbox(1, time.monotonic)
    inbox.post(BoardOutcome("a", Cause.BOARD_ACK, Evidence()))
    inbox.post(BoardLateEvidence("b", Cause.BOARD_ACK, Evidence()))
    assert await inbox.get(0) == BoardOutcome("a", Cause.BOARD_ACK, Evidence())
    assert await inbox.get(0) == BoardLateEvidence("b", Cause.BOARD_ACK, Evidence())


async def test_any_number_of_statuses_wakes_the_loop_once() -> None:
    inbox = Inbox(1, time.monotonic)
    for _ in range(1000):
        inbox.post(BoardStatus(ready=True))
    assert await inbox.get(LIMIT_S) is None
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(inbox.get(LIMIT_S), 0.01)


async def test_the_link_waits_while_it_is_full() -> None:
    inbox = Inbox(2, time.monotonic)
    await inbox.offer(Ack("a", 1))
    await inbox.offer(Ack("b", 1))
    third = asyncio.create_task(inbox.offer(Ack("c", 1)))
    await asyncio.sleep(0)
    assert not third.done()
    assert await inbox.get(0) == Ack("a", 1)
    await asyncio.wait_for(third, LIMIT_S)
    assert [await inbox.get(0), await inbox.get(0)] == [Ack("b", 1), Ack("c", 1)]


async def test_fault_29_a_command_grows_old_while_it_waits() -> None:
    """Invariant 16: the loop may wait for a slow disk meanwhile."""
    now_s = 100.0
    inbox = Inbox(1, lambda: now_s)
    full = Command("a", 1, epoch=1, ttl_ms=10_000)
    await inbox.offer(full)
    late = asyncio.create_task(inbox.offer(Command("b", 1, epoch=1, ttl_ms=10_000)))
    await asyncio.sleep(0)
    now_s = 107.5
    assert await inbox.get(0) == Command("a", 1, epoch=1, ttl_ms=2_500)
    await late
    now_s = 112.0
    assert await inbox.get(0) == Command("b", 1, epoch=1, ttl_ms=-2_000)
