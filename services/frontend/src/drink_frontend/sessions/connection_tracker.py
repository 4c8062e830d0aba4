"""All connections: how many there are, from which places, and for how long each has been idle.

A connection without a login keeps its place only as long as no other connection needs it: at a
limit the one that has been idle longest is closed in favour of the new one. So a client that opens
connections and stays silent costs other clients nothing.

Idle times are kept in shared orders, not in a timer for each connection.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

EXAMINED_MAX = 64
"""Connections examined for being closed in favour of a new one. Busy ones are skipped, and
examining all of them for each new connection would cost more than the connection itself."""


REORDERED_S = 1.0
"""Seconds between two moves of a connection with a login in the order of idle times. So another one
may be timed out as much too late, and none too early; a move for each command would cost more than
all else that the tracker does."""


class TrackedConnection(Protocol):
    """A session's connection, or one whose PROXY header has not arrived yet.

    Attributes:
        active_at: When it was active, in seconds of a monotonic clock.
    """

    active_at: float

    @property
    def busy(self) -> bool:
        """Whether a line is being executed; not while the client leaves replies unread."""

    @property
    def has_logged_in(self) -> bool:
        """Whether a login has succeeded on the connection."""

    @property
    def buffered_bytes(self) -> int:
        """Bytes of waiting commands and of unread replies."""

    def time_out(self) -> None:
        """Ends the connection because it has been idle for too long."""

    def make_way(self) -> None:
        """Ends the connection at once, since a new one needs its place."""

    def cut_off(self) -> None:
        """Ends the connection at once, since too many bytes are held."""

    def finish(self) -> None:
        """Ends the connection as soon as no line is being executed."""

    def give_up(self) -> None:
        """Ends the connection now, without waiting for the outcome of a drop."""

    def abort(self) -> None:
        """Ends the connection at once, without a last line."""


@dataclass(slots=True)
class _Place:
    """The connections from one place.

    Attributes:
        count: How many there are.
        strangers: Those without a login, the one that has been idle longest first.
    """

    count: int = 0
    strangers: "OrderedDict[TrackedConnection, None]" = field(default_factory=OrderedDict)


@dataclass(slots=True)
class _Entry:
    place: str
    idle_limit_s: float | None


class ConnectionTracker:
    """All connections.

    Args:
        connections_max: Most connections at once.
        per_place_max: Most connections at once from one place.
        idle_limits: The idle limits that connections may have, in seconds.
        logged_in: Called with the place of a connection after its first login.
    """

    def __init__(
        self,
        connections_max: int,
        per_place_max: int,
        idle_limits: Iterable[float] = (),
        logged_in: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._connections_max = connections_max
        self._per_place_max = per_place_max
        self._entries: dict[TrackedConnection, _Entry] = {}
        self._by_limit: dict[float, OrderedDict[TrackedConnection, None]] = {
            limit_s: OrderedDict() for limit_s in idle_limits
        }
        self._logged_in = logged_in
        self._strangers: OrderedDict[TrackedConnection, None] = OrderedDict()
        self._places: dict[str, _Place] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[TrackedConnection]:
        return iter(tuple(self._entries))

    @property
    def strangers(self) -> int:
        """Number of connections without a login."""
        return len(self._strangers)

    def most_strangers(self) -> str | None:
        """The place with the most connections without a login; None without connections."""
        return max(self._places, key=lambda place: len(self._places[place].strangers), default=None)

    def make_room(self, place: str) -> bool:
        """Whether one more connection from a place fits; may end an idle one without a login.

        Args:
            place: As `drink_frontend.domain.origin.place` returns it.
        """
        here = self._places.get(place)
        if here is not None and here.count >= self._per_place_max:
            return self._end_one(here.strangers)
        if len(self._entries) >= self._connections_max:
            return self._end_one(self._strangers)
        return True

    def is_crowded(self, place: str) -> bool:
        """Whether one more connection from a place fits only if another one ends."""
        here = self._places.get(place)
        is_place_full = here is not None and here.count >= self._per_place_max
        return is_place_full or len(self._entries) >= self._connections_max

    def _end_one(self, strangers: "OrderedDict[TrackedConnection, None]") -> bool:
        for connection in tuple(islice(strangers, EXAMINED_MAX)):
            if not connection.busy:
                self.remove(connection)
                connection.make_way()
                return True
            # A busy connection has not been idle: the next search need not examine it first.
            self._move_to_end(connection)
        return False

    def add(
        self, connection: TrackedConnection, place: str, idle_limit_s: float | None, now: float
    ) -> None:
        """Adds a new connection.

        Args:
            connection: The connection.
            place: Of its client, as for `make_room`.
            idle_limit_s: Seconds after which it is timed out, one of `idle_limits`; None for never.
            now: Seconds of a monotonic clock.
        """
        connection.active_at = now
        self._entries[connection] = _Entry(place, idle_limit_s)
        here = self._places.setdefault(place, _Place())
        here.count += 1
        here.strangers[connection] = None
        self._strangers[connection] = None
        if idle_limit_s is not None:
            self._by_limit[idle_limit_s][connection] = None
        self._empty.clear()

    def touch(self, connection: TrackedConnection, now: float) -> float:
        """Records activity of a connection; `now` in seconds of a monotonic clock.

        Returns:
            From when on its activity must be recorded so again; before, `active_at` will do.
        """
        connection.active_at = now
        entry = self._entries.get(connection)
        if entry is None:
            return now
        if entry.idle_limit_s is not None:
            self._by_limit[entry.idle_limit_s].move_to_end(connection)
        if connection in self._strangers:
            self._move_to_end(connection)
            return now
        return now + REORDERED_S

    def _move_to_end(self, connection: TrackedConnection) -> None:
        place = self._entries[connection].place
        here = self._places[place]
        if connection.has_logged_in:
            del self._strangers[connection], here.strangers[connection]
            self._logged_in(place)
        else:
            self._strangers.move_to_end(connection)
            here.strangers.move_to_end(connection)

    def remove(self, connection: TrackedConnection) -> None:
        """Removes a connection that has ended; may be called twice."""
        entry = self._entries.pop(connection, None)
        if entry is None:
            return
        if entry.idle_limit_s is not None:
            del self._by_limit[entry.idle_limit_s][connection]
        self._strangers.pop(connection, None)
        here = self._places[entry.place]
        here.strangers.pop(connection, None)
        here.count -= 1
        if not here.count:
            del self._places[entry.place]
        if not self._entries:
            self._empty.set()

    async def emptied(self) -> None:
        """Waits until there are no connections."""
        await self._empty.wait()

    def time_out_idle(self, now: float) -> float:
        """Times out connections that have been idle for too long. There must be idle limits.

        Returns:
            Seconds until the next connection may be due.
        """
        return min(self._time_out(limit_s, now) for limit_s in self._by_limit)

    def _time_out(self, limit_s: float, now: float) -> float:
        connections = self._by_limit[limit_s]
        while connections:
            connection = next(iter(connections))
            wait_s = connection.active_at + limit_s - now
            if wait_s > 0:
                return wait_s
            # It is timed out once; while it lingers, it is at the end of the order.
            self.touch(connection, now)
            if not connection.busy:
                connection.time_out()
        return limit_s
