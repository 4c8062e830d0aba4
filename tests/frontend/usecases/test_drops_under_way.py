"""What changes around a drop that is under way changes nothing about it."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import pytest

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import Reach
from drink_frontend.domain.errors import InsufficientCreditsError
from drink_frontend.usecases.links import LinkStatus
from tests.support.bench import Bench
from tests.support.ids import BOB, ROOT

LIMIT_S = 20


async def test_fault_54_the_price_is_the_one_at_the_reservation(bench: Bench) -> None:
    """Invariant 5: neither price nor stock that change later touch a drop under way."""
    drop = await bench.place()
    await bench.change_slot("d", 1, item="Mate", price=175, available=0)
    await bench.take()
    await bench.report(drop)

    settled = await bench.drop(drop.id)
    assert (settled.price, settled.item) == (50, "Coke")
    assert await bench.books() == ((150, 0), (0, 0, 1, 0))


async def test_fault_54_an_item_that_did_not_fall_comes_back_to_a_full_slot(bench: Bench) -> None:
    drop = await bench.dispatched()
    await bench.change_slot("d", 1, available=10_000)
    await bench.report(drop, State.NOT_DISPENSED, Cause.BOARD_REFUSED)

    assert await bench.stock() == (10_001, 0, 0, 0)
    assert await bench.credits() == (200, 0)


@pytest.mark.parametrize(
    ("outcome", "cause", "credits_after"),
    [
        (State.DISPENSED, Cause.BOARD_ACK, (150, 0)),
        (State.NOT_DISPENSED, Cause.BOARD_REFUSED, (200, 0)),
        (State.UNKNOWN, Cause.BOARD_SILENT, (200, 50)),
    ],
)
async def test_fault_55_a_drop_of_a_closed_account_is_settled_as_any_other(
    bench: Bench, outcome: State, cause: Cause, credits_after: tuple[int, int]
) -> None:
    drop = await bench.dispatched()
    await bench.accounts.change(ROOT, "ann", closed=True)
    await bench.report(drop, outcome, cause)

    assert await bench.credits() == credits_after


async def test_fault_55_held_credits_cannot_be_moved_away(bench: Bench) -> None:
    """Invariant 2: the credits of a drop under way stay where they are."""
    drop = await bench.dispatched()
    ann, root = await bench.account("ann"), await bench.account("root")
    with pytest.raises(InsufficientCreditsError):
        await bench.transfers.send(ann, "t1", "bob", 151)
    with pytest.raises(InsufficientCreditsError):
        await bench.transfers.add_credits(root, "t2", "ann", -151)

    await bench.transfers.send(ann, "t3", "bob", 150)
    await bench.report(drop)
    assert await bench.credits() == (0, 0)


async def settling(bench: Bench) -> asyncio.Task[None]:
    """A frontend that stops, as far as it gets before anything else happens."""
    task = asyncio.create_task(bench.drops.settle())
    for _ in range(3):  # each is answered after what the task asked before it
        await bench.storage.read(lambda _: None)
    return task


async def test_fault_28_a_stopping_frontend_waits_for_the_motors_on_its_links(
    bench: Bench,
) -> None:
    drop = await bench.dispatched()
    bench.links.here["d"] = LinkStatus(1, Reach.READY)
    task = await settling(bench)
    assert not task.done()
    await bench.report(drop)
    async with asyncio.timeout(LIMIT_S):
        await task


async def test_fault_28_a_stopping_frontend_waits_for_whoever_waits_here(bench: Bench) -> None:
    """Also where another frontend has the link."""
    drops = [await bench.dispatched("r1"), await bench.place("r2")]
    waiting = [asyncio.create_task(bench.drops.outcome(drop.id)) for drop in drops]
    task = await settling(bench)
    for drop in drops:
        assert not task.done()
        await bench.take()
        await bench.report(drop)
    async with asyncio.timeout(LIMIT_S):
        await task
        assert [drop.state for drop in await asyncio.gather(*waiting)] == [State.DISPENSED] * 2


async def test_fault_28_a_stopping_frontend_waits_for_nothing_else(bench: Bench) -> None:
    """Not for others' drops, nor for one that waits for its time or for an operator."""
    unknown = await bench.unknown("r1", account=BOB)
    scheduled = await bench.place("r2", delay_s=60)
    await bench.dispatched("r3")
    await bench.place("r4", machine="ld")
    bench.links.here["ld"] = LinkStatus(1, Reach.READY)
    async with asyncio.timeout(LIMIT_S), contextlib.AsyncExitStack() as stack:
        for drop in (unknown, scheduled):
            watch = bench.drops.watch(drop.id)
            assert isinstance(watch, AsyncGenerator)
            await stack.enter_async_context(contextlib.aclosing(watch))
            await anext(watch)
        await bench.drops.settle()
