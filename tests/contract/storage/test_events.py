"""The contract of `EventTable`: every visible change is an event, in the order of the commits."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from drink_frontend.domain.alarms import Alarm, AlarmKind
from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import Account, Drop, DropSelection, Reach
from drink_frontend.domain.errors import DrinkError, SlotEmptyError
from drink_frontend.domain.events import EventBatch, EventKind, EventNotes
from drink_frontend.domain.stock import Sensor
from drink_frontend.storage.database import Database
from drink_frontend.storage.tables import metadata
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.refunds import RefundOrder
from drink_frontend.usecases.reports import Report
from tests.contract.storage.conftest import OpenStorage
from tests.fakes.clock import FakeClock
from tests.support import visible
from tests.support.bench import Bench
from tests.support.books import NOW, drop, fund, reserve
from tests.support.ids import ALICE, ROOT

STEPS = 120
"""Random steps of one history."""


class Watched:
    """A house of which each step is compared with the events that it leaves."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.untold: list[str] = []
        self.kinds: set[EventKind] = set()
        self.numbers = 0

    def number(self) -> str:
        self.numbers += 1
        return f"request-{self.numbers}"

    async def step(self, work: Awaitable[object]) -> None:
        """Does something, refused or not, and compares."""
        before, last = await self.bench.storage.read(
            lambda tx: (visible.picture(tx), tx.events.ends()[1])
        )
        with suppress(DrinkError):
            await work
        after, batches = await self.bench.storage.read(
            lambda tx: (visible.picture(tx), list(tx.events.after(last, 1_000)))
        )
        self.kinds |= {event.kind for batch in batches for event in batch.events}
        self.untold += visible.untold(before, after, batches)


@pytest.fixture
async def watched(open_storage: OpenStorage, tmp_path: Path) -> AsyncIterator[Watched]:
    async with open_storage() as storage:
        scripted: Any = storage
        bench = Bench(scripted, tmp_path, FakeClock(), "S")
        await bench.furnish()
        yield Watched(bench)


def test_every_column_is_shown_or_hidden_on_purpose() -> None:
    assert set(metadata.tables) == visible.VISIBLE.keys() | visible.WITHOUT_EVENTS
    for name in visible.VISIBLE:
        columns = {column.name for column in metadata.tables[name].c}
        assert columns == visible.VISIBLE[name] | visible.HIDDEN[name], name
        assert not visible.VISIBLE[name] & visible.HIDDEN[name], name


async def one_of_each(watched: Watched) -> None:
    """A day on which everything happens once."""
    bench, step = watched.bench, watched.step
    root, ann = await bench.account("root"), await bench.account("ann")
    placed = await bench.place("r1")
    await step(bench.take())
    await step(bench.report(placed, State.UNKNOWN, Cause.BOARD_SILENT))
    await step(bench.drops.decide(ROOT, placed.id, dispensed=True, why="seen"))
    await step(bench.drops.report(ann, Report(drop_id=placed.id, fell=True, text="cold")))
    await step(bench.report(placed, State.NOT_DISPENSED, Cause.BOARD_REFUSED, revision=2))
    await step(
        bench.drops.refund(
            root, RefundOrder(drop_id=placed.id, request_id="r2", reason="warm", restock=True)
        )
    )
    await step(bench.transfers.send(ann, "r3", "bob", 5))
    await step(bench.accounts.change(ROOT, "bob", credit_limit=7))
    await step(bench.accounts.change(ROOT, "bob", closed=True))
    await step(bench.accounts.create(ROOT, "carol", display_name="Carol C."))
    await step(bench.accounts.change(ROOT, "carol", display_name="Carol D."))
    await step(bench.accounts.change(ROOT, "carol", display_name=""))
    await step(bench.accounts.change(ROOT, "carol", display_name="Carol E."))
    await step(bench.accounts.change(ROOT, "carol", new_name="caroline"))
    await step(bench.accounts.change(ROOT, "caroline", closed=True))
    await step(bench.accounts.erase(ROOT, "caroline"))
    await step(bench.machines.change(ROOT, "ld", location="hall"))
    await step(bench.machines.create_slot(ROOT, "ld", 2, item="Tea", price=5, available=3))
    await step(bench.machines.create_slot(ROOT, "ld", 3, item="Air", price=5))
    await step(bench.machines.delete_slot(root, "ld", 3))
    await step(bench.change_slot("d", 2, price=31))
    await step(bench.items.create(ROOT, "Water", 9, number=7))
    await step(bench.items.delete(ROOT, 7))
    await step(bench.reach(Reach.BOARD_DOWN))
    sensors = {1: Sensor.STOCKED, 2: Sensor.EMPTY}
    await step(bench.agents.keep_status("d", await bench.epoch(), sensors, 4.5))
    _, code = await bench.accounts.kiosks.pair("root", "d")
    await step(bench.accounts.kiosks.redeem(code, "192.0.2.1"))
    await step(bench.accounts.kiosks.unpair("root", 1))
    bench.alarms.count("d", AlarmKind.LINK_FLOODED, {"messages": 9})
    await step(bench.alarms.keep())
    (flooded,) = await bench.review.list(kinds=[AlarmKind.LINK_FLOODED], limit=1)
    await step(bench.review.acknowledge(ROOT, flooded.sequence))
    await step(bench.review.close(ROOT, flooded.sequence, "replaced"))


async def test_a_day_on_which_everything_happens_is_told_whole(watched: Watched) -> None:
    """Invariant 28."""
    await one_of_each(watched)
    assert watched.untold == []
    assert watched.kinds == set(EventKind)
    assert await watched.bench.storage.verify() == []


@pytest.mark.parametrize("kind", list(EventKind))
async def test_an_event_that_is_left_out_is_found(
    watched: Watched, kind: EventKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = EventNotes.note

    def leave_out(notes: EventNotes, noted: EventKind, state: Any) -> None:
        if noted is not kind:
            note(notes, noted, state)

    monkeypatch.setattr(EventNotes, "note", leave_out)
    await one_of_each(watched)
    assert watched.untold != []


async def test_random_days_are_told_whole(watched: Watched) -> None:
    """Invariant 28: the seed is printed when it fails."""
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    for number in range(STEPS):
        await watched.step(await _random_step(watched, rng))
        assert watched.untold == [], f"step {number} of seed {seed}"
    assert await watched.bench.storage.verify() == [], f"seed {seed}"


async def _random_step(watched: Watched, rng: random.Random) -> Awaitable[object]:
    bench = watched.bench
    drops = await bench.storage.read(lambda tx: tx.drops.list(DropSelection(), None, 50))
    root, user = await bench.account("root"), await bench.account(rng.choice(["ann", "bob"]))
    machine = rng.choice(["d", "ld"])
    steps: list[Callable[[], Awaitable[object]]] = [
        lambda: bench.place(watched.number(), user.name, machine, 1, delay_s=rng.choice([0, 0, 5])),
        lambda: bench.take(machine),
        lambda: bench.link(machine, rng.choice(["journal", "other"]), rng.randrange(3)),
        lambda: bench.reach(rng.choice(list(Reach)), machine),
        lambda: bench.transfers.add_credits(root, watched.number(), user.name, 60),
        lambda: bench.transfers.send(
            user, watched.number(), "bob" if user.name == "ann" else "ann", rng.randrange(99)
        ),
        lambda: bench.accounts.change(ROOT, user.name, credit_limit=rng.randrange(99)),
        lambda: bench.accounts.change(ROOT, user.name, display_name=rng.choice(["", "A", "B"])),
        lambda: bench.change_slot(machine, 1, available=rng.randrange(5)),
        lambda: bench.change_slot(machine, 1, price=rng.randrange(60), enabled=True),
        lambda: bench.machines.change(ROOT, machine, enabled=rng.random() < 0.8),
    ]
    if drops:
        steps += _steps_of(watched, rng, rng.choice(drops), root, user) * 2
    return rng.choice(steps)()


def _steps_of(
    watched: Watched, rng: random.Random, chosen: Drop, root: Account, user: Account
) -> list[Callable[[], Awaitable[object]]]:
    bench = watched.bench
    outcome, cause = rng.choice(
        [
            (State.DISPENSED, Cause.BOARD_ACK),
            (State.NOT_DISPENSED, Cause.BOARD_REFUSED),
            (State.UNKNOWN, Cause.BOARD_SILENT),
        ]
    )
    return [
        lambda: bench.report(chosen, outcome, cause, revision=rng.randrange(1, 4)),
        lambda: bench.drops.cancel(root, chosen.id),
        lambda: bench.drops.decide(
            ROOT, chosen.id, dispensed=outcome is State.DISPENSED, why="seen"
        ),
        lambda: bench.drops.refund(
            root,
            RefundOrder(
                drop_id=chosen.id,
                request_id=watched.number(),
                reason="warm",
                restock=rng.random() < 0.5,
            ),
        ),
        lambda: bench.drops.report(user, Report(drop_id=chosen.id, fell=False, text="")),
    ]


async def _all(storage: Database) -> list[EventBatch]:
    return list(await storage.read(lambda tx: tx.events.after(-1, 1_000)))


async def test_units_that_share_a_commit_share_a_row_in_their_order(house: Database) -> None:
    before = await house.read(lambda tx: tx.events.newest())
    units = [
        house.write(lambda tx, n=n: reserve(tx, drop(n)))  # type: ignore[misc]
        for n in range(1, 5)
    ]
    await asyncio.gather(*units)
    batches = await house.read(lambda tx: tx.events.after(before.sequence, 100))
    told = [
        event.state.id
        for batch in batches
        for event in batch.events
        if isinstance(event.state, Drop)
    ]
    assert told == [drop(n).id for n in range(1, 5)]
    kinds = [event.kind for batch in batches for event in batch.events]
    assert kinds == [EventKind.DROP, EventKind.CREDITS, EventKind.STOCK] * 4
    assert [batch.sequence for batch in batches] == sorted(batch.sequence for batch in batches)


async def test_a_unit_that_is_undone_leaves_no_event(house: Database) -> None:
    before = await _all(house)

    def fail(tx: Transaction) -> None:
        reserve(tx, drop(1))
        raise SlotEmptyError("the slot is empty")

    with pytest.raises(SlotEmptyError):
        await house.write(fail)
    await house.write(lambda _: None)
    assert await _all(house) == before


async def test_events_show_the_state_after_them_and_who_caused_them(house: Database) -> None:
    await house.write(lambda tx: fund(tx, ALICE, 7, "gift"))
    newest = await house.read(lambda tx: tx.events.newest())
    (event,) = newest.events
    alice = await house.read(lambda tx: tx.accounts.get(ALICE))
    assert alice is not None
    assert (event.kind, event.actor) == (EventKind.CREDITS, "root")
    assert event.state == alice
    assert (event.account, event.machine) == (ALICE, None)


async def test_old_batches_are_deleted_from_the_oldest_on_and_never_the_newest(
    open_storage: OpenStorage,
) -> None:
    storage = open_storage()
    times = iter([100, 200, 900, 300, 400, 500])
    storage._writer._now_ms = lambda: next(times)
    async with storage:
        await storage.write(lambda tx: tx.machines.add("d", "Drink", ""))
        for number in range(5):
            await storage.write(
                lambda tx, n=number: tx.alarms.add(  # type: ignore[misc]
                    Alarm(AlarmKind.LINK_FLOODED, "machines/d", "d", NOW, NOW, n + 1, {})
                )
            )
        first, *kept = [batch.sequence for batch in await _all(storage)]
        # The batch of the migration is the oldest one; by its time it is the newest.
        assert await storage.write(lambda tx: tx.events.remove_before(301, 3)) == 3
        assert await storage.read(lambda tx: tx.events.get(first)) is None
        left = [batch.sequence for batch in await _all(storage)]
        assert left == kept[2:]
        # What a wrong clock dated later goes with what came after it.
        assert await storage.write(lambda tx: tx.events.remove_before(301, 100)) == 2
        assert await storage.write(lambda tx: tx.events.remove_before(10_000, 100)) == 1
        newest = await storage.read(lambda tx: tx.events.newest())
        assert newest.sequence == kept[-1]
        assert await storage.write(lambda tx: tx.events.remove_before(10_000, 100)) == 0
        storage._writer._now_ms = lambda: 600
        await storage.write(lambda tx: tx.machines.add("ld", "Little Drink", ""))
        assert (await storage.read(lambda tx: tx.events.newest())).sequence > newest.sequence


async def test_the_mark_changes_only_when_it_is_set(house: Database) -> None:
    before = await house.read(lambda tx: tx.events.mark())
    assert len(bytes.fromhex(before)) == 8
    await house.write(lambda tx: tx.events.set_mark("00" * 8))
    assert await house.read(lambda tx: tx.events.mark()) == "00" * 8 != before


async def test_commits_with_events_wake_who_follows_them(
    open_storage: OpenStorage, house: Database
) -> None:
    async with open_storage(beside=True) as command:
        with house.changes.events() as own:
            await command.write(lambda tx: tx.machines.add("s", "Snacks", ""))
            async with asyncio.timeout(20):
                await own.changed()
            await house.write(lambda tx: tx.machines.update("s", enabled=False))
            async with asyncio.timeout(20):
                await own.changed()
