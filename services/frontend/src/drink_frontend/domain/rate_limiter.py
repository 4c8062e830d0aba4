"""A rate limit per key. Pure: the time is passed in."""

from collections import OrderedDict
from collections.abc import Hashable


class RateLimiter:
    """A token bucket for each key: limits how often something may happen.

    A key may take `burst` units at once, and one more each `interval_s` in the long run. A caller
    either takes only what is free (`take_if_free`), or reserves the next free unit and waits for it
    (`take`): then units are given out in the order of the calls, and nobody is locked out.

    Args:
        burst: Units that a key can take at once after a long enough pause; at least 1.
        interval_s: Seconds after which a key has one more unit.
        keys_max: Most keys that are remembered. The one that took a unit longest ago is forgotten
            first, and has all its units again.
    """

    __slots__ = ("_burst", "_interval_s", "_keys_max", "_used")

    def __init__(self, *, burst: float, interval_s: float, keys_max: int = 10_000) -> None:
        assert burst >= 1
        self._burst = burst
        self._interval_s = interval_s
        self._keys_max = keys_max
        # Per key: units in use, and the monotonic second at which they were counted.
        self._used: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def wait_s(self, key: Hashable, now: float, units: float = 1) -> float:
        """Seconds until the key can take that many units; 0 if it can now."""
        return self._until_free_s(self._used_at(key, now) + units)

    def take_if_free(self, key: Hashable, now: float, units: float = 1) -> float:
        """Takes the units and returns 0; or takes none and returns the seconds until they are free.

        Args:
            key: Whose units.
            now: Monotonic seconds.
            units: How many; never free if more than `burst`.
        """
        used = self._used_at(key, now) + units
        return self._until_free_s(used) or self._keep(key, now, used)

    def take(self, key: Hashable, now: float, units: float = 1) -> float:
        """Takes the key's next units, free or not, and returns the seconds until they are free."""
        return self._keep(key, now, self._used_at(key, now) + units)

    def give_back(self, key: Hashable) -> None:
        """Returns a unit that was taken and not needed."""
        if key in self._used:
            used, at = self._used[key]
            self._used[key] = used - 1, at

    def _keep(self, key: Hashable, now: float, used: float) -> float:
        self._used[key] = used, now
        self._used.move_to_end(key)
        if len(self._used) > self._keys_max:
            self._used.popitem(last=False)
        return self._until_free_s(used)

    def _until_free_s(self, used: float) -> float:
        return max(0.0, (used - self._burst) * self._interval_s)

    def _used_at(self, key: Hashable, now: float) -> float:
        used, at = self._used.get(key, (0.0, now))
        return max(0.0, used - (now - at) / self._interval_s)
