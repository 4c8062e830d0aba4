"""Limits how often a place may connect, and pauses places whose connections had to be closed.

A connection costs most while it is new, so a client that is closed and connects again at once costs
as much as before. A place that connects too often is paused: the system ignores its attempts to
connect (see `connection_filter`), which costs this process nothing.
"""

from collections.abc import Callable, Sequence

import structlog
from pydantic import BaseModel, ConfigDict, Field

from drink_frontend.domain.rate_limiter import RateLimiter
from drink_frontend.loglines.filter import LogRateLimiter
from drink_frontend.system.connection_filter import PLACES_MAX

log = structlog.get_logger(__name__)

PAUSES_LOGGED, PAUSES_S = 6, 60
"""How many pauses are logged in how many seconds."""


class OpeningSettings(BaseModel):
    """How often strangers may connect.

    A place is one IPv4 address or one IPv6 network of 64 bits. Above its rate it is paused: the
    system ignores its attempts to connect, which clients' systems repeat after 1 s, 3 s and so on.
    Connections on which somebody has logged in do not count. Only on Linux.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    per_s: float = Field(default=20, gt=0, le=1_000_000)
    """Connections per second from one place in the long run; default 20, as many as the rules of
    `deploy/nftables` let through. Each gRPC listener counts for itself, finger too, and all
    listeners for sessions together."""

    burst: int = Field(default=1_024, ge=1, le=1_000_000)
    """Such connections at once, after a quiet time; default 1,024: all clients of a campus behind
    one address connect again after a restart."""

    crowded_cost: int = Field(default=20, ge=1, le=1_000_000)
    """As how many connections one counts that had to be closed because there were too many; default
    20: a place with too many connections may then open one more a second."""

    pause_max_s: float = Field(default=20, ge=0, le=3_600)
    """Longest pause of a place in seconds; default 20: people who share an address with an
    attacker can connect again that soon after the attack. 0 pauses nobody."""


class ConnectionRates:
    """How often each place connects to some listeners.

    Args:
        listeners: Which ones, for the log.
        settings: The limits.
        ignore: Ignores attempts to connect from some places; returns False if the system cannot.
    """

    def __init__(
        self,
        listeners: str,
        settings: OpeningSettings,
        ignore: Callable[[Sequence[str]], bool],
    ) -> None:
        self._listeners = listeners
        self._per_s = settings.per_s
        self._pause_max_s = settings.pause_max_s
        self._ignore = ignore
        self._opened = RateLimiter(burst=settings.burst, interval_s=1 / settings.per_s)
        self._paused: dict[str, float] = {}
        self._misused: dict[str, float] = {}
        self._logged = LogRateLimiter(PAUSES_LOGGED, PAUSES_S)

    def count(self, place: str, now: float, connections: int = 1) -> None:
        """Counts connections of strangers; may pause their place.

        Args:
            place: Where they come from.
            now: Monotonic seconds.
            connections: How many; more than one for a connection that had to be closed.
        """
        excess_s = self._opened.wait_s(place, now, connections + 1) - self._pause_max_s
        self._opened.take(place, now, max(0.0, connections - max(0.0, excess_s) * self._per_s))
        wait_s = self._opened.wait_s(place, now)
        if not wait_s:
            return
        is_new = place not in self._paused
        if is_new and len(self._paused) >= PLACES_MAX:
            del self._paused[min(self._paused, key=self._paused.__getitem__)]
        self._paused[place] = now + wait_s
        if is_new:
            self._log(place, wait_s, now, ignored=self._ignore(list(self._paused)))

    def misused(self, place: str, now: float, connections: int) -> None:
        """Counts a stranger's connection that was misused, and suspects its place for a while.

        Args:
            place: Where it came from.
            now: Monotonic seconds.
            connections: As how many new ones it counts.
        """
        self._misused.pop(place, None)
        if len(self._misused) >= PLACES_MAX:
            del self._misused[next(iter(self._misused))]
        self._misused[place] = now + self._pause_max_s
        self.count(place, now, connections)

    def is_suspect(self, place: str, now: float) -> bool:
        """Whether a connection from the place was misused within the longest pause."""
        return self._misused.get(place, now) > now

    def uncount(self, place: str) -> None:
        """Uncounts a connection, since somebody has logged in on it."""
        self._opened.give_back(place)

    def resume(self, now: float) -> None:
        """Ends the pauses that are over; called periodically."""
        over = [place for place, until in self._paused.items() if until <= now]
        for place in over:
            del self._paused[place]
        if over:
            self._ignore(list(self._paused))

    def _log(self, place: str, wait_s: float, now: float, *, ignored: bool) -> None:
        unlogged = self._logged.passes(now)
        if unlogged is not None:
            log.warning(
                "connections_paused",
                listeners=self._listeners,
                place=place,
                seconds=round(wait_s, 1),
                ignored=ignored,
                unlogged=unlogged,
            )
