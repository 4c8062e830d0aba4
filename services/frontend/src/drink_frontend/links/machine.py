"""State of one machine over all of its links: rate limits, and the run of its agent."""

from dataclasses import dataclass

from drink_frontend.domain.rate_limiter import RateLimiter
from drink_frontend.links.settings import LinkSettings
from drink_frontend.links.state import AgentRun

BYTES_PER_MESSAGE = 1_024
"""A message counts once, and once more for each of these bytes: reading it costs about as much."""


class MachineRates:
    """The rate limits of one machine. They outlive its links: connecting again refills nothing.

    A message whose limit is used up is not lost by that: the caller ends the link after it, and an
    agent repeats its results on the next link.

    Args:
        settings: The limits.
    """

    def __init__(self, settings: LinkSettings) -> None:
        self._limiter = {
            "message": _limiter(settings.messages_burst, 1 / settings.messages_per_s),
            "unexpected": _limiter(settings.unexpected_burst, 1 / settings.unexpected_per_s),
            "opening": _limiter(settings.openings_burst, settings.opening_interval_s),
            "status": _limiter(settings.statuses_burst, settings.status_interval_s),
            "log_line": _limiter(settings.log_lines_burst, settings.log_line_interval_s),
        }
        self._unlogged = 0

    def message(self, now: float, size_bytes: int) -> bool:
        """Counts a message of any kind; False if the agent has sent too much."""
        return not self._wait_s("message", now, 1 + size_bytes // BYTES_PER_MESSAGE)

    def unexpected(self, now: float) -> bool:
        """Counts an unexpected message; False if there were too many."""
        return not self._wait_s("unexpected", now)

    def opening_wait_s(self, now: float) -> float:
        """Counts a new link if it is allowed; else the seconds until the next one is."""
        return self._wait_s("opening", now)

    def status_wait_s(self, now: float) -> float:
        """Counts a change of the board's status if it is allowed; else the seconds until one is."""
        return self._wait_s("status", now)

    def log_line(self, now: float) -> int | None:
        """Counts a log line that the agent causes.

        Returns:
            How many were left out since the last one; None if this one is to be left out too.
        """
        if self._wait_s("log_line", now):
            self._unlogged += 1
            return None
        unlogged, self._unlogged = self._unlogged, 0
        return unlogged

    def _wait_s(self, what: str, now: float, units: int = 1) -> float:
        return self._limiter[what].take_if_free(what, now, units)


def _limiter(burst: int, interval_s: float) -> RateLimiter:
    return RateLimiter(burst=burst, interval_s=interval_s, keys_max=1)


@dataclass(slots=True)
class MachineState:
    """One machine, over all of its links to this frontend.

    Attributes:
        name: The machine.
        rates: How much its agents may send.
        agent_run: The run of its agent on the newest link; None before the first link.
    """

    name: str
    rates: MachineRates
    agent_run: AgentRun | None = None
