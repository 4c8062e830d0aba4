"""How long to wait before a stream is opened again."""

import random
from typing import Final

FIRST_S: Final = 0.5
"""Seconds before the second attempt: a plug that was only moved is back by then."""

LONGEST_S: Final = 30.0
"""Longest wait in seconds: the firmware's own."""

HEALTHY_S: Final = 60.0
"""Seconds a stream must last until its loss counts as the first."""


class Backoff:
    """Doubling waits, each shortened by chance by up to a half."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._wait_s = FIRST_S

    def next_s(self, lasted_s: float) -> float:
        """Seconds to wait after a stream that lasted so long; 0 if it could not be opened."""
        if lasted_s >= HEALTHY_S:
            self._wait_s = FIRST_S
        wait_s = self._wait_s * self._rng.uniform(0.5, 1.0)
        self._wait_s = min(self._wait_s * 2, LONGEST_S)
        return wait_s
