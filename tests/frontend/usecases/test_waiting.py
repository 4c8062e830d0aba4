"""Where a drop is in its machine's queue, and how long its outcome is expected to take."""

from contextlib import aclosing

import pytest

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import Drop, Reach, Waiting
from drink_frontend.domain.errors import DropNotFoundError
from drink_frontend.usecases.waiting import DROPS_MEASURED
from tests.support.bench import Bench
from tests.support.ids import ROOT


async def sell(
    bench: Bench, request_id: str, motor_s: float, cause: Cause = Cause.BOARD_ACK
) -> None:
    """One free drop whose motor takes so long."""
    drop = await bench.dispatched(request_id)
    bench.clock.pass_s(motor_s)
    outcome = State.DISPENSED if cause is not Cause.BOARD_REFUSED else State.NOT_DISPENSED
    await bench.report(drop, outcome, cause)


async def places(bench: Bench, *drops: Drop) -> list[Waiting | None]:
    return [await bench.drops.place_of(await bench.drop(drop.id)) for drop in drops]


@pytest.fixture
async def measured(bench: Bench) -> Bench:
    """A bench whose machine d needs 4 s for a can, in the middle of what it needed lately."""
    await bench.change_slot("d", 1, price=0, available=50)
    for number, motor_s in enumerate((4, 60, 2)):
        await sell(bench, f"sold-{number}", motor_s)
    # None of these says how fast the motor is.
    await sell(bench, "late", 90, Cause.BOARD_ACK_LATE)
    await sell(bench, "refused", 0, Cause.BOARD_REFUSED)
    return bench


async def test_what_waits_knows_what_comes_before_it(bench: Bench) -> None:
    first, second, third = [await bench.place(f"r{number}") for number in range(3)]
    elsewhere = await bench.place("ld", machine="ld")
    # Nothing is measured yet.
    assert await places(bench, first, second, third, elsewhere) == [
        Waiting(0, None), Waiting(1, None), Waiting(2, None), Waiting(0, None),
    ]  # fmt: skip
    await bench.taken()
    assert await places(bench, first, second) == [Waiting(0, None), Waiting(1, None)]
    await bench.report(first)
    gone, *left = await places(bench, first, second, third)
    assert gone is None
    assert [place and place.ahead for place in left] == [0, 1]


async def test_a_cancelled_drop_and_one_that_is_scheduled_are_not_ahead(bench: Bench) -> None:
    first = await bench.place("r1")
    scheduled = await bench.place("r2", delay_s=60)
    last = await bench.place("r3")
    assert await places(bench, scheduled, last) == [None, Waiting(1, None)]
    await bench.drops.cancel(await bench.account("ann"), first.id)
    assert await places(bench, last) == [Waiting(0, None)]


async def test_the_expected_time_is_that_of_all_before_it(measured: Bench) -> None:
    first, second = [await measured.place(f"r{number}") for number in range(2)]
    assert await places(measured, first, second) == [Waiting(0, 4_000), Waiting(1, 8_000)]
    await measured.taken()
    measured.clock.pass_s(1)
    assert await places(measured, first, second) == [Waiting(0, 3_000), Waiting(1, 7_000)]
    # A motor that takes longer than usual may end at any moment.
    measured.clock.pass_s(100)
    assert await places(measured, first, second) == [Waiting(0, 0), Waiting(1, 4_000)]
    # A wall clock that was set back does not make it longer than usual.
    measured.clock.wall_ms -= 3_600_000
    assert await places(measured, first, second) == [Waiting(0, 4_000), Waiting(1, 8_000)]


async def test_a_machine_that_is_not_ready_has_no_expected_time(measured: Bench) -> None:
    drop = await measured.place("r1")
    await measured.reach(Reach.BOARD_DOWN)
    assert await places(measured, drop) == [Waiting(0, None)]


async def test_old_motor_times_are_forgotten(measured: Bench) -> None:
    for number in range(DROPS_MEASURED):
        await sell(measured, f"slow-{number}", 9)
    assert await places(measured, await measured.place("r1")) == [Waiting(0, 9_000)]


async def test_who_follows_hears_of_each_change_of_the_place(bench: Bench) -> None:
    first, second = [await bench.place(f"r{number}") for number in range(2)]
    async with aclosing(bench.drops.follow(second.id)) as follower:
        told = [await anext(follower)]
        # That the first one is dispatched changes nothing for the second.
        await bench.taken()
        await bench.report(first)
        told.append(await anext(follower))
        await bench.taken()
        told.append(await anext(follower))
        await bench.report(second)
        told.append(await anext(follower))
        assert [drop.state for drop, _ in told] == [
            State.RESERVED, State.RESERVED, State.DISPATCHED, State.DISPENSED,
        ]  # fmt: skip
        assert [place and place.ahead for _, place in told] == [1, 0, 0, None]
        with pytest.raises(StopAsyncIteration):
            await anext(follower)


async def test_nobody_follows_what_is_not_there(bench: Bench) -> None:
    with pytest.raises(DropNotFoundError):
        await anext(bench.drops.follow("nothing"))


async def test_the_reason_of_a_decision_is_for_administrators(bench: Bench) -> None:
    drop = await bench.dispatched()
    await bench.report(drop, State.UNKNOWN, Cause.BOARD_SILENT)
    ann, root = await bench.account("ann"), await bench.account("root")
    assert not await bench.drops.decision(root, await bench.drop(drop.id))
    await bench.drops.decide(ROOT, drop.id, dispensed=True, why="I saw it")
    decided = await bench.drop(drop.id)
    assert await bench.drops.decision(root, decided) == "I saw it"
    assert not await bench.drops.decision(ann, decided)
