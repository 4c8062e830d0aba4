"""The state of one link, without the network: greeting, signs of life, deadlines."""

from drink_agent.link.errors import LinkViolationError
from drink_agent.link.settings import LinkSettings

SILENT_INTERVALS = 3
"""Heartbeat intervals without a word from the frontend after which the link is lost."""

INTERVAL_S_MAX = 300
"""Longest heartbeat interval taken from a frontend; one message would keep a dead link up for
a quarter of an hour otherwise."""


class LinkState:
    """One link from dialling to its end. Times are monotonic seconds."""

    def __init__(self, settings: LinkSettings, now: float) -> None:
        self._settings = settings
        self._up_since: float | None = None
        self._heard_at = now
        self._interval_s = 0
        self._beats = 0
        self._beat_at = 0.0

    @property
    def is_up(self) -> bool:
        """Whether the frontend took the link."""
        return self._up_since is not None

    @property
    def silent_at(self) -> float:
        """When the link is lost if nothing is heard until then."""
        if not self.is_up:
            return self._heard_at + self._settings.welcome_limit_s
        return self._heard_at + SILENT_INTERVALS * self._interval_s

    @property
    def beat_at(self) -> float | None:
        """When the next heartbeat is due; None before the frontend took the link."""
        return self._beat_at if self.is_up else None

    def up_s(self, now: float) -> float:
        """Returns for how long the link has been up."""
        return 0.0 if self._up_since is None else now - self._up_since

    def welcomed(self, interval_s: int, wanted: int, now: float) -> None:
        """The frontend takes the link.

        Args:
            interval_s: Seconds between heartbeats that it expects.
            wanted: How many drops it wants to hear about.
            now: The time.

        Raises:
            LinkViolationError: It did so before, or asks for what no frontend asks for.
        """
        if self.is_up:
            raise LinkViolationError("a second Welcome")
        if not 1 <= interval_s <= INTERVAL_S_MAX:
            raise LinkViolationError("a heartbeat interval out of range")
        if wanted > self._settings.wanted_limit:
            raise LinkViolationError("too many wanted drops")
        self._interval_s = interval_s
        self._up_since = self._heard_at = self._beat_at = now

    def heard(self, now: float) -> None:
        """The frontend said something else.

        Raises:
            LinkViolationError: Before it took the link.
        """
        if not self.is_up:
            raise LinkViolationError("a message before Welcome")
        self._heard_at = now

    def beaten(self, now: float) -> int:
        """A heartbeat is sent; returns its number."""
        assert self.is_up
        self._beats += 1
        self._beat_at = now + self._interval_s
        return self._beats
