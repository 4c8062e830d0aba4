"""How long to wait before dialling again."""

from collections.abc import Callable

from drink_agent.link.reasons import Retry
from drink_agent.link.settings import LinkSettings


class Backoff:
    """Doubles the wait with every failure and draws it between half and the whole.

    Args:
        settings: The link's waits.
        random: Returns a number from 0 up to 1, a new one with each call.
    """

    def __init__(self, settings: LinkSettings, random: Callable[[], float]) -> None:
        self._settings = settings
        self._random = random
        self._failures = 0

    def reset(self) -> None:
        """Forgets the failures: a link was healthy."""
        self._failures = 0

    def wait_s(self, retry: Retry) -> float:
        """Counts a failure and returns the seconds to wait after it.

        Args:
            retry: What it calls for.
        """
        if retry is Retry.SLOWLY:
            longest_s = self._settings.backoff_slow_s
        else:
            doubled_s = self._settings.backoff_first_s * 2.0 ** min(self._failures, 32)
            longest_s = min(doubled_s, self._settings.backoff_limit_s)
        self._failures += 1
        return longest_s * (0.5 + 0.5 * self._random())
