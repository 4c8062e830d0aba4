"""What happens because time passes: on the bench's clock, which no test waits for."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import AuditKind, Drop, Reach
from drink_frontend.domain.errors import StorageUnavailableError
from drink_frontend.storage.database import Database
from drink_frontend.storage.needs import Needs
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.deadlines import Deadlines, TimeoutTracker
from drink_frontend.usecases.settings import DropSettings
from tests.support.bench import Bench, BenchDatabase
from tests.support.books import drop as some_drop
from tests.support.ids import ROOT
from tests.support.tasks import beside

T = TypeVar("T")

DAY_S = 86_400
LIMIT_S = 20
"""Longest wait for the running deadlines, in real seconds."""


class Interposed(Database):
    """The bench's storage with something in between.

    Attributes:
        before_write: Done once, before the next write.
        failures: How many reads from now on find no answer.
    """

    def __init__(self, bench: Bench) -> None:
        self._storage = bench.storage
        self.changes = bench.storage.changes
        self.before_write: Callable[[], Awaitable[None]] | None = None
        self.failures = 0

    @property
    def shared(self) -> bool:
        return self._storage.shared

    async def read(self, query: Callable[[Transaction], T]) -> T:
        if self.failures:
            self.failures -= 1
            raise StorageUnavailableError("the database does not answer")
        return await self._storage.read(query)

    async def write(self, unit: Callable[[Transaction], T], needs: Needs | None = None) -> T:
        before, self.before_write = self.before_write, None
        if before is not None:
            await before()
        return await self._storage.write(unit, needs)


def ids(drops: list[Drop]) -> list[str]:
    return [drop.id for drop in drops]


def test_the_timeout_tracker_ends_after_the_limit_and_not_at_it() -> None:
    tracker, drop = TimeoutTracker(10), some_drop(1)

    assert ids(tracker.over([drop], 100)) == []
    assert ids(tracker.over([drop], 110)) == []
    assert ids(tracker.over([drop], 110.1)) == [drop.id]


def test_the_timeout_tracker_begins_anew_for_who_was_away() -> None:
    tracker, drop, other = TimeoutTracker(10), some_drop(1), some_drop(2)
    tracker.over([drop, other], 100)
    tracker.over([other], 105)

    assert ids(tracker.over([drop, other], 111)) == [other.id]


async def later(bench: Bench, seconds: float, step_s: float = 1) -> None:
    """Lets time pass with a look every second, as the running deadlines look."""
    await bench.deadlines.look()
    for _ in range(round(seconds / step_s)):
        bench.clock.pass_s(step_s)
        await bench.deadlines.look()


async def test_a_scheduled_drop_becomes_due_and_wakes_its_machine(bench: Bench) -> None:
    drop = await bench.place(delay_s=60)
    await later(bench, 59)
    assert (await bench.drop(drop.id)).state is State.SCHEDULED
    assert bench.links.woken == []

    await later(bench, 1)
    assert await bench.state(drop) == (State.RESERVED, Cause.NONE)
    assert bench.links.woken == ["d"]
    assert await bench.credits() == (200, 50)


async def test_fault_56_a_scheduled_drop_of_a_disabled_machine_fails_when_it_becomes_due(
    bench: Bench,
) -> None:
    drop = await bench.place(delay_s=60)
    await bench.machines.change(ROOT, "d", enabled=False)
    await later(bench, 59)
    assert (await bench.drop(drop.id)).state is State.SCHEDULED

    await later(bench, 1)
    assert await bench.state(drop) == (State.NOT_DISPENSED, Cause.CANCELLED)
    assert await bench.credits() == (200, 0)
    *_, last = await bench.audit(AuditKind.DROP_MOVED, drop_id=drop.id)
    assert last.facts["why"] == "the machine is out of service"
    assert await bench.storage.verify() == []


async def test_fault_56_a_drop_that_waits_for_a_disabled_machine_outlives_a_short_repair(
    bench: Bench,
) -> None:
    short, long = await bench.place("r1"), await bench.place("r2", machine="ld")
    for machine in ("d", "ld"):
        await bench.machines.change(ROOT, machine, enabled=False)
    await later(bench, 60)
    assert (await bench.drop(short.id)).state is State.RESERVED
    await bench.machines.change(ROOT, "d", enabled=True)
    assert await bench.dispatch.take("d", 1) is not None
    await later(bench, 61)
    assert await bench.state(long) == (State.NOT_DISPENSED, Cause.CANCELLED)
    assert await bench.storage.verify() == []


async def test_a_scheduled_drop_becomes_due_after_a_restart(database: BenchDatabase) -> None:
    """Invariant 19: a delay outlives the process that took it."""
    async with database.open() as bench:
        await bench.furnish()
        drop = await bench.place(delay_s=60)
    database.clock.pass_s(60)
    async with database.open() as bench:
        await bench.deadlines.look()
        assert (await bench.drop(drop.id)).state is State.RESERVED


async def test_fault_51_a_clock_put_forward_makes_a_drop_due_once(bench: Bench) -> None:
    drop = await bench.place(delay_s=60)
    bench.clock.jump_s(3 * DAY_S)
    await bench.deadlines.look()
    assert (await bench.drop(drop.id)).state is State.RESERVED

    await bench.take()
    bench.clock.jump_s(-3 * DAY_S)
    await later(bench, 61)
    assert (await bench.drop(drop.id)).state is State.DISPATCHED


async def test_fault_51_a_clock_put_back_holds_no_drop_for_days(bench: Bench) -> None:
    """Invariant 17: at worst the drop waits for the longest delay there is."""
    drop = await bench.place(delay_s=60)
    bench.clock.jump_s(-3 * DAY_S)
    await later(bench, 300)
    assert (await bench.drop(drop.id)).state is State.SCHEDULED

    await later(bench, 1)
    assert (await bench.drop(drop.id)).state is State.RESERVED
    assert bench.links.woken == ["d"]


@pytest.mark.parametrize("jump_s", [-3 * DAY_S, 3 * DAY_S])
async def test_fault_51_a_jump_of_the_clock_ends_nobodys_patience(
    bench: Bench, jump_s: float
) -> None:
    """Invariant 17: limits are counted on the monotonic clock."""
    dispatched, waiting = await bench.dispatched("r1"), await bench.place("r2")
    await later(bench, 60)
    bench.clock.jump_s(jump_s)
    await later(bench, 29)

    assert (await bench.drop(dispatched.id)).state is State.DISPATCHED
    assert (await bench.drop(waiting.id)).state is State.RESERVED


async def test_a_drop_without_an_outcome_becomes_unknown(bench: Bench) -> None:
    """Invariant 8: silence proves nothing, so the credits stay held."""
    drop = await bench.dispatched()
    bench.links.woken.clear()
    await later(bench, 90)
    assert (await bench.drop(drop.id)).state is State.DISPATCHED

    await later(bench, 1)
    assert await bench.state(drop) == (State.UNKNOWN, Cause.AGENT_LOST)
    assert await bench.books() == ((200, 50), (2, 0, 0, 1))
    assert bench.links.woken == ["d"]


async def test_an_unknown_drop_never_expires(bench: Bench) -> None:
    """Invariant 8: no time that passes gives the item away or charges for it."""
    drop = await bench.unknown()
    await later(bench, 30 * DAY_S, step_s=DAY_S)

    assert await bench.state(drop) == (State.UNKNOWN, Cause.BOARD_SILENT)
    assert await bench.credits() == (200, 50)


async def test_fault_52_an_agent_that_was_away_for_a_month_still_settles(bench: Bench) -> None:
    drop = await bench.dispatched()
    await later(bench, 30 * DAY_S, step_s=DAY_S)
    opening = await bench.link()
    assert opening.wanted == (drop.id,)

    await bench.report(drop)
    assert await bench.state(drop) == (State.DISPENSED, Cause.BOARD_ACK)


async def test_an_agent_that_cannot_tell_either_leaves_its_evidence(bench: Bench) -> None:
    """Invariant 21: what the agent knows is there for the operator, and is not asked again."""
    drop = await bench.dispatched()
    await later(bench, 91)
    await bench.link()
    evidence = {"sensor_before": "STOCKED", "sensor_after": "EMPTY"}
    await bench.report(drop, State.UNKNOWN, Cause.AGENT_RESTARTED, evidence=evidence)

    assert await bench.state(drop) == (State.UNKNOWN, Cause.AGENT_RESTARTED)
    assert (await bench.audit(drop_id=drop.id))[-1].facts["evidence"] == evidence
    assert (await bench.link()).wanted == ()
    assert await bench.books() == ((200, 50), (2, 0, 0, 1))


async def test_fault_10_a_command_that_never_arrived_is_settled_after_it_was_unknown(
    bench: Bench,
) -> None:
    """Its buyer was told that nobody knows, so it is not sent after all."""
    drop = await bench.dispatched()
    await later(bench, 91)
    await bench.returned(drop)

    assert await bench.state(drop) == (State.NOT_DISPENSED, Cause.NOT_RECEIVED)
    assert await bench.credits() == (200, 0)
    assert await bench.take() is None


async def test_fault_37_a_lost_journal_ends_the_search_for_an_unknown_drop(bench: Bench) -> None:
    drop = await bench.dispatched()
    await later(bench, 91)
    assert (await bench.link("d", "journal-2")).wanted == ()

    assert await bench.state(drop) == (State.UNKNOWN, Cause.JOURNAL_REPLACED)
    assert (await bench.link("d", "journal-2")).wanted == ()
    assert await bench.credits() == (200, 50)


async def test_a_drop_that_is_sent_once_more_is_given_the_whole_time_again(bench: Bench) -> None:
    """Invariant 24: UNKNOWN needs a cause, and a command sent a moment ago is none."""
    drop = await bench.dispatched()
    await later(bench, 85)
    await bench.returned(drop)
    await bench.take()
    await later(bench, 90)
    assert (await bench.drop(drop.id)).state is State.DISPATCHED

    await later(bench, 1)
    assert await bench.state(drop) == (State.UNKNOWN, Cause.AGENT_LOST)


@pytest.mark.parametrize(
    ("reach", "cause"),
    [
        (Reach.READY, Cause.EXPIRED),
        (Reach.BOARD_DOWN, Cause.MACHINE_OFFLINE),
        (Reach.OFFLINE, Cause.MACHINE_OFFLINE),
    ],
)
async def test_a_drop_that_was_never_taken_is_given_up(
    bench: Bench, reach: Reach, cause: Cause
) -> None:
    drop = await bench.place()
    await bench.reach(reach)
    await later(bench, 120)
    assert (await bench.drop(drop.id)).state is State.RESERVED

    await later(bench, 1)
    assert await bench.state(drop) == (State.NOT_DISPENSED, cause)
    assert await bench.books() == ((200, 0), (3, 0, 0, 0))
    assert await bench.take() is None


async def test_a_returned_drop_keeps_the_time_it_has_waited(bench: Bench) -> None:
    """Invariant 23: however often a link is cut, the drop comes to an end."""
    drop = await bench.dispatched()
    await later(bench, 80)
    await bench.returned(drop)
    await later(bench, 41)

    assert (await bench.drop(drop.id)).state is State.NOT_DISPENSED


async def test_what_moved_meanwhile_is_left_alone(bench: Bench) -> None:
    waiting, silent = await bench.place("r1", machine="ld"), await bench.dispatched("r2")
    storage = Interposed(bench)
    deadlines = Deadlines(storage, bench.links, bench.clock, DropSettings())
    await deadlines.look()
    bench.clock.pass_s(121)

    async def move() -> None:
        await bench.take("ld")
        await bench.report(silent)

    storage.before_write = move
    await deadlines.look()
    assert (await bench.drop(waiting.id)).state is State.DISPATCHED
    assert await bench.state(silent) == (State.DISPENSED, Cause.BOARD_ACK)


async def test_a_drop_sent_once_more_meanwhile_has_its_time_from_then_on(bench: Bench) -> None:
    drop = await bench.dispatched()
    storage = Interposed(bench)
    deadlines = Deadlines(storage, bench.links, bench.clock, DropSettings())
    await deadlines.look()
    bench.clock.pass_s(91)

    async def send_again() -> None:
        await bench.returned(drop)
        await bench.take()

    storage.before_write = send_again
    await deadlines.look()
    assert (await bench.drop(drop.id)).state is State.DISPATCHED


async def test_fault_31_two_frontends_that_find_the_same_drop_overdue_move_it_once(
    bench: Bench,
) -> None:
    """Invariant 3: each sees every drop, whoever placed it and whoever has the link."""
    drops = [
        await bench.dispatched("r1"),
        await bench.place("r2", machine="ld"),
        await bench.place("r3", delay_s=100),
    ]
    frontends = [
        Deadlines(bench.storage, bench.links, bench.clock, DropSettings()) for _ in range(2)
    ]
    for _ in range(2):
        await asyncio.gather(*(each.look() for each in frontends))
        bench.clock.pass_s(121)
    await asyncio.gather(*(each.look() for each in frontends))

    lost, withdrawn, released = [await bench.state(drop) for drop in drops]
    assert lost == (State.UNKNOWN, Cause.AGENT_LOST)
    assert withdrawn == (State.NOT_DISPENSED, Cause.EXPIRED)
    assert released == (State.RESERVED, Cause.NONE)
    moves = await bench.audit(AuditKind.DROP_MOVED)
    assert Counter(move.facts["event"] for move in moves) == {
        "RESERVE": 3, "DISPATCH": 1, "LOSE": 1, "WITHDRAW": 1, "DUE": 1,
    }  # fmt: skip


async def test_invariant_23_every_drop_ends_when_nobody_answers(bench: Bench) -> None:
    """Whatever state a drop is in, time alone brings it to an answer."""
    drops = [
        await bench.dispatched("r1"),
        await bench.place("r2"),
        await bench.place("r3", delay_s=300),
    ]
    await bench.reach(Reach.OFFLINE)
    await later(bench, 300 + 120 + 2)

    assert all([(await bench.drop(drop.id)).state.answered for drop in drops])


async def running(bench: Bench, deadlines: Deadlines, drop: Drop, state: State) -> None:
    """Runs the deadlines until the drop is in that state."""
    async with beside(deadlines.run()):
        await reaches(bench, drop, state)


async def reaches(bench: Bench, drop: Drop, state: State) -> None:
    async with asyncio.timeout(LIMIT_S):
        async for shown in bench.drops.watch(drop.id):
            if shown.state is state:
                return


async def test_the_running_deadlines_look_when_a_drop_is_due(bench: Bench) -> None:
    drop = await bench.place(delay_s=1)
    bench.clock.pass_s(0.99)
    deadlines = Deadlines(bench.storage, bench.links, bench.clock, DropSettings(look_interval_s=60))
    passing = asyncio.get_running_loop().call_later(0.005, bench.clock.pass_s, 0.02)
    await running(bench, deadlines, drop, State.RESERVED)
    passing.cancel()


async def test_the_running_deadlines_look_when_they_are_woken(bench: Bench) -> None:
    deadlines = Deadlines(bench.storage, bench.links, bench.clock, DropSettings(look_interval_s=60))
    async with beside(deadlines.run()):
        drop = await bench.place(delay_s=60)
        bench.clock.pass_s(60)
        deadlines.wake()
        await reaches(bench, drop, State.RESERVED)


async def test_a_database_that_does_not_answer_is_asked_again(bench: Bench) -> None:
    drop = await bench.place(delay_s=1)
    bench.clock.pass_s(1)
    storage = Interposed(bench)
    storage.failures = 3
    deadlines = Deadlines(storage, bench.links, bench.clock, DropSettings(look_interval_s=0.01))
    await running(bench, deadlines, drop, State.RESERVED)

    assert storage.failures == 0
