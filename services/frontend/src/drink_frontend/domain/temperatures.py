"""Temperatures of machines through time: what is kept of five minutes, and of an hour."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from drink_frontend.domain.durations import HOUR_MS

STEP_MS = 300_000
"""Milliseconds of the finest rows; older ones become rows of an hour."""

LOWEST_C, HIGHEST_C = -55.0, 125.0
"""Degrees Celsius that the boards' thermometers (DS1820 and its kin) can report. What is beyond is
no temperature."""

HELD_MAX_MS = HOUR_MS
"""Longest time for which one reading counts at once: a process that stood still for longer does not
know what the temperature was meanwhile."""


@dataclass(frozen=True, slots=True)
class Temperature:
    """The temperature of a machine in a part of time.

    Attributes:
        machine: Name of the machine.
        span_ms: Length of the part.
        from_ms: Its begin, a multiple of its length.
        low: The lowest, in degrees Celsius.
        mean: The mean of the time in which it was known.
        high: The highest.
        known_ms: In how much of the part it was known, above 0.
    """

    machine: str
    span_ms: int
    from_ms: int
    low: float
    mean: float
    high: float
    known_ms: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What one frontend has measured of a part of time.

    Attributes:
        epoch: The link that it was measured on.
        temperature: What was measured.
    """

    epoch: int
    temperature: Temperature


def is_plausible(celsius: float) -> bool:
    """Whether a thermometer can have measured that."""
    return LOWEST_C <= celsius <= HIGHEST_C


def joined(parts: Iterable[Temperature], span_ms: int) -> Temperature:
    """One row of several of the same machine, which lie in the same part of time.

    Args:
        parts: At least one; several may be about the same time.
        span_ms: Length of the part.
    """
    rows = list(parts)
    known_ms = sum(row.known_ms for row in rows)
    low, high = min(row.low for row in rows), max(row.high for row in rows)
    mean = sum(row.mean * row.known_ms for row in rows) / known_ms
    return Temperature(
        rows[0].machine,
        span_ms,
        rows[0].from_ms // span_ms * span_ms,
        low,
        # Sums of fractions are not exact.
        min(max(mean, low), high),
        high,
        # A clock that was set back has the same time twice.
        min(known_ms, span_ms),
    )


@dataclass(slots=True)
class _Gauge:
    """One machine's thermometer: what it shows, and what it has shown."""

    epoch: int
    celsius: float | None
    since_s: float
    parts: dict[int, Temperature] = field(default_factory=dict)


class Recorder:
    """Turns readings, each of which holds until the next one, into rows.

    How long a reading holds is counted on the monotonic clock, and the wall clock only says which
    row it belongs to. So a wall clock that jumps puts a minute into the wrong row, at worst.
    """

    def __init__(self) -> None:
        self._gauges: dict[str, _Gauge] = {}

    def saw(
        self, machine: str, epoch: int, celsius: float | None, now_ms: int, now_s: float
    ) -> None:
        """Takes a reading.

        Args:
            machine: The machine.
            epoch: The link on which it came.
            celsius: Degrees; None if there is no thermometer, or none that answers.
            now_ms: The time.
            now_s: The time on the monotonic clock.
        """
        gauge = self._gauges.get(machine)
        if gauge is None:
            if celsius is not None:
                self._gauges[machine] = _Gauge(epoch, celsius, now_s)
            return
        _hold(machine, gauge, now_ms, now_s)
        gauge.epoch, gauge.celsius = epoch, celsius

    def ended(self, machine: str, epoch: int, now_ms: int, now_s: float) -> None:
        """Takes the end of a link: from now on the temperature is not known here."""
        gauge = self._gauges.get(machine)
        if gauge is not None and gauge.epoch == epoch:
            self.saw(machine, epoch, None, now_ms, now_s)

    def take(self, now_ms: int, now_s: float, *, unfinished: bool = False) -> list[Measured]:
        """Removes and returns what was measured of past parts of time; called each minute.

        Args:
            now_ms: The time.
            now_s: The time on the monotonic clock.
            unfinished: Also of the present part.
        """
        taken = []
        present = now_ms // STEP_MS * STEP_MS
        for machine, gauge in list(self._gauges.items()):
            _hold(machine, gauge, now_ms, now_s)
            over = [from_ms for from_ms in gauge.parts if unfinished or from_ms != present]
            taken += [Measured(gauge.epoch, gauge.parts.pop(from_ms)) for from_ms in over]
            if gauge.celsius is None and not gauge.parts:
                del self._gauges[machine]
        return taken


def _hold(machine: str, gauge: _Gauge, now_ms: int, now_s: float) -> None:
    """Counts the last reading until now."""
    left_ms = round((now_s - gauge.since_s) * 1000)
    gauge.since_s = now_s
    if gauge.celsius is None:
        return
    left_ms, end_ms = min(left_ms, HELD_MAX_MS), now_ms
    while left_ms > 0:
        from_ms = (end_ms - 1) // STEP_MS * STEP_MS
        held_ms = min(left_ms, end_ms - from_ms)
        celsius = gauge.celsius
        new = Temperature(machine, STEP_MS, from_ms, celsius, celsius, celsius, held_ms)
        old = gauge.parts.get(from_ms)
        gauge.parts[from_ms] = new if old is None else joined((old, new), STEP_MS)
        left_ms, end_ms = left_ms - held_ms, from_ms
