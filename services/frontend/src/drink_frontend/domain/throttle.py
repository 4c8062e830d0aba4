"""Slows down whoever guesses passwords, and not the owner of the account.

Failures are counted per key: the place they come from, and the account and place together. So an
account's owner at another place is not slowed by a guesser, and neither is anyone else.
"""

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(slots=True)
class _Tally:
    failures: int
    last: float


class Throttle:
    """Counts failures by key, forgets them with time. Pure: the time is passed in.

    Args:
        free: Failures that cost nothing; people mistype.
        delay_s: Seconds to wait after the first failure beyond `free`; doubles with each more.
        delay_max_s: Longest wait, in seconds.
        forget_s: Seconds without a failure after which a key is forgotten.
        keys_max: Most keys remembered; the oldest is forgotten first.
    """

    def __init__(
        self,
        *,
        free: int,
        delay_s: float = 1,
        delay_max_s: float = 60,
        forget_s: float = 900,
        keys_max: int = 10_000,
    ) -> None:
        self._free = free
        self._delay_s = delay_s
        self._delay_max_s = delay_max_s
        self._forget_s = forget_s
        self._keys_max = keys_max
        self._tallies: OrderedDict[str, _Tally] = OrderedDict()

    def wait_s(self, key: str, now: float) -> float:
        """Seconds until the key may try again; 0 for now."""
        tally = self._tallies.get(key)
        if tally is None or tally.failures <= self._free:
            return 0
        if now - tally.last >= self._forget_s:
            del self._tallies[key]
            return 0
        # The exponent is bounded so that the power cannot overflow a float.
        exponent = min(tally.failures - self._free - 1, 30)
        delay_s = min(self._delay_s * 2.0**exponent, self._delay_max_s)
        return max(0.0, tally.last + delay_s - now)

    def failed(self, key: str, now: float) -> None:
        """Counts a failure."""
        tally = self._tallies.pop(key, None)
        if tally is None or now - tally.last >= self._forget_s:
            tally = _Tally(0, now)
        self._tallies[key] = _Tally(tally.failures + 1, now)
        if len(self._tallies) > self._keys_max:
            self._tallies.popitem(last=False)

    def succeeded(self, key: str) -> None:
        """Forgets the key's failures."""
        self._tallies.pop(key, None)
