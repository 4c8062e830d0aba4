"""Events: who sees which, from which cursor on, and when a watch must begin again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drink_frontend.domain.alarms import AlarmKind
from drink_frontend.domain.entities import Account, Drop, Slot
from drink_frontend.domain.errors import (
    AccountNotFoundError,
    AdminRequiredError,
    CursorExpiredError,
    CursorForeignError,
    MachineNotFoundError,
    NotOwnerError,
    StorageUnavailableError,
    WatchTooSlowError,
)
from drink_frontend.domain.events import Cursor, Event, EventKind
from drink_frontend.usecases import events as events_module
from drink_frontend.usecases.events import Events, EventSelection, EventUpdate
from drink_frontend.usecases.settings import EventSettings
from tests.support.bench import Bench, BenchDatabase
from tests.support.ids import ANN, BOB, ROOT

LIMIT_S = 20


class Watch:
    """The updates of one watch."""

    def __init__(self, updates: AsyncIterator[EventUpdate]) -> None:
        self._updates = updates
        self.cursor: Cursor

    async def next(self) -> EventUpdate:
        async with asyncio.timeout(LIMIT_S):
            update = await anext(self._updates)
        self.cursor = update.cursor
        return update

    async def events(self, count: int) -> list[Event]:
        """The next events, as many as asked for and no more."""
        found: list[Event] = []
        while len(found) < count:
            found += [event for event, _, _ in (await self.next()).events]
        assert len(found) == count, found
        return found


@asynccontextmanager
async def watching(
    bench: Bench,
    name: str,
    cursor: Cursor | None = None,
    events: Events | None = None,
    **terms: Any,
) -> AsyncIterator[Watch]:
    viewer = await bench.account(name)
    updates = (events or bench.events).watch(viewer, EventSelection(**terms), cursor)
    async with aclosing(updates):
        watch = Watch(updates)
        first = await watch.next()
        assert first.events == ()
        yield watch


async def refused(
    bench: Bench, error: type[Exception], name: str, *args: Any, **terms: Any
) -> None:
    with pytest.raises(error):
        async with watching(bench, name, *args, **terms) as watch:
            await watch.next()


def kinds(events: list[Event]) -> list[EventKind]:
    return [event.kind for event in events]


async def test_an_administrator_sees_everything_and_who_caused_it(bench: Bench) -> None:
    async with watching(bench, "root") as watch:
        drop = await bench.place()
        placed, held, reserved = await watch.events(3)
    assert kinds([placed, held, reserved]) == [EventKind.DROP, EventKind.CREDITS, EventKind.STOCK]
    assert isinstance(placed.state, Drop)
    assert (placed.state.id, placed.account, placed.machine) == (drop.id, ANN, "d")
    assert isinstance(held.state, Account)
    assert (held.state.name, held.state.posted, held.state.held) == ("ann", 200, 50)
    assert isinstance(reserved.state, Slot)
    assert (reserved.state.on_hand, reserved.state.reserved) == (2, 1)
    assert {placed.actor, held.actor, reserved.actor} == {"ann"}


async def test_a_buyer_sees_own_drops_and_credits_and_what_everybody_sees(bench: Bench) -> None:
    async with watching(bench, "ann") as own, watching(bench, "bob") as other:
        await bench.place()
        assert kinds(await own.events(3)) == [
            EventKind.DROP,
            EventKind.CREDITS,
            EventKind.STOCK,
        ]
        (stock,) = await other.events(1)
        # Who bought from a slot is nobody else's business.
        assert (stock.kind, stock.actor) == (EventKind.STOCK, None)
        ann = await bench.account("ann")
        await bench.transfers.send(ann, "gift", "bob", 5)
        assert [event.account for event in await own.events(1)] == [ANN]
        assert [event.account for event in await other.events(1)] == [BOB]
        bench.alarms.count("d", AlarmKind.LINK_FLOODED, {})
        await bench.alarms.keep()
        await bench.machines.change(ROOT, "d", location="hall")
        assert kinds(await own.events(1)) == [EventKind.MACHINE]


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"kinds": frozenset({EventKind.STOCK})}, [EventKind.STOCK] * 2),
        ({"machine": "ld"}, [EventKind.DROP, EventKind.STOCK]),
        ({"account": "BOB"}, [EventKind.DROP, EventKind.CREDITS]),
        ({"account": "ann", "kinds": frozenset({EventKind.DROP})}, [EventKind.DROP]),
        ({"account": "ann", "machine": "ld"}, []),
    ],
)
async def test_filters_let_through_what_all_of_them_match(
    bench: Bench, terms: dict[str, Any], expected: list[EventKind]
) -> None:
    async with watching(bench, "root") as now:
        cursor = now.cursor
    await bench.place()
    await bench.place("r2", BOB, "ld")
    async with watching(bench, "root", cursor, **terms) as watch:
        assert kinds(await watch.events(len(expected))) == expected


async def test_rights_come_before_existence(bench: Bench) -> None:
    await refused(bench, NotOwnerError, "ann", account="bob")
    await refused(bench, NotOwnerError, "ann", account="nobody")
    for kind in (EventKind.ALARM, EventKind.DROP_RECORD):
        await refused(bench, AdminRequiredError, "ann", kinds=frozenset({kind}))
    await refused(bench, AccountNotFoundError, "root", account="nobody")
    await refused(bench, AccountNotFoundError, "root", account="funding")
    await refused(bench, MachineNotFoundError, "ann", machine="nowhere")


async def test_a_watch_goes_on_from_any_cursor_also_within_a_commit(bench: Bench) -> None:
    async with watching(bench, "root") as watch:
        start = watch.cursor
        for number in range(3):
            await bench.place(f"r{number}", ANN)
        whole = await watch.events(9)
    cursors = [start]
    async with watching(bench, "root", start) as watch:
        while len(cursors) <= len(whole):
            cursors += [cursor for _, _, cursor in (await watch.next()).events]
    for number, cursor in enumerate(cursors[:-1]):
        async with watching(bench, "root", cursor) as watch:
            assert await watch.events(len(whole) - number) == whole[number:]


async def test_a_cursor_outlives_the_frontend(database: BenchDatabase) -> None:
    async with database.open() as bench:
        await bench.furnish()
        async with watching(bench, "root") as watch:
            cursor = watch.cursor
        drop = await bench.place()
    async with database.open() as bench, watching(bench, "root", cursor) as watch:
        placed, *_ = await watch.events(3)
        assert isinstance(placed.state, Drop)
        assert placed.state.id == drop.id


async def test_fault_72_a_cursor_of_another_house_is_refused(bench: Bench) -> None:
    async with watching(bench, "root") as watch:
        good = watch.cursor
    mark = "00" * 8
    for foreign in (
        replace(good, mark=mark),
        replace(good, sequence=good.sequence + 1),
        replace(good, at_ms=good.at_ms + 1),
        replace(good, position=good.position + 1),
    ):
        await refused(bench, CursorForeignError, "root", foreign)
    await bench.events.end_cursors(mark)
    await refused(bench, CursorForeignError, "root", good)


async def test_fault_72_a_cursor_from_before_a_restore_is_refused(
    database: BenchDatabase, tmp_path: Path
) -> None:
    """A backup by the command has a mark of its own; a mere copy shows by its events."""
    async with database.open() as bench:
        await bench.furnish()
        copy = database.back_up()
        async with watching(bench, "root") as watch:
            drop = await bench.place()
            await watch.events(3)
            lost = watch.cursor
    database.restore(copy)
    async with database.open() as bench:
        await refused(bench, CursorForeignError, "root", lost)
        bench.clock.pass_s(5)
        assert (await bench.place("other")).id != drop.id
        await refused(bench, CursorForeignError, "root", lost)


async def test_fault_72_old_events_are_deleted_and_their_cursors_expire(bench: Bench) -> None:
    async with watching(bench, "root") as watch:
        expired = watch.cursor
        await bench.place()
        await watch.events(3)
        kept = watch.cursor
    bench.clock.pass_s(EventSettings().keep_hours * 3_600 + 1)
    await bench.place("r2")
    await bench.events.expire()
    await refused(bench, CursorExpiredError, "root", expired)
    await refused(bench, CursorExpiredError, "root", kept)
    async with watching(bench, "root") as watch:
        newest = watch.cursor
    await bench.events.expire()
    async with watching(bench, "root", newest):
        pass


async def test_a_watch_of_the_past_notices_what_was_deleted_meanwhile(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "BATCHES_MAX", 1)
    async with watching(bench, "root") as watch:
        start = watch.cursor
    for number in range(3):
        await bench.place(f"r{number}", ANN)
    async with watching(bench, "root", start) as watch:
        await watch.events(3)
        bench.clock.pass_s(EventSettings().keep_hours * 3_600 + 1)
        await bench.place("r4", BOB, "ld")
        await bench.events.expire()
        with pytest.raises(CursorExpiredError):
            await watch.next()


async def test_fault_72_who_reads_too_slowly_is_told_and_goes_on_from_the_cursor(
    bench: Bench,
) -> None:
    small = Events(bench.storage, bench.clock, EventSettings(memory_bytes=65_536))
    async with watching(bench, "root", events=small) as slow:
        root = await bench.account("root")
        await bench.transfers.add_credits(root, "first", "ann", 1)
        await slow.events(1)
        async with watching(bench, "root", events=small) as quick:
            for number in range(500):
                await bench.transfers.add_credits(root, f"more-{number}", "ann", 1)
            seen: list[Event] = []
            while len(seen) < 500:
                seen += [event for event, _, _ in (await quick.next()).events]
        cursor = slow.cursor
        with pytest.raises(WatchTooSlowError):
            await slow.next()
    async with watching(bench, "root", cursor) as again:
        found: list[Event] = []
        while len(found) < 500:
            found += [event for event, _, _ in (await again.next()).events]
    assert found == seen


async def test_an_administrator_who_no_longer_is_one_sees_no_more(bench: Bench) -> None:
    await bench.accounts.create(ROOT, "eve", admin=True)
    async with watching(bench, "eve") as watch:
        await bench.place()
        await watch.events(3)
        await bench.accounts.change(ROOT, "eve", admin=False)
        await bench.place("r2", BOB)
        with pytest.raises(AdminRequiredError):
            await watch.next()
    async with watching(bench, "eve", watch.cursor) as again:
        assert kinds(await again.events(2)) == [EventKind.ACCOUNT, EventKind.STOCK]


async def test_a_watcher_whose_filters_match_nothing_gets_newer_cursors(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "PROGRESS_S", 0.0)
    async with watching(bench, "root", machine="ld") as watch:
        before = watch.cursor
        await bench.place()
        update = await watch.next()
        assert update.events == ()
        assert update.cursor.sequence > before.sequence


async def test_many_watchers_cost_one_read_for_a_commit(bench: Bench) -> None:
    async with AsyncExitStack() as stack:
        watches = [
            await stack.enter_async_context(watching(bench, name))
            for name in ("root", "ann", "bob")
        ]

        async def change(location: str) -> None:
            await bench.machines.change(ROOT, "d", location=location)
            for watch in watches:
                await watch.events(1)

        await change("hall")
        reads = bench.storage.reads
        await change("cellar")
        assert bench.storage.reads == reads + 1


async def test_a_watch_ends_when_the_database_does_not_answer(bench: Bench) -> None:
    async with watching(bench, "root") as watch:
        await bench.place()
        await watch.events(3)
        await bench.storage.write(lambda tx: tx.machines.update("d", location="x"))
        await watch.events(1)
        bench.storage.error = StorageUnavailableError("away")
        bench.storage.changes.publish_remote(None)
        with pytest.raises(StorageUnavailableError):
            await watch.next()
        bench.storage.error = None
    async with watching(bench, "root", watch.cursor) as again:
        await bench.storage.write(lambda tx: tx.machines.update("d", location="y"))
        await again.events(1)


async def test_the_periodic_task_deletes_old_events(bench: Bench) -> None:
    await bench.place()
    bench.clock.pass_s(EventSettings().keep_hours * 3_600 + 1)
    await bench.place("r2")
    bench.storage.asked.clear()
    task = asyncio.create_task(bench.events.run())
    async with asyncio.timeout(LIMIT_S):
        await bench.storage.asked.wait()
    # Carried out after the deletion, which was asked for before it.
    oldest, newest = await bench.storage.write(lambda tx: tx.events.ends())
    assert oldest == newest
    task.cancel()


async def listed(bench: Bench, limit: int, **terms: Any) -> tuple[list[Event], int]:
    """All events of the past by pages of so many, and the number of pages."""
    viewer = await bench.account("root")
    found: list[Event] = []
    before, pages = None, 0
    while True:
        page = await bench.events.list(viewer, EventSelection(**terms), before, limit=limit)
        found += [event for event, _, _ in page.events]
        before, pages = page.older, pages + 1
        if before is None:
            return found, pages


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_the_past_is_listed_whole_whatever_the_pages(bench: Bench, limit: int) -> None:
    for number in range(3):
        await bench.place(f"r{number}")
    batches = await bench.storage.read(lambda tx: tx.events.after(0, 1_000))
    happened = [event for batch in batches for event in batch.events]
    assert (await listed(bench, limit))[0] == happened[::-1]
    drops = [event for event in happened if event.kind is EventKind.DROP]
    assert (await listed(bench, limit, kinds=frozenset({EventKind.DROP})))[0] == drops[::-1]


async def test_a_search_for_rare_events_ends_a_page_early(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "LISTED_BATCHES_MAX", 1)
    monkeypatch.setattr(events_module, "BATCHES_MAX", 1)
    for number in range(3):
        await bench.place(f"r{number}")
    found, pages = await listed(bench, 100, kinds=frozenset({EventKind.MACHINE}))
    assert pages > 3
    assert {event.kind for event in found} == {EventKind.MACHINE}


async def test_what_is_no_longer_kept_is_not_listed_on(bench: Bench) -> None:
    await bench.place()
    viewer = await bench.account("root")
    page = await bench.events.list(viewer, limit=1)
    for price in range(3):
        await bench.change_slot("d", 1, price=price + 100)
    bench.clock.pass_s(EventSettings().keep_hours * 3_600 + 1)
    await bench.place("newest")
    await bench.events.expire()
    with pytest.raises(CursorExpiredError):
        await bench.events.list(viewer, before=page.older)
