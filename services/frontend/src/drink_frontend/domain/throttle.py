"""Slows down whoever guesses, by making wrong attempts wait their turn.

Nobody is locked out: an attempt that comes too early has a turn later, after those that came before
it.
"""

from collections import OrderedDict


class Turns:
    """Hands out turns by key: some at once, then one after each interval, first come first served.

    It is the generic cell rate algorithm, which keeps one number for each key. Pure: the time is
    passed in.

    Args:
        at_once: Turns that a key has without waiting, after a long enough quiet time.
        interval_s: Seconds after which a key has one more turn.
        keys_max: Most keys remembered; the one whose last turn was taken longest ago is forgotten
            first, and has all its turns again.
    """

    def __init__(self, *, at_once: int, interval_s: float, keys_max: int = 10_000) -> None:
        assert at_once >= 1
        self._interval_s = interval_s
        self._slack_s = (at_once - 1) * interval_s
        self._keys_max = keys_max
        # When each key will have all its turns again.
        self._whole_at: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, key: str, now: float) -> float:
        """Seconds until the key's next free turn; 0 for now."""
        return max(0.0, self._whole_at.get(key, now) - now - self._slack_s)

    def take(self, key: str, now: float) -> float:
        """Takes the key's next free turn, and returns the seconds until it comes."""
        wait_s = self.wait_s(key, now)
        self._whole_at[key] = max(self._whole_at.get(key, now), now) + self._interval_s
        self._whole_at.move_to_end(key)
        if len(self._whole_at) > self._keys_max:
            self._whole_at.popitem(last=False)
        return wait_s

    def give_back(self, key: str) -> None:
        """Frees a turn that was taken and not used."""
        if key in self._whole_at:
            self._whole_at[key] -= self._interval_s
