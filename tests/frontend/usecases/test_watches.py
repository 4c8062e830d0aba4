"""Watches: counted, ended with the server, and what they hold is given back."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from structlog.testing import capture_logs

from drink_frontend.domain.errors import RateLimitedError, ShuttingDownError
from drink_frontend.usecases.watches import Watches


class Source:
    """Updates 0, 1, ... as a test lets them happen."""

    def __init__(self, *updates: int, endless: bool = False) -> None:
        self.updates = updates
        self.endless = endless
        self.closed = False

    async def watch(self) -> AsyncGenerator[int, None]:
        try:
            for update in self.updates:
                yield update
            if self.endless:
                await asyncio.Event().wait()
        finally:
            self.closed = True


async def test_passes_the_updates_on_and_ends_with_them() -> None:
    source = Source(1, 2, 3)
    watches = Watches(10, 10)
    assert [update async for update in watches.follow("a", source.watch())] == [1, 2, 3]
    assert source.closed


async def test_ends_when_the_server_does() -> None:
    source = Source(1, endless=True)
    watches = Watches(10, 10)
    stream = watches.follow("a", source.watch())
    assert await anext(stream) == 1
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    watches.close()
    with pytest.raises(ShuttingDownError):
        await asyncio.wait_for(waiting, 20)
    assert source.closed


async def test_a_closed_server_starts_no_watch() -> None:
    watches = Watches(10, 10)
    watches.close()
    with pytest.raises(ShuttingDownError):
        await anext(watches.follow("a", Source(1).watch()))


async def test_a_sources_own_time_limit_is_no_shutdown() -> None:
    async def slow() -> AsyncGenerator[int, None]:
        raise TimeoutError("storage")
        yield

    with pytest.raises(TimeoutError, match="storage"):
        await anext(Watches(10, 10).follow("a", slow()))


async def test_a_cancelled_watch_gives_back_what_it_holds() -> None:
    source = Source(1, endless=True)
    stream = Watches(10, 10).follow("a", source.watch())
    await anext(stream)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert source.closed


async def test_what_a_source_raises_comes_through() -> None:
    async def broken() -> AsyncGenerator[int, None]:
        yield 1
        raise KeyError("x")

    stream = Watches(10, 10).follow("a", broken())
    assert await anext(stream) == 1
    with pytest.raises(KeyError):
        await anext(stream)


async def test_counts_per_owner_and_in_all() -> None:
    watches = Watches(total_max=3, per_owner_max=2)
    with watches.admit("a"), watches.admit("a"):
        with capture_logs() as lines, pytest.raises(RateLimitedError), watches.admit("a"):
            pass
        assert [(line["event"], line["owner"]) for line in lines] == [("watches_refused", "a")]
        with watches.admit("b"), pytest.raises(RateLimitedError), watches.admit("c"):
            pass
        with watches.admit("c"):
            pass
    with watches.admit("a"):
        pass


async def test_a_refused_watch_never_starts_and_is_not_counted() -> None:
    watches = Watches(1, 1)
    with watches.admit("a"):
        stream = watches.follow("a", Source(1).watch())
        with pytest.raises(RateLimitedError):
            await anext(stream)
    assert [update async for update in watches.follow("a", Source(1).watch())] == [1]
