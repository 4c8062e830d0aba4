import asyncio

import pytest

from drink_agent.link.settings import LinkSettings
from drink_agent.link.silence import SilenceLimit
from drink_agent.link.state import SILENT_INTERVALS, LinkState

LIMIT_S = 5.0
"""For what happens within milliseconds."""


class Clock:
    """Seconds that pass as the loop's do, and faster when told so."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return asyncio.get_running_loop().time() + self.ahead_s


async def test_a_link_without_welcome_is_lost_in_time() -> None:
    clock = Clock()
    state = LinkState(LinkSettings(welcome_limit_s=0.05), clock())
    with pytest.raises(TimeoutError):
        async with SilenceLimit(state, clock):
            await asyncio.sleep(LIMIT_S)
    assert clock() >= state.silent_at


async def test_what_was_heard_keeps_the_link() -> None:
    clock = Clock()
    state = LinkState(LinkSettings(welcome_limit_s=0.02), clock())
    async with SilenceLimit(state, clock):
        state.welcomed(1, 0, clock())
        await asyncio.sleep(0.1)
    assert clock() < state.silent_at


async def test_a_limit_that_comes_nearer_counts_from_the_look() -> None:
    clock = Clock()
    state = LinkState(LinkSettings(welcome_limit_s=LIMIT_S * 10), clock())

    async def hear_a_welcome_and_nothing_more() -> None:
        async with SilenceLimit(state, clock) as silence:
            state.welcomed(1, 0, clock())
            clock.ahead_s = SILENT_INTERVALS - 0.05
            silence.look()
            await asyncio.sleep(LIMIT_S)

    with pytest.raises(TimeoutError):
        await hear_a_welcome_and_nothing_more()
    assert clock() >= state.silent_at
