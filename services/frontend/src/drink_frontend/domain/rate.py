"""Limits how often something may happen. Pure: the time is passed in."""


class TokenBucket:
    """A token bucket: `burst` at once, `per_s` per second in the long run.

    Args:
        per_s: Tokens that are added per second.
        burst: Most tokens that the bucket holds; it starts full.
        now: Monotonic seconds.
    """

    __slots__ = ("_at", "_burst", "_per_s", "_tokens")

    def __init__(self, per_s: float, burst: float, now: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, now: float, tokens: float = 1) -> bool:
        """Takes tokens if there are enough; otherwise takes none and returns False."""
        self._refill(now)
        if self._tokens < tokens:
            return False
        self._tokens -= tokens
        return True

    def wait_s(self, now: float, tokens: float = 1) -> float:
        """Seconds until so many tokens are there; 0 if they are there already."""
        self._refill(now)
        return max(0.0, (tokens - self._tokens) / self._per_s)

    def _refill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_s)
        self._at = now
