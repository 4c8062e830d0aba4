"""How long to wait before dialling again."""

from collections.abc import Callable
from typing import Final

from drink_agent.link.reasons import Retry
from drink_agent.link.settings import LinkSettings

GROWTH: Final = 2.0
"""By how much the waits of an agent grow that another agent takes the link from."""

GROWTH_WITHOUT_BOARD: Final = 8.0
"""The same for an agent whose board does not answer, and who is of no use with the link."""

KEPT_FOR_LONG: Final = 5.0
"""A link that lasted so many times as long as the wait before it was not contested in that time.
Of two agents that both have a board, each keeps the link for as long as the other waits, which is
at most four times its own wait."""


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
        self._standby_s = 0.0
        self.superseded = 0
        """How often in a row another agent has taken the link."""

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
        return self._drawn(longest_s)

    def standby_s(self, up_s: float, *, useful: bool) -> float:
        """Counts that another agent took the link; returns the seconds to wait after it.

        Args:
            up_s: How long the link was up.
            useful: Whether this agent's board answers.
        """
        if up_s >= KEPT_FOR_LONG * self._standby_s:
            self._standby_s = 0.0
            self.superseded = 0
        self.superseded += 1
        limit_s = max(self._settings.superseded_limit_s, self._settings.backoff_slow_s)
        growth = GROWTH if useful else GROWTH_WITHOUT_BOARD
        grown_s = self._standby_s * growth or self._settings.backoff_slow_s
        self._standby_s = min(grown_s, limit_s)
        return self._drawn(self._standby_s)

    def _drawn(self, longest_s: float) -> float:
        return longest_s * (0.5 + 0.5 * self._random())
