"""The state of one link without its network: Welcome, heartbeats and deadlines."""

from drink_agent.link.settings import LinkSettings

SILENT_INTERVALS = 3
"""The link is lost after this many heartbeat intervals without a message of the frontend."""

INTERVAL_S_MAX = 300
"""Longest heartbeat interval, in seconds, that is accepted from a frontend. It limits the life of a
dead link to a quarter of an hour."""


class LinkViolationError(Exception):
    """The frontend sent something that the protocol does not allow."""


class LinkState:
    """One link from dialling to its end. All times are monotonic seconds.

    Args:
        settings: Limits of the link.
        now: Time of dialling.
    """

    def __init__(self, settings: LinkSettings, now: float) -> None:
        self._settings = settings
        self._up_since: float | None = None
        self._received_at = now
        self._interval_s = 0
        self._heartbeats = 0
        self._heartbeat_at = 0.0

    @property
    def is_up(self) -> bool:
        """Whether the frontend has sent Welcome."""
        return self._up_since is not None

    @property
    def silent_at(self) -> float:
        """Deadline of the next message; the link is lost if none arrives before."""
        if not self.is_up:
            return self._received_at + self._settings.welcome_limit_s
        return self._received_at + SILENT_INTERVALS * self._interval_s

    @property
    def heartbeat_at(self) -> float | None:
        """Time of the next heartbeat; None before Welcome."""
        return self._heartbeat_at if self.is_up else None

    def up_s(self, now: float) -> float:
        """Returns the seconds since Welcome; 0 before it."""
        return 0.0 if self._up_since is None else now - self._up_since

    def record_welcome(self, interval_s: int, wanted: int, now: float) -> None:
        """Records the frontend's Welcome.

        Args:
            interval_s: Seconds between the heartbeats that the frontend expects.
            wanted: Number of drops whose outcome the frontend asks for.
            now: Time of receipt.

        Raises:
            LinkViolationError: It is the second Welcome, or one of its values is out of range.
        """
        if self.is_up:
            raise LinkViolationError("a second Welcome")
        if not 1 <= interval_s <= INTERVAL_S_MAX:
            raise LinkViolationError("a heartbeat interval out of range")
        if wanted > self._settings.wanted_limit:
            raise LinkViolationError("too many wanted drops")
        self._interval_s = interval_s
        self._up_since = self._received_at = self._heartbeat_at = now

    def record_message(self, now: float) -> None:
        """Records any other message of the frontend.

        Raises:
            LinkViolationError: It arrived before Welcome.
        """
        if not self.is_up:
            raise LinkViolationError("a message before Welcome")
        self._received_at = now

    def next_heartbeat(self, now: float) -> int:
        """Counts a heartbeat that is sent now; returns its number on this link, from 1."""
        assert self.is_up
        self._heartbeats += 1
        self._heartbeat_at = now + self._interval_s
        return self._heartbeats
