"""Placing, following and cancelling drops."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import ALL_DROPS, Drop, DropSelection, Reach
from drink_frontend.domain.errors import (
    AccountClosedError,
    AccountNotFoundError,
    BoardUnreachableError,
    DrinkError,
    DropNotCancellableError,
    DropNotFoundError,
    FieldInvalidError,
    InsufficientCreditsError,
    MachineDisabledError,
    MachineNotFoundError,
    MachineOfflineError,
    NotOwnerError,
    PriceAboveCeilingError,
    RateLimitedError,
    RequestIdReusedError,
    ShuttingDownError,
    SlotDisabledError,
    SlotEmptyError,
    SlotNotFoundError,
)
from drink_frontend.usecases.placement import DropOrder
from drink_frontend.usecases.settings import DropSettings
from tests.support.bench import Bench, BenchDatabase, each_outcome
from tests.support.ids import ANN, BOB, ROOT, id_of
from tests.support.tasks import cancel

LIMIT_S = 20
"""Longest wait for an outcome in seconds; a test that waits longer has failed."""


async def test_a_drop_is_reserved_in_one_step(bench: Bench) -> None:
    drop = await bench.place()

    expected = (State.RESERVED, Cause.NONE, 50, "Coke")
    assert (drop.state, drop.cause, drop.price, drop.item) == expected
    assert await bench.books() == ((200, 50), (2, 1, 0, 0))
    assert bench.links.woken == ["d"]


async def test_a_scheduled_drop_is_reserved_at_once_and_waits_for_its_time(bench: Bench) -> None:
    drop = await bench.place(delay_s=60)

    assert drop.state is State.SCHEDULED
    assert drop.not_before_ms == bench.clock.now_ms() + 60_000
    assert await bench.books() == ((200, 50), (2, 1, 0, 0))
    assert (bench.links.woken, bench.deadlines.woken) == ([], 1)


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"request_id": ""}, "request_id"),
        ({"request_id": "a b"}, "request_id"),
        ({"delay_s": -1}, "delay"),
        ({"delay_s": 301}, "delay"),
        ({"price_ceiling": -1}, "price_ceiling"),
    ],
)
def test_an_order_that_cannot_be_one(terms: dict[str, Any], field: str) -> None:
    order: dict[str, Any] = {"account": ANN, "request_id": "r1", "machine": "d", "slot": 1}
    with pytest.raises(FieldInvalidError) as refused:
        DropOrder(**order | terms)
    assert refused.value.facts == {"field": field}


@pytest.mark.parametrize("delay_s", [0, 300])
def test_delays_at_the_bounds(delay_s: int) -> None:
    assert DropOrder(ANN, "r1", "d", 1, delay_s=delay_s).delay_s == delay_s


@pytest.mark.parametrize(
    ("order", "error"),
    [
        *(
            ({"account": name}, AccountNotFoundError)
            for name in (id_of("nobody"), "ann", "funding", "sales/d")
        ),
        ({"machine": "s"}, MachineNotFoundError),
        *(({"slot": slot}, SlotNotFoundError) for slot in (0, 3, 2**70, -1)),
    ],
)
async def test_nobodys_drop_and_one_from_nowhere(
    bench: Bench, order: dict[str, Any], error: type[DrinkError]
) -> None:
    await refused(bench, error, **order)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda bench: bench.accounts.change(ROOT, "ann", closed=True), AccountClosedError),
        (lambda bench: bench.machines.change(ROOT, "d", enabled=False), MachineDisabledError),
        (lambda bench: bench.reach(Reach.OFFLINE), MachineOfflineError),
        (lambda bench: bench.reach(Reach.BOARD_DOWN), BoardUnreachableError),
        (lambda bench: bench.change_slot("d", 1, enabled=False), SlotDisabledError),
        (lambda bench: bench.change_slot("d", 1, available=0), SlotEmptyError),
    ],
)
async def test_fault_56_what_is_closed_disabled_out_of_reach_or_empty_sells_nothing(
    bench: Bench, change: Callable[[Bench], Awaitable[object]], error: type[DrinkError]
) -> None:
    await change(bench)
    await refused(bench, error)


async def test_a_price_above_the_ceiling(bench: Bench) -> None:
    error = await refused(bench, PriceAboveCeilingError, price_ceiling=49)
    assert error.facts == {"price": 50}
    assert (await bench.place(price_ceiling=50)).price == 50


async def test_too_few_credits(bench: Bench) -> None:
    """Invariant 2: what is held for one drop cannot pay for another."""
    await bench.place("r1", account=BOB)
    await bench.place("r2", account=BOB)
    error = await refused(bench, InsufficientCreditsError, account=BOB, machine="ld")
    assert error.facts == {"available": 0, "price": 50}


async def test_a_free_item_needs_no_credits(bench: Bench) -> None:
    await bench.change_slot("d", 1, price=0)
    drop = await bench.dispatched(account=ROOT)
    await bench.report(drop)

    assert await bench.credits("root") == (0, 0)
    assert await bench.holds_and_ends(drop, ROOT) == ["HOLD", "POST"]


async def test_a_frontend_that_stops_takes_no_new_drop(bench: Bench) -> None:
    drop = await bench.dispatched()
    bench.drops.drain()

    await refused(bench, ShuttingDownError)
    await bench.report(drop)
    assert await bench.state(drop) == (State.DISPENSED, Cause.BOARD_ACK)


async def refused(bench: Bench, error: type[DrinkError], **order: Any) -> DrinkError:
    """The order is refused with that error, and changes nothing."""
    account = order.get("account", ANN)

    async def books() -> object:
        if await bench.accounts.find(account) is None:
            return None
        return await bench.credits(account), await bench.stock(), len(await bench.audit())

    before = await books()
    with pytest.raises(error) as refusal:
        await bench.place("refused", **order)
    assert await books() == before
    return refusal.value


async def test_fault_3_a_repeated_request_finds_its_drop(bench: Bench) -> None:
    """Invariant 12: the same request is the same drop, at every stage of it."""
    drop = await bench.place()
    assert (await bench.place()).id == drop.id

    await bench.take()
    assert (await bench.place()).state is State.DISPATCHED

    await bench.report(drop)
    assert await bench.place() == await bench.drop(drop.id)
    assert await bench.books() == ((150, 0), (2, 0, 1, 0))


async def test_a_request_finds_the_drop_that_it_made(bench: Bench) -> None:
    ann, bob = await bench.account("ann"), await bench.account("bob")
    drop = await bench.place("r1")

    assert (await bench.drops.find(ann, "r1")).id == drop.id
    with pytest.raises(DropNotFoundError):
        await bench.drops.find(bob, "r1")
    with pytest.raises(DropNotFoundError):
        await bench.drops.find(ann, "another")
    with pytest.raises(FieldInvalidError):
        await bench.drops.find(ann, "no request_id")


async def test_fault_3_ten_at_once_cause_one_reservation(bench: Bench) -> None:
    """Invariant 13: concurrent duplicates."""
    drops = await asyncio.gather(*(bench.place() for _ in range(10)))

    assert len({drop.id for drop in drops}) == 1
    assert await bench.books() == ((200, 50), (2, 1, 0, 0))


async def test_fault_3_a_repeated_request_needs_nothing_of_the_world(bench: Bench) -> None:
    """Invariant 12: the answer is the same though nothing could be bought any more."""
    drop = await bench.place(slot=2, price_ceiling=30)
    await bench.change_slot("d", 2, price=99, enabled=False, available=0)
    await bench.machines.change(ROOT, "d", enabled=False)
    await bench.accounts.change(ROOT, "ann", closed=True)
    await bench.reach(Reach.OFFLINE)

    assert (await bench.place(slot=2, price_ceiling=30)).id == drop.id


@pytest.mark.parametrize(
    "changed",
    [{"machine": "ld"}, {"slot": 2}, {"delay_s": 5}, {"price_ceiling": 50}],
)
async def test_fault_4_a_request_with_another_body_is_refused(
    bench: Bench, changed: dict[str, Any]
) -> None:
    """Invariant 12: one request_id, one purchase."""
    await bench.place()

    with pytest.raises(RequestIdReusedError):
        await bench.place(**changed)
    assert await bench.credits() == (200, 50)


async def test_request_ids_belong_to_their_account(bench: Bench) -> None:
    anns, bobs = await bench.place("r1"), await bench.place("r1", account=BOB)

    assert anns.id != bobs.id


async def test_fault_1_a_request_that_was_lost_is_made_when_it_is_repeated(bench: Bench) -> None:
    with pytest.raises(SlotNotFoundError):
        await bench.place(slot=9)

    assert (await bench.place(slot=1)).state is State.RESERVED


async def test_fault_2_a_lost_reply_is_given_again_after_a_restart(database: BenchDatabase) -> None:
    """Invariants 12 and 19: what was acknowledged is there, and the answer to the request too."""
    async with database.open() as bench:
        await bench.furnish()
        settled = await bench.dispatched("settled")
        await bench.report(settled)
        waiting = await bench.place("waiting")
    async with database.open() as bench:
        assert await bench.place("settled") == await bench.drop(settled.id)
        assert (await bench.place("waiting")).id == waiting.id
        with pytest.raises(RequestIdReusedError):
            await bench.place("settled", slot=2)
        assert await bench.books() == ((150, 50), (1, 1, 1, 0))


async def test_fault_5_a_caller_that_is_gone_changes_nothing(bench: Bench) -> None:
    """Invariant 22: the drop is made, or found, whoever still listens."""
    placing = asyncio.create_task(bench.place())
    await asyncio.sleep(0)
    await cancel(placing)

    assert (await bench.place()).state is State.RESERVED
    assert await bench.credits() == (200, 50)


async def test_fault_6_a_caller_that_stops_waiting_changes_nothing(bench: Bench) -> None:
    """Invariant 22: a deadline after the reservation is the caller's own."""
    drop = await bench.dispatched()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await bench.drops.outcome(drop.id)

    assert await bench.state(drop) == (State.DISPATCHED, Cause.NONE)
    await bench.report(drop)
    assert (await bench.drops.outcome(drop.id)).state is State.DISPENSED


async def test_two_never_reserve_the_last_item(bench: Bench) -> None:
    """Invariant 10."""
    both = await asyncio.gather(
        bench.place("r1", slot=2),
        bench.place("r1", slot=2, account=BOB),
        return_exceptions=True,
    )

    assert sorted(type(one).__name__ for one in both) == ["Drop", "SlotEmptyError"]
    assert await bench.stock("d", 2) == (0, 1, 0, 0)


async def test_the_outcome_is_told_when_it_is_durable_and_not_before(bench: Bench) -> None:
    """Invariant 18: the answer is what the database holds."""
    drop = await bench.dispatched()
    waiting = asyncio.create_task(bench.drops.outcome(drop.id))
    await bench.drop(drop.id)
    assert not waiting.done()
    await bench.report(drop)

    async with asyncio.timeout(LIMIT_S):
        assert await waiting == await bench.drop(drop.id)


@each_outcome
async def test_fault_40_each_outcome_answers_who_asked(
    bench: Bench, outcome: State, cause: Cause
) -> None:
    drop = await bench.dispatched()
    await bench.report(drop, outcome, cause)

    answered = await bench.drops.outcome(drop.id)
    assert (answered.state, answered.cause) == (outcome, cause)


async def test_the_outcome_of_no_drop(bench: Bench) -> None:
    with pytest.raises(DropNotFoundError):
        await bench.drops.outcome("nothing")
    with pytest.raises(DropNotFoundError):
        await anext(bench.drops.watch("nothing"))


async def test_a_watch_shows_each_state_until_the_final_one(bench: Bench) -> None:
    drop = await bench.place()
    seen: list[State] = []
    async with asyncio.timeout(LIMIT_S):
        async for shown in bench.drops.watch(drop.id):
            seen.append(shown.state)
            match shown.state:
                case State.RESERVED:
                    await bench.take()
                case State.DISPATCHED:
                    await bench.report(drop, State.UNKNOWN, Cause.BOARD_SILENT)
                case State.UNKNOWN:
                    await bench.report(drop, cause=Cause.BOARD_ACK_LATE, revision=2)

    assert seen == [State.RESERVED, State.DISPATCHED, State.UNKNOWN, State.DISPENSED]


async def test_a_drop_is_shown_to_its_owner_and_to_administrators(bench: Bench) -> None:
    drop = await bench.place()
    for name in ("ann", "root"):
        assert (await bench.drops.get(await bench.account(name), drop.id)).id == drop.id

    for drop_id in (drop.id, "nothing"):
        with pytest.raises(DropNotFoundError):
            await bench.drops.get(await bench.account("bob"), drop_id)


async def test_lists_are_the_callers_own(bench: Bench) -> None:
    ann, root = await bench.account("ann"), await bench.account("root")
    first, second = await bench.place("r1"), await bench.place("r2")
    other = await bench.place("r1", account=BOB)
    await bench.take()

    async def ids(*terms: Any) -> list[str]:
        return [drop.id for drop in await bench.drops.list(*terms)]

    anns, dispatched = DropSelection("ann"), DropSelection(states=(State.DISPATCHED,))
    assert await ids(ann, anns, None, 10) == [second.id, first.id]
    assert await ids(ann, anns, None, 1) == [second.id]
    assert await ids(ann, anns, (await bench.drop(second.id)).sequence, 10) == [first.id]
    assert await ids(root, ALL_DROPS, None, 10) == [other.id, second.id, first.id]
    assert await ids(root, dispatched, None, 10) == [first.id]
    assert await ids(root, DropSelection("Bob", machine="d"), None, 10) == [other.id]
    for selection in (DropSelection("bob"), ALL_DROPS, DropSelection(machine="d")):
        with pytest.raises(NotOwnerError):
            await ids(ann, selection, None, 10)
    for item in ("", "x" * 65, "Co\nke", " Coke", 'Co"ke'):
        with pytest.raises(FieldInvalidError, match="item"):
            await ids(ann, DropSelection("ann", item=item), None, 10)


@pytest.mark.parametrize("delay_s", [0, 60])
async def test_what_was_not_dispatched_can_be_cancelled(bench: Bench, delay_s: int) -> None:
    drop = await bench.place(delay_s=delay_s)
    cancelled = await bench.drops.cancel(await bench.account("ann"), drop.id)

    assert (cancelled.state, cancelled.cause) == (State.NOT_DISPENSED, Cause.CANCELLED)
    assert await bench.books() == ((200, 0), (3, 0, 0, 0))
    assert await bench.holds_and_ends(drop) == ["HOLD", "VOID"]
    assert await bench.take() is None


async def test_fault_67_an_account_cancels_so_many_drops_a_second(bench: Bench) -> None:
    drop = await bench.place()
    ann, root = await bench.account("ann"), await bench.account("root")
    for _ in range(DropSettings().cancels_burst):
        await bench.drops.cancel(ann, drop.id)
    with pytest.raises(RateLimitedError):
        await bench.drops.cancel(ann, drop.id)
    await bench.drops.cancel(root, drop.id)


async def test_fault_3_cancelling_twice_is_cancelling_once(bench: Bench) -> None:
    drop = await bench.place()
    ann = await bench.account("ann")
    once, twice = await asyncio.gather(*(bench.drops.cancel(ann, drop.id) for _ in range(2)))

    assert once == twice
    assert await bench.holds_and_ends(drop) == ["HOLD", "VOID"]


@pytest.mark.parametrize("outcome", [None, State.DISPENSED, State.UNKNOWN, State.NOT_DISPENSED])
async def test_what_was_dispatched_is_not_cancelled(bench: Bench, outcome: State | None) -> None:
    drop = await bench.dispatched()
    causes = {
        State.DISPENSED: Cause.BOARD_ACK,
        State.UNKNOWN: Cause.BOARD_SILENT,
        State.NOT_DISPENSED: Cause.BOARD_REFUSED,
    }
    if outcome is not None:
        await bench.report(drop, outcome, causes[outcome])
    before = await bench.drop(drop.id)

    with pytest.raises(DropNotCancellableError):
        await bench.drops.cancel(await bench.account("ann"), drop.id)
    assert await bench.drop(drop.id) == before


async def test_only_the_owner_and_administrators_cancel(bench: Bench) -> None:
    drop = await bench.place()
    with pytest.raises(DropNotFoundError):
        await bench.drops.cancel(await bench.account("bob"), drop.id)

    await bench.drops.cancel(await bench.account("root"), drop.id)
    assert await bench.state(drop) == (State.NOT_DISPENSED, Cause.CANCELLED)


async def test_dispatch_and_cancel_at_once_have_one_winner(bench: Bench) -> None:
    """Invariant 3: a drop is either on its way or void."""
    ann = await bench.account("ann")
    drop = await bench.place()
    taken, cancelled = await asyncio.gather(
        bench.take(), bench.drops.cancel(ann, drop.id), return_exceptions=True
    )

    if isinstance(taken, Drop):
        assert isinstance(cancelled, DropNotCancellableError)
    else:
        assert taken is None
        assert isinstance(cancelled, Drop)
