"""Temperatures of machines through time: measured here, stored behind the links, and listed.

The frontend that has a machine's newest link measures what its board reports, and stores each five
minutes when they are over, apart from the sales. Rows older than two weeks become one each hour.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from drink_frontend.domain.durations import DAY_MS, HOUR_MS
from drink_frontend.domain.entities import MS_MAX
from drink_frontend.domain.errors import (
    FieldInvalidError,
    MachineNotFoundError,
    OutcomeUnknownError,
    StorageUnavailableError,
)
from drink_frontend.domain.ports import Clock
from drink_frontend.domain.temperatures import (
    STEP_MS,
    Measured,
    Recorder,
    Temperature,
    joined,
)
from drink_frontend.storage.database import Database
from drink_frontend.storage.temperatures import MACHINES_AT_ONCE
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.settings import TemperatureSettings

log = structlog.get_logger(__name__)

LOOK_S = 20.0
"""Seconds between two looks whether a part of time is over."""

ROWS_AT_ONCE = 25
"""Rows that are stored in one unit of work, which takes some 5 ms."""

PAUSE_S = 0.02
"""Pause between two units of work that follow each other, for the sales."""

WAITING_MS = HOUR_MS
"""Milliseconds that rows wait for a database that does not answer; older ones are lost."""

TIDIED_AT_ONCE = 2
"""Hours of a machine that are made coarser, and hours that are deleted, in each hour. So a clock
that is years ahead does that to two hours in each hour until it is right again, and to no more."""

SPAN_DEFAULT_MS = DAY_MS
"""Time that is listed without a begin."""


@dataclass(frozen=True, slots=True)
class TemperatureQuery:
    """Which temperatures are wanted.

    Attributes:
        machine: Name of the machine; None for all.
        step_ms: Length of the parts of time.
        from_ms: Parts that end after it; None for a day before `before_ms`.
        before_ms: Parts that begin before it; None for now.
    """

    machine: str | None = None
    step_ms: int = STEP_MS
    from_ms: int | None = None
    before_ms: int | None = None

    def __post_init__(self) -> None:
        if not STEP_MS <= self.step_ms <= DAY_MS or self.step_ms % STEP_MS:
            raise FieldInvalidError("step", "must be a multiple of 5 minutes, 24 hours at most")


Place = tuple[str, int]
"""Machine, and begin of the next row; the first page begins at the first."""


class Temperatures:
    """Temperatures of machines.

    Args:
        storage: The database.
        clock: Time.
        settings: How long they are kept.
    """

    def __init__(self, storage: Database, clock: Clock, settings: TemperatureSettings) -> None:
        self._storage = storage
        self._clock = clock
        self._settings = settings
        self._recorder = Recorder()
        self._waiting: list[Measured] = []

    def saw(self, machine: str, epoch: int, celsius: float | None) -> None:
        """Takes what a board reported; it holds until it reports something else."""
        self._recorder.saw(machine, epoch, celsius, self._clock.now_ms(), self._clock.monotonic())

    def ended(self, machine: str, epoch: int) -> None:
        """Takes the end of a link."""
        self._recorder.ended(machine, epoch, self._clock.now_ms(), self._clock.monotonic())

    async def run(self) -> None:
        """Stores what was measured, until cancelled. No error of it disturbs the sales."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.keep()
            except StorageUnavailableError:
                log.warning("temperatures_postponed", rows=len(self._waiting))
            except Exception:
                # These rows again would be this error again.
                log.exception("temperatures_lost", rows=len(self._waiting))
                self._waiting.clear()

    async def keep(self, *, unfinished: bool = False) -> None:
        """Stores what was measured of past parts of time.

        Args:
            unfinished: Also of the present one: this process ends.

        Raises:
            StorageUnavailableError: the database does not answer; what is not stored waits.
        """
        now_ms = self._clock.now_ms()
        self._waiting += self._recorder.take(now_ms, self._clock.monotonic(), unfinished=unfinished)
        self._waiting = [
            each for each in self._waiting if abs(now_ms - each.temperature.from_ms) <= WAITING_MS
        ]
        while self._waiting:
            some = self._waiting[:ROWS_AT_ONCE]
            try:
                await self._storage.write(lambda tx, some=some: self._store(tx, some))  # type: ignore[misc]
            except OutcomeUnknownError:
                # Stored again they might count twice.
                del self._waiting[: len(some)]
                raise
            del self._waiting[: len(some)]
            if self._waiting:
                await asyncio.sleep(PAUSE_S)

    def _store(self, tx: Transaction, measured: Sequence[Measured]) -> None:
        for each in measured:
            new = each.temperature
            machine = tx.machines.alone(new.machine)
            if machine is None or machine.epoch != each.epoch:
                # Another frontend has the machine now, and measures it.
                continue
            _add(tx, new)
            if new.from_ms % HOUR_MS == 0:
                fine_ms = self._settings.fine_days * DAY_MS
                kept_ms = self._settings.keep_days * DAY_MS
                for _ in range(TIDIED_AT_ONCE):
                    _make_coarser(tx, new.machine, new.from_ms - fine_ms)
                    _forget(tx, new.machine, new.from_ms - kept_ms)

    async def list(
        self, query: TemperatureQuery, place: Place | None, limit: int
    ) -> Sequence[Temperature]:
        """Up to `limit` parts of time, by machine and time.

        Args:
            query: Which ones.
            place: Where the page begins; None for the first.
            limit: Most parts.

        Raises:
            MachineNotFoundError: there is no such machine.
            FieldInvalidError: the time begins after its end.
        """
        before_ms = self._clock.now_ms() if query.before_ms is None else query.before_ms
        from_ms = before_ms - SPAN_DEFAULT_MS if query.from_ms is None else query.from_ms
        if from_ms > before_ms:
            raise FieldInvalidError("end_time", "must not be before start_time")
        # Rows that begin in the step in which the time begins.
        first_ms = from_ms // query.step_ms * query.step_ms
        times = first_ms, min(before_ms - 1, MS_MAX)

        def look(tx: Transaction) -> Sequence[Temperature]:
            if query.machine is None:
                return _of_all(tx, query.step_ms, times, place, limit)
            if tx.machines.alone(query.machine) is None:
                raise MachineNotFoundError("no such machine")
            begin_ms = times[0] if place is None else place[1]
            return tx.temperatures.steps(query.machine, query.step_ms, begin_ms, times[1], limit)

        return await self._storage.read(look)


def _of_all(
    tx: Transaction, step_ms: int, times: tuple[int, int], place: Place | None, limit: int
) -> Sequence[Temperature]:
    first = "" if place is None else place[0]
    found: list[Temperature] = []
    while True:
        names = tx.temperatures.machines_from(first)
        for name in names:
            begin_ms = place[1] if place is not None and name == place[0] else times[0]
            left = limit - len(found)
            found += tx.temperatures.steps(name, step_ms, begin_ms, times[1], left)
            if len(found) == limit:
                return found
        if len(names) < MACHINES_AT_ONCE:
            return found
        # The first name that comes after this one.
        first = names[-1] + "\0"


def _add(tx: Transaction, new: Temperature) -> None:
    """Stores a row, joined with what is there of the same part of time."""
    old = tx.temperatures.get(new.machine, new.span_ms, new.from_ms)
    if old is None:
        tx.temperatures.add(new)
    else:
        tx.temperatures.change(joined((old, new), new.span_ms))


def _make_coarser(tx: Transaction, machine: str, before_ms: int) -> None:
    """Makes one row of those of the oldest hour, if it is so old."""
    oldest_ms = tx.temperatures.oldest(machine, STEP_MS)
    if oldest_ms is None or oldest_ms >= before_ms:
        return
    first_ms = oldest_ms // HOUR_MS * HOUR_MS
    last_ms = first_ms + HOUR_MS - 1
    _add(tx, joined(tx.temperatures.between(machine, STEP_MS, first_ms, last_ms), HOUR_MS))
    tx.temperatures.remove(machine, STEP_MS, first_ms, last_ms)


def _forget(tx: Transaction, machine: str, before_ms: int) -> None:
    """Deletes the row of the oldest hour, if it is so old."""
    oldest_ms = tx.temperatures.oldest(machine, HOUR_MS)
    if oldest_ms is not None and oldest_ms < before_ms:
        tx.temperatures.remove(machine, HOUR_MS, oldest_ms, oldest_ms)
