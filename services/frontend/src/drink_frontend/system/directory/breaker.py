"""Stops asking a service that fails, and tries it again from time to time."""


class Breaker:
    """Counts failures one after another, and lets one request through after each pause.

    Times are seconds of a clock that never jumps.

    Args:
        failures_max: Failures after which nobody asks.
        pause_s: Seconds until one tries again.
    """

    def __init__(self, failures_max: int, pause_s: float) -> None:
        self._failures_max = failures_max
        self._pause_s = pause_s
        self._failures = 0
        self._next_try = 0.0

    @property
    def is_open(self) -> bool:
        """Whether requests are refused but for a try at times."""
        return self._failures >= self._failures_max

    def lets_through(self, now: float) -> bool:
        """Whether a request may be made now; while it is open, one in each pause."""
        if not self.is_open:
            return True
        if now < self._next_try:
            return False
        self._next_try = now + self._pause_s
        return True

    def worked(self) -> None:
        """Counts an answer, whatever it said."""
        self._failures = 0

    def failed(self, now: float) -> bool:
        """Counts a failure; returns whether requests are refused from now on that were not."""
        was_open = self.is_open
        self._failures += 1
        if self.is_open:
            self._next_try = now + self._pause_s
        return self.is_open and not was_open
