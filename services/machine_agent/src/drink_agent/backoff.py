"""Exponential back-off with jitter, for the board's streams and for the link."""

from collections.abc import Callable


class Backoff:
    """Waits between attempts, each drawn between half of its upper bound and the whole.

    The upper bound grows with each wait up to a limit.

    Args:
        first_s: Upper bound of the first wait, in seconds.
        limit_s: Highest upper bound, in seconds.
        random: Returns a number from 0 up to 1, a new one with each call.
    """

    def __init__(self, first_s: float, limit_s: float, random: Callable[[], float]) -> None:
        self._first_s = first_s
        self._limit_s = limit_s
        self._random = random
        self.bound_s = 0.0
        """Upper bound of the last wait, in seconds; 0 before the first one."""

    def reset(self) -> None:
        """Makes the next wait the first one again, because an attempt has succeeded."""
        self.bound_s = 0.0

    def next_s(self, growth: float = 2.0) -> float:
        """Raises the upper bound and returns the seconds to wait.

        Args:
            growth: Factor between the last upper bound and this one.
        """
        self.bound_s = min(self.bound_s * growth or self._first_s, self._limit_s)
        return self.draw(self.bound_s)

    def draw(self, bound_s: float) -> float:
        """Returns a wait with the given upper bound, without a change of the back-off's own."""
        return bound_s * (0.5 + 0.5 * self._random())
