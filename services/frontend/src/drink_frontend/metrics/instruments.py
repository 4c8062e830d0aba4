"""What is counted and timed while it happens: a few microseconds a drop."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from drink_frontend.domain.drop import Cause, State, Verdict
from drink_frontend.domain.entities import Drop
from drink_frontend.metrics import specs
from drink_frontend.metrics.counts import Counts, Distribution, Histograms
from drink_frontend.metrics.specs import Spec

OTHER = "other"
"""The label of machines above the limit, and of methods above METHODS_MAX."""

OPEN_MAX = 20_000
"""Drops whose times are kept until their outcome; the oldest are forgotten first. About 4 MB."""

METHODS_MAX = 500
"""Most values of the label `method`; the API has a fifth of that."""


@dataclass(slots=True)
class _Times:
    """Monotonic seconds of one drop.

    Attributes:
        is_ours: Whether this run of the frontend has placed it.
        placed: When it was reserved; None before, and if it is not ours.
        dispatched: When it was dispatched; None before.
        reported: When its result arrived; None before.
        unknown: Whether its outcome was counted as unknown.
    """

    is_ours: bool = False
    placed: float | None = None
    dispatched: float | None = None
    reported: float | None = None
    unknown: bool = False


class Metrics:
    """Counters and histograms of one frontend.

    Args:
        machines_max: Most values of the label `machine`; further machines are `other`.
        monotonic: Seconds of a clock that is never set.

    Attributes:
        registry: Where they are collected.
    """

    def __init__(
        self, machines_max: int = 500, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.registry = CollectorRegistry()
        self._machines_max = machines_max
        self._monotonic = monotonic
        self._machines: set[str] = set()
        self._methods: set[str] = set()
        self._drops: OrderedDict[str, _Times] = OrderedDict()
        self._placed = self._counts(specs.DROPS_PLACED)
        self._outcomes = self._counts(specs.DROPS)
        stages = self._histograms(specs.DROP_SECONDS)
        self._queued, self._motor, self._settling, self._total = (
            stages.part(stage) for stage in ("queued", "motor", "settling", "total")
        )
        self._reports = self._counts(specs.REPORTS)
        for verdict in (*Verdict, "orphan"):
            self._reports.values[verdict.lower(),] = 0
        self._turn_seconds = self._histograms(specs.STORAGE_TURN_SECONDS)
        self._turn_units = self._histograms(specs.STORAGE_TURN_UNITS)
        self._calls = self._counts(specs.RPC_CALLS)
        self._call_seconds = self._histograms(specs.RPC_SECONDS)
        self._lag = self._histograms(specs.LOOP_LAG).part()
        self._scrapes_refused = self._counts(specs.SCRAPES_REFUSED)
        self._scrapes_refused.values[()] = 0

    def _counts(self, spec: Spec) -> Counts:
        counts = Counts(spec)
        self.registry.register(counts)
        return counts

    def _histograms(self, spec: Spec) -> Histograms:
        histograms = Histograms(spec)
        self.registry.register(histograms)
        return histograms

    def machine(self, name: str) -> str:
        """The label of a machine."""
        if name not in self._machines:
            if len(self._machines) >= self._machines_max:
                return OTHER
            self._machines.add(name)
        return name

    # --- drops ---

    def committed(self, drops: Mapping[str, Drop | None]) -> None:
        """Counts the drops that a commit of this frontend has changed; on the event loop."""
        for drop in drops.values():
            # A drop that has credits back was settled before.
            if drop is not None and not drop.refunded:
                self._moved(drop)

    def _moved(self, drop: Drop) -> None:
        now, times = self._monotonic(), self._drops.get(drop.id)
        if times is None:
            times = self._drops[drop.id] = _Times()
            if len(self._drops) > OPEN_MAX:
                self._drops.popitem(last=False)
            if _is_new(drop):
                self._placed.values[self.machine(drop.machine),] += 1
                times.is_ours = True
        if drop.state is State.RESERVED:
            times.dispatched = times.reported = None
        if times.is_ours and times.placed is None and drop.state is not State.SCHEDULED:
            times.placed = now
        if drop.state is State.DISPATCHED and times.dispatched is None:
            times.dispatched = now
            if times.placed is not None:
                self._queued.observe(now - times.placed)
        elif drop.state.answered:
            self._ended(drop, times, now)

    def _ended(self, drop: Drop, times: _Times, now: float) -> None:
        if drop.state is not State.UNKNOWN:
            del self._drops[drop.id]
        elif times.unknown:
            return
        outcome, cause = drop.state.lower(), drop.cause.lower()
        self._outcomes.values[self.machine(drop.machine), outcome, cause] += 1
        if times.reported is not None and not times.unknown:
            self._settling.observe(now - times.reported)
            if times.placed is not None:
                self._total.observe(now - times.placed)
        times.unknown = drop.state is State.UNKNOWN

    def reported(self, drop_id: str) -> None:
        """Notes that the result of a drop has arrived."""
        times = self._drops.get(drop_id)
        if times is not None and times.reported is None:
            times.reported = now = self._monotonic()
            if times.dispatched is not None:
                self._motor.observe(now - times.dispatched)

    def judged(self, verdict: Verdict | None) -> None:
        """Counts a stored report by what became of it; None for one of no drop."""
        self._reports.values[(verdict or "orphan").lower(),] += 1

    # --- the database ---

    def turn(self, work: str) -> Callable[[int, float], None]:
        """A function that counts turns by their units and seconds, for one thread."""
        units, seconds = self._turn_units.part(work), self._turn_seconds.part(work)

        def count(size: int, took_s: float) -> None:
            units.observe(size)
            seconds.observe(took_s)

        return count

    # --- calls ---

    def method(self, name: str, *, timed: bool) -> "MethodMetrics":
        """What counts the calls of one method.

        Args:
            name: `/package.Service/Method`.
            timed: Whether its calls have one answer.
        """
        label = name.removeprefix("/").replace("drink.v1.", "")
        if label not in self._methods and len(self._methods) >= METHODS_MAX:
            label = OTHER
        self._methods.add(label)
        return MethodMetrics(label, self._calls, self._call_seconds.part(label) if timed else None)

    # --- the process ---

    def lag(self, seconds: float) -> None:
        """Counts by how much a timer of the event loop was late."""
        self._lag.observe(max(0.0, seconds))

    def scrape_refused(self) -> None:
        """Counts a connection to the port of the metrics that was refused or cut."""
        self._scrapes_refused.values[()] += 1


def _is_new(drop: Drop) -> bool:
    """Whether a drop that was not seen before was placed by the commit that shows it.

    Others are of another frontend or of an earlier run.
    """
    if drop.cause is not Cause.NONE:
        return False
    if drop.not_before_ms is not None:
        return drop.state is State.SCHEDULED
    return drop.dispatched_ms in (None, drop.created_ms)


class MethodMetrics:
    """Counts the calls of one method.

    Args:
        label: The method.
        calls: Counts by method and code.
        seconds: Times of its calls; None for a stream.
    """

    __slots__ = ("_calls", "_label", "_seconds")

    def __init__(self, label: str, calls: Counts, seconds: Distribution | None) -> None:
        self._label = label
        self._calls = calls
        self._seconds = seconds

    def ended(self, code: str, seconds: float) -> None:
        """Counts a call that has ended.

        Args:
            code: Name of its status code.
            seconds: How long it took.
        """
        self._calls.values[self._label, code] += 1
        if self._seconds is not None:
            self._seconds.observe(seconds)
