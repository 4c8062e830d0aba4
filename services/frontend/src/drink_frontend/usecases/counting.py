"""Keeps the sums of statistics behind the sales, by the events of drops.

What a unit of work adds is computed from one snapshot beforehand and stored together with how far
the sums are then, if they are still where the snapshot had them: so that each change is added once,
whichever process adds it and wherever one is killed.

The sums of a snapshot are those of all drops up to a sequence, each as the events up to a sequence
left it. When they are made anew drops are counted in their order, and events of drops that are not
yet counted are passed over: such a drop is counted later, as it is then.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import structlog

from drink_frontend.domain.entities import Drop
from drink_frontend.domain.errors import StorageUnavailableError
from drink_frontend.domain.statistics import Phase, Progress, Tally
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from drink_frontend.system.calendar import Calendar
from drink_frontend.usecases.settings import StatisticsSettings

log = structlog.get_logger(__name__)

BATCHES_AT_ONCE = 100
"""Most batches of events that are read for one unit of work."""

DROPS_AT_ONCE = 200
"""Drops that are counted in one unit of work, which takes some 10 ms."""

ROWS_AT_ONCE = 1_000
"""Rows above which no further batch of events is added to a unit of work."""

CLEARED_AT_ONCE = 1_000
"""Rows deleted in one unit of work."""

PAUSE_S = 0.02
"""Shortest pause between two units of work that follow each other, for the sales."""

RETRY_S = 60.0
"""Seconds until the next attempt after an error that nobody expects."""

calendar_of = lru_cache(8)(Calendar)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a unit of work does to the sums.

    Attributes:
        before: How far they were when it was made.
        after: How far they are then.
        tally: What it adds.
        is_last: Whether the sums are then those of the whole snapshot.
    """

    before: Progress
    after: Progress
    tally: Tally
    is_last: bool = False


class Counting:
    """Counts drops into the sums of statistics.

    Args:
        storage: The database.
        settings: Time zone and interval.
    """

    def __init__(self, storage: Database, settings: StatisticsSettings) -> None:
        self._storage = storage
        self._settings = settings

    async def run(self) -> None:
        """Follows the events until cancelled. No error of it disturbs the sales."""
        is_compared = False
        with self._storage.changes.events() as commits:
            while True:
                pause_s = self._settings.interval_s
                try:
                    if not is_compared:
                        await self._compare_zone()
                    is_compared = True
                    await self.catch_up()
                except StorageUnavailableError:
                    log.warning("statistics_postponed")
                except Exception:
                    log.exception("statistics_failed")
                    pause_s = max(pause_s, RETRY_S)
                else:
                    await commits.changed()
                await asyncio.sleep(pause_s)

    async def catch_up(self) -> None:
        """Counts what there is now, in units of work with pauses.

        What is added meanwhile is left, so that the drops of an interval are counted together.

        Raises:
            StorageUnavailableError: the database does not answer.
        """
        async for _ in self._steps():
            pass

    async def rebuild(self, told: Callable[[Progress], None] = lambda _: None) -> None:
        """Makes the sums anew, in the zone of the settings; or goes on with that.

        Args:
            told: Called after each unit of work, with how far the sums are.

        Raises:
            StorageUnavailableError: the database does not answer.
        """
        await self._begin_anew()
        async for progress in self._steps():
            told(progress)
            if progress.phase is Phase.FOLLOWING:
                return

    async def _steps(self) -> AsyncIterator[Progress]:
        """Carries out units of work, with pauses, until nothing of a snapshot is left."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            plan = await self._plan()
            if plan is None:
                return
            progress = await self._carry_out(plan)
            yield progress
            if plan.is_last and progress == plan.after:
                return
            # As much time for the sales as for this.
            await asyncio.sleep(max(PAUSE_S, loop.time() - began))

    async def step(self) -> Progress | None:
        """Carries out one unit of work.

        Returns:
            How far the sums are then; None if there was nothing to do.

        Raises:
            StorageUnavailableError: the database does not answer.
        """
        plan = await self._plan()
        return None if plan is None else await self._carry_out(plan)

    async def _plan(self) -> Plan | None:
        zone = self._settings.time_zone
        return await self._storage.read(lambda tx: plan_of(tx, zone))

    async def _carry_out(self, plan: Plan) -> Progress:
        return await self._storage.write(lambda tx: carry_out(tx, plan))

    async def _begin_anew(self) -> None:
        zone = self._settings.time_zone

        def begin(tx: Transaction) -> None:
            before = tx.statistics.progress()
            # What was interrupted in this zone goes on.
            if before.phase is Phase.FOLLOWING or before.time_zone not in ("", zone):
                tx.statistics.set_progress(_anew(before, zone))

        await self._storage.write(begin)

    async def progress(self) -> tuple[Progress, int]:
        """How far the sums are, and the sequence of the newest drop; 0 without one."""
        return await self._storage.read(
            lambda tx: (tx.statistics.progress(), tx.drops.newest_sequence())
        )

    async def _compare_zone(self) -> None:
        progress = await self._storage.read(lambda tx: tx.statistics.progress())
        if progress.time_zone not in ("", self._settings.time_zone):
            log.warning(
                "statistics_zone_differs",
                counted_in=progress.time_zone,
                setting=self._settings.time_zone,
            )


def plan_of(tx: Transaction, zone: str) -> Plan | None:
    """The next unit of work, from one snapshot; None if there is nothing to do.

    Args:
        tx: The snapshot.
        zone: The time zone for sums without one.
    """
    before = tx.statistics.progress()
    if before.phase is Phase.CLEARING:
        return Plan(before, before, Tally())
    begun = before if before.time_zone else replace(before, time_zone=zone)
    oldest, newest = tx.events.ends()
    if begun.event_sequence < oldest:
        # Events were deleted that nobody has followed.
        return Plan(before, _anew(begun, begun.time_zone), Tally())
    tally, after, is_behind = _follow(tx, begun, newest)
    if begun.phase is Phase.COUNTING:
        if not is_behind:
            after = _count(tx, tally, after)
        return Plan(before, after, tally)
    return None if after == before else Plan(before, after, tally, is_last=not is_behind)


def carry_out(tx: Transaction, plan: Plan) -> Progress:
    """Stores what a plan adds, unless another process was first; returns how far the sums are."""
    present = tx.statistics.progress()
    if present != plan.before:
        return present
    if present.phase is Phase.CLEARING:
        return _clear(tx, present)
    tx.statistics.add(plan.tally.rows)
    tx.statistics.add_unknown(plan.tally.doubtful)
    tx.statistics.remove_unknown(plan.tally.decided)
    tx.statistics.set_progress(plan.after)
    return plan.after


def _clear(tx: Transaction, before: Progress) -> Progress:
    if not tx.statistics.clear(CLEARED_AT_ONCE):
        return before
    _, newest = tx.events.ends()
    # No drop is counted: whatever events tell of one before that is in what it is then.
    after = replace(before, phase=Phase.COUNTING, event_sequence=newest, drop_sequence=0)
    tx.statistics.set_progress(after)
    return after


def _anew(before: Progress, zone: str) -> Progress:
    return replace(before, phase=Phase.CLEARING, time_zone=zone, drop_sequence=0)


def _follow(tx: Transaction, before: Progress, newest: int) -> tuple[Tally, Progress, bool]:
    """What the next events add, how far the sums are then, and whether events are left."""
    calendar, tally, reached = calendar_of(before.time_zone), Tally(), before.event_sequence
    batches = list(tx.events.outcomes_after(reached, BATCHES_AT_ONCE))
    unknown = tx.statistics.unknown_of(drop.id for _, drops in batches for drop in drops)
    for sequence, drops in batches:
        for drop in drops:
            if before.phase is Phase.FOLLOWING or _is_counted(tx, drop, before.drop_sequence):
                tally.follow(drop, *_place(calendar, drop), was_unknown=drop.id in unknown)
        reached = sequence
        if len(tally.rows) >= ROWS_AT_ONCE:
            break
    return tally, replace(before, event_sequence=reached), reached < newest


def _count(tx: Transaction, tally: Tally, before: Progress) -> Progress:
    """Counts the next drops as they are in the snapshot, of which all events are followed."""
    calendar = calendar_of(before.time_zone)
    drops = tx.drops.after(before.drop_sequence, DROPS_AT_ONCE)
    for drop in drops:
        if drop.state.answered:
            tally.count(drop, *_place(calendar, drop))
    if len(drops) < DROPS_AT_ONCE:
        return replace(before, phase=Phase.FOLLOWING, drop_sequence=0)
    return replace(before, drop_sequence=drops[-1].sequence)


def _is_counted(tx: Transaction, shown: Drop, drop_sequence: int) -> bool:
    drop = tx.drops.get(shown.id)
    return drop is not None and drop.sequence <= drop_sequence


def _place(calendar: Calendar, drop: Drop) -> tuple[int, int]:
    assert drop.settled_ms is not None, "a drop with an outcome has its time"
    return calendar.day_and_hour(drop.settled_ms)
