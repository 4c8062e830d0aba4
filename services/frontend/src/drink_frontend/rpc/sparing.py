"""How many lines strangers can cause to be logged."""


class Sparing:
    """Lets a few things pass in each stretch of time. Pure: the time is passed in.

    Args:
        most: How many.
        stretch_s: How long a stretch is, in seconds.
    """

    def __init__(self, most: int, stretch_s: float) -> None:
        self._most = most
        self._stretch_s = stretch_s
        self._ends = 0.0
        self._passed = 0
        self._held_back = 0

    def passes(self, now: float) -> int | None:
        """How many were held back since the last one that passed; None if this one is too."""
        if now >= self._ends:
            self._ends, self._passed = now + self._stretch_s, 0
        if self._passed >= self._most:
            self._held_back += 1
            return None
        self._passed += 1
        held_back, self._held_back = self._held_back, 0
        return held_back
