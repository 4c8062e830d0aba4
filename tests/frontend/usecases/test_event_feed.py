"""The feed of events: what is in memory, and what it costs."""

import asyncio

from drink_frontend.usecases.event_feed import EventFeed, EventWatcher
from tests.support.bench import Bench
from tests.support.ids import ROOT

LIMIT_S = 20


async def newest(bench: Bench) -> int:
    return (await bench.storage.read(lambda tx: tx.events.newest())).sequence


async def move(bench: Bench, number: int) -> None:
    await bench.machines.change(ROOT, "d", location=f"room {number}")


async def woken(watcher: EventWatcher) -> None:
    async with asyncio.timeout(LIMIT_S):
        await watcher.woken.wait()
    watcher.woken.clear()


async def test_what_is_before_the_feed_is_not_in_memory(bench: Bench) -> None:
    feed = EventFeed(bench.storage, 1_000_000)
    begin = await newest(bench)
    with feed.joined(begin) as watcher:
        assert feed.after(begin) == []
        assert feed.after(begin - 1) is None
        await move(bench, 1)
        await woken(watcher)
        (batch,) = feed.after(begin) or ()
        assert batch == await bench.storage.read(lambda tx: tx.events.newest())
        assert feed.after(batch.sequence) == []


async def test_the_oldest_batches_go_first_and_the_newest_stays(bench: Bench) -> None:
    feed = EventFeed(bench.storage, 1)
    begin = await newest(bench)
    with feed.joined(begin) as watcher:
        for number in range(3):
            await move(bench, number)
            while (await newest(bench)) not in [
                batch.sequence for batch in feed.after(feed._begin) or ()
            ]:
                await woken(watcher)
        assert feed.after(begin) is None
        assert len(feed.after(feed._begin) or ()) == 1


async def test_nothing_is_read_while_nobody_watches(bench: Bench) -> None:
    feed = EventFeed(bench.storage, 1_000_000)
    with feed.joined(await newest(bench)) as watcher:
        await move(bench, 1)
        await woken(watcher)
    reads = bench.storage.reads
    await move(bench, 2)
    await bench.storage.write(lambda _: None)
    assert bench.storage.reads == reads


async def test_an_error_ends_all_watchers_and_the_next_one_begins_anew(bench: Bench) -> None:
    feed = EventFeed(bench.storage, 1_000_000)
    begin = await newest(bench)
    with feed.joined(begin) as one, feed.joined(begin) as other:
        bench.storage.error = RuntimeError("a mistake")
        await woken(one)
        await woken(other)
        assert one.error is other.error is bench.storage.error
    bench.storage.error = None
    with feed.joined(begin) as watcher:
        await move(bench, 1)
        await woken(watcher)
        assert watcher.error is None
