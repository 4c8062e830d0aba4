"""How much the agents of one machine may send and cause, over all of its links."""

from drink_frontend.domain.rate import TokenBucket
from drink_frontend.links.settings import LinkSettings

BYTES_PER_MESSAGE = 1_024
"""A message counts once, and once more for each of these bytes: reading it costs about as much."""


class MachineRates:
    """The limits of one machine. They outlive its links: connecting again refills nothing.

    A message whose limit is used up is not lost by that: the caller ends the link after it, and an
    agent repeats its results on the next link.

    Args:
        settings: The limits.
        now: Monotonic seconds.
    """

    def __init__(self, settings: LinkSettings, now: float) -> None:
        self._messages = TokenBucket(settings.messages_per_s, settings.messages_burst, now)
        self._unexpected = TokenBucket(settings.unexpected_per_s, settings.unexpected_burst, now)
        self._openings = TokenBucket(1 / settings.opening_interval_s, settings.openings_burst, now)
        self._statuses = TokenBucket(1 / settings.status_interval_s, settings.statuses_burst, now)
        self._log_lines = TokenBucket(
            1 / settings.log_line_interval_s, settings.log_lines_burst, now
        )
        self._unlogged = 0

    def message(self, now: float, size_bytes: int) -> bool:
        """Counts a message of any kind; False if the agent has sent too much."""
        return self._messages.take(now, 1 + size_bytes // BYTES_PER_MESSAGE)

    def unexpected(self, now: float) -> bool:
        """Counts a message that nobody waits for; False if there were too many."""
        return self._unexpected.take(now)

    def opening_wait_s(self, now: float) -> float:
        """Counts a new link if it is allowed; else the seconds until the next one is."""
        return 0.0 if self._openings.take(now) else self._openings.wait_s(now)

    def status_wait_s(self, now: float) -> float:
        """Counts a change of the board's status if it is allowed; else the seconds until one is."""
        return 0.0 if self._statuses.take(now) else self._statuses.wait_s(now)

    def log_line(self, now: float) -> int | None:
        """Counts a log line that the agent causes.

        Returns:
            How many were left out since the last one; None if this one is to be left out too.
        """
        if not self._log_lines.take(now):
            self._unlogged += 1
            return None
        unlogged, self._unlogged = self._unlogged, 0
        return unlogged
