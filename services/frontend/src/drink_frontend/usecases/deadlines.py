"""Changes of drops that only the passing of time causes.

Scheduled drops become due by the wall clock, so that they are in time after a restart. Every limit
is counted on the monotonic clock from when this process first saw the drop, so that no clock's jump
and no restart makes a drop late: at worst it waits once more.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

import structlog

from drink_frontend.domain.drop import Cause, DropEvent, State
from drink_frontend.domain.entities import Drop, Reach
from drink_frontend.domain.errors import StorageUnavailableError
from drink_frontend.domain.limits import DELAY_MAX_S
from drink_frontend.domain.ports import Clock
from drink_frontend.spans.context import trace_id_of
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.advance import advance
from drink_frontend.usecases.drop_traces import NO_TRACES, DropTraces
from drink_frontend.usecases.links import Links
from drink_frontend.usecases.settings import DropSettings

log = structlog.get_logger(__name__)


class TimeoutTracker:
    """How long each drop of a changing set has been in the set. Pure.

    Args:
        limit_s: Seconds after which a drop is over the limit.
        per_epoch: Whether a drop starts anew when it is dispatched again.
    """

    def __init__(self, limit_s: float, *, per_epoch: bool = False) -> None:
        self._limit_s = limit_s
        self._per_epoch = per_epoch
        self._since: dict[tuple[str, int | None], float] = {}

    def over(self, drops: Iterable[Drop], now: float) -> list[Drop]:
        """Those of `drops` that were in every set for longer than the limit."""
        present = list(drops)
        self._since = {self._key(drop): self._since.get(self._key(drop), now) for drop in present}
        return [drop for drop in present if now - self._since[self._key(drop)] > self._limit_s]

    def _key(self, drop: Drop) -> tuple[str, int | None]:
        return drop.id, drop.epoch if self._per_epoch else None


class Deadlines:
    """Releases scheduled drops, gives up on waiting ones, and declares silent ones unknown.

    Args:
        storage: The database.
        links: The open links.
        clock: Time.
        settings: Limits.
        traces: Makes the drops' spans.
    """

    def __init__(
        self,
        storage: Database,
        links: Links,
        clock: Clock,
        settings: DropSettings,
        traces: DropTraces = NO_TRACES,
    ) -> None:
        self._storage = storage
        self._links = links
        self._clock = clock
        self._traces = traces
        self._interval_s = settings.look_interval_s
        # A wall clock that is set back must not hold a scheduled drop's credits for longer.
        self._scheduled = TimeoutTracker(DELAY_MAX_S)
        self._waiting = TimeoutTracker(settings.waiting_limit_s)
        self._silent = TimeoutTracker(settings.silence_limit_s, per_epoch=True)
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Checks the deadlines at once, since a drop was scheduled."""
        self._wake.set()

    async def run(self) -> None:
        """Applies deadlines until cancelled; retries while the database is unavailable."""
        while True:
            self._wake.clear()
            try:
                await self.look()
                pause = await self._until_due()
            except StorageUnavailableError:
                log.warning("deadlines_postponed")
                pause = self._interval_s
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def look(self) -> None:
        """Applies every deadline that has passed."""
        now, now_ms = self._clock.monotonic(), self._clock.now_ms()

        def open_drops(tx: Transaction) -> tuple[list[Drop], list[Drop], list[Drop], list[Drop]]:
            return (
                list(tx.drops.due(now_ms)),
                list(tx.drops.in_state(State.SCHEDULED)),
                list(tx.drops.in_state(State.RESERVED)),
                list(tx.drops.in_state(State.DISPATCHED)),
            )

        due, scheduled, reserved, dispatched = await self._storage.read(open_drops)
        late = self._scheduled.over(scheduled, now)
        for drop in {drop.id: drop for drop in (*due, *late)}.values():
            await self._apply(drop, DropEvent.DUE)
            self._links.wake(drop.machine)
        # The waiting time of a drop goes on when its agent returned it.
        waited = self._waiting.over([*reserved, *dispatched], now)
        for drop in waited:
            if drop.state is State.RESERVED:
                await self._apply(drop, DropEvent.WITHDRAW)
        for drop in self._silent.over(dispatched, now):
            await self._apply(drop, DropEvent.LOSE)
            self._links.wake(drop.machine)

    async def _apply(self, seen: Drop, event: DropEvent) -> None:
        now_ms = self._clock.now_ms()

        def apply(tx: Transaction) -> Drop | None:
            drop = tx.drops.get(seen.id)
            assert drop is not None
            # Another frontend or the agent may have changed the drop first; and the time of a drop
            # that was dispatched again starts anew.
            if (drop.state, drop.epoch) != (seen.state, seen.epoch):
                return None
            what, cause, facts = _fate(tx, drop, event)
            return advance(tx, drop, what, cause, actor="frontend", now_ms=now_ms, facts=facts).drop

        drop = await self._storage.write(apply)
        if drop is not None:
            self._traces.ended(drop)
            log.info(
                "drop_deadline",
                drop_id=drop.id,
                machine=drop.machine,
                deadline=event,
                **trace_id_of(drop.traceparent),
            )

    async def _until_due(self) -> float:
        next_due_ms = await self._storage.read(lambda tx: tx.drops.next_due_ms())
        if next_due_ms is None:
            return self._interval_s
        until_due_s = (next_due_ms - self._clock.now_ms()) / 1000
        return min(self._interval_s, max(until_due_s, 0.001))


def _fate(tx: Transaction, drop: Drop, event: DropEvent) -> tuple[DropEvent, Cause, dict[str, Any]]:
    """The event, cause and further facts of a drop whose deadline has passed."""
    if event is DropEvent.LOSE:
        return event, Cause.AGENT_LOST, {}
    machine = tx.machines.alone(drop.machine)
    if machine is not None and not machine.enabled:
        # Taking a machine out of service cancels the drops that wait for it.
        return DropEvent.CANCEL, Cause.CANCELLED, {"why": "the machine is out of service"}
    if event is DropEvent.DUE:
        return event, Cause.NONE, {}
    ready = machine is not None and machine.reach is Reach.READY
    return event, Cause.EXPIRED if ready else Cause.MACHINE_OFFLINE, {}
