"""Many watch, and the database is asked once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from drink_frontend.domain.entities import Machine, Reach
from drink_frontend.domain.errors import MachineNotFoundError, StorageUnavailableError
from drink_frontend.storage.changes import Changes, ChangeSet
from drink_frontend.usecases.feed import WOKEN_AT_ONCE, MachineFeed
from tests.support.entities import make_machine
from tests.support.tasks import cancel

LIMIT_S = 20


class Books:
    """Machines that a test changes, and how often they were read."""

    def __init__(self) -> None:
        self.machines = {
            name: make_machine(name, name, (), reach=Reach.READY) for name in ("d", "ld")
        }
        self.changes = Changes(hands_on=False)
        self.feed = MachineFeed(self.read, self.changes)
        self.reads = 0
        self.asked = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def read(self) -> Sequence[Machine]:
        self.reads += 1
        self.asked.set()
        found = list(self.machines.values())
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return found

    def change(self, name: str, **changes: Any) -> None:
        self.machines[name] = replace(self.machines[name], **changes)
        self.changes.publish(ChangeSet(machines={name}))


@pytest.fixture
def books() -> Books:
    return Books()


async def shown(watch: AsyncIterator[Machine]) -> Machine:
    async with asyncio.timeout(LIMIT_S):
        return await anext(watch)


class Watcher:
    """One who takes what he is shown as soon as it comes."""

    def __init__(self, books: Books, names: Sequence[str] = ()) -> None:
        self.seen: list[Machine] = []
        self.came = asyncio.Event()
        self.task = asyncio.create_task(self._watch(books, names))

    async def _watch(self, books: Books, names: Sequence[str]) -> None:
        async with aclosing(books.feed.watch(names)) as updates:
            async for each in updates:
                self.seen.append(each)
                self.came.set()

    async def sees(self, count: int) -> None:
        async with asyncio.timeout(LIMIT_S):
            while len(self.seen) < count:
                self.came.clear()
                await self.came.wait()

    async def goes(self) -> None:
        await cancel(self.task)


async def test_fault_67_many_watch_and_a_change_is_read_once(books: Books) -> None:
    watchers = [Watcher(books) for _ in range(200)]
    for watcher in watchers:
        await watcher.sees(2)
    begun = books.reads
    assert begun <= 2
    for times in range(1, 4):
        books.change("ld", location=f"{times}")
        for watcher in watchers:
            await watcher.sees(2 + times)
        assert books.reads == begun + times
    for watcher in watchers:
        assert [each.location for each in watcher.seen[2:]] == ["1", "2", "3"]
        # The same object for all, so that its message is made once too.
        assert watcher.seen[-1] is watchers[0].seen[-1]
        await watcher.goes()


async def test_fault_67_who_is_slow_skips_what_he_missed_and_holds_nobody_up(books: Books) -> None:
    slow, quick = books.feed.watch([]), Watcher(books)
    for _ in range(2):
        await shown(slow)
    await quick.sees(2)
    for times in range(1, 6):
        books.change("d", location=f"{times}")
        await quick.sees(2 + times)

    assert (await shown(slow)).location == "5"
    books.change("ld", location="last")
    assert (await shown(slow)).location == "last"
    await quick.goes()


async def test_fault_67_other_work_is_done_between_watchers(books: Books) -> None:
    """A drop's own steps do not wait until everybody has been told."""
    watchers = [Watcher(books) for _ in range(WOKEN_AT_ONCE * 4)]
    for watcher in watchers:
        await watcher.sees(2)
    books.change("d", location="new")
    told: list[int] = []
    async with asyncio.timeout(LIMIT_S):
        while not told or told[-1] < len(watchers):
            await asyncio.sleep(0)
            told.append(sum(len(watcher.seen) > 2 for watcher in watchers))
    steps = [after - before for before, after in pairwise(told)]
    assert max(steps) <= WOKEN_AT_ONCE
    for watcher in watchers:
        await watcher.goes()


async def test_a_watch_shows_what_was_committed_before_it_began(books: Books) -> None:
    """Also if what is read for another one at that moment is older."""
    books.gate.clear()
    first = Watcher(books)
    await books.asked.wait()
    books.change("d", location="committed")
    second = Watcher(books)
    await asyncio.sleep(0)
    books.gate.set()
    await second.sees(2)
    assert {each.location for each in second.seen if each.name == "d"} == {"committed"}
    for watcher in (first, second):
        await watcher.goes()


async def test_only_what_is_asked_for_is_shown_and_only_if_it_looks_different(
    books: Books,
) -> None:
    watch = books.feed.watch(["ld", "ld"])
    assert (await shown(watch)).name == "ld"
    books.change("d", location="not asked for")
    books.change("ld", journal_sequence=7)
    books.change("ld", location="here")
    update = await shown(watch)
    assert (update.name, update.location) == ("ld", "here")


async def test_a_machine_that_is_not_there(books: Books) -> None:
    with pytest.raises(MachineNotFoundError):
        await shown(books.feed.watch(["d", "x"]))


async def test_what_another_process_may_have_changed_is_read(books: Books) -> None:
    watcher = Watcher(books)
    await watcher.sees(2)
    books.machines["d"] = replace(books.machines["d"], location="elsewhere")
    books.changes.publish_remote(None)
    await watcher.sees(3)
    assert watcher.seen[-1].location == "elsewhere"
    await watcher.goes()


@pytest.mark.parametrize("error", [StorageUnavailableError("away"), ZeroDivisionError("a fault")])
async def test_a_database_that_does_not_answer_is_told_and_the_next_watch_asks_again(
    books: Books, error: Exception
) -> None:
    books.error = error
    with pytest.raises(type(error)):
        await shown(books.feed.watch([]))
    books.error = None
    watch = books.feed.watch([])
    assert (await shown(watch)).name == "d"
    if isinstance(error, StorageUnavailableError):
        await shown(watch)
        books.error = error
        books.changes.publish_remote(None)
        with pytest.raises(StorageUnavailableError):
            await shown(watch)


async def test_nothing_is_read_for_nobody(books: Books) -> None:
    watcher = Watcher(books)
    await watcher.sees(2)
    await watcher.goes()
    await asyncio.sleep(0)
    reads = books.reads
    books.change("d", location="new")
    await asyncio.sleep(0.01)

    assert books.reads == reads
    assert books.feed._following is None
    assert books.feed._watchers == {}
