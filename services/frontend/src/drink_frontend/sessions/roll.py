"""Who is connected, from where, and for how long idle: shared orders, not a timer for each.

Sessions that never logged in only keep a place as long as nobody else needs it. So whoever opens
connections and stays silent costs other clients nothing: at the limit the one that has been idle
longest is closed, and the newcomer gets its place.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

LOOKED_AT_MAX = 64
"""Sessions that are considered for being closed in favour of a newcomer. Those that are being
served are passed over, and looking at all of them for each newcomer would cost more than it."""


class Member(Protocol):
    """A connection, as far as the roll cares."""

    @property
    def busy(self) -> bool:
        """Whether it is being served right now."""

    @property
    def known(self) -> bool:
        """Whether somebody has logged in on it."""

    def time_out(self) -> None:
        """It has been idle for too long."""

    def make_way(self) -> None:
        """Another needs its place: it ends at once."""


@dataclass(slots=True)
class _Place:
    """The connections from one place."""

    count: int = 0
    strangers: "OrderedDict[Member, None]" = field(default_factory=OrderedDict)
    """Those on which nobody has logged in, the one that has been idle longest first."""


@dataclass(slots=True)
class _Entry:
    place: str
    idle_limit_s: float | None
    since: float


class Roll:
    """All connections.

    Args:
        members_max: Most of them at once.
        per_place_max: Most of them at once from one place.
        idle_limits: The limits that members may have, in seconds.
    """

    def __init__(
        self, members_max: int, per_place_max: int, idle_limits: Iterable[float] = ()
    ) -> None:
        self._members_max = members_max
        self._per_place_max = per_place_max
        self._entries: dict[Member, _Entry] = {}
        self._by_limit: dict[float, OrderedDict[Member, None]] = {
            limit_s: OrderedDict() for limit_s in idle_limits
        }
        self._strangers: OrderedDict[Member, None] = OrderedDict()
        self._places: dict[str, _Place] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Member]:
        return iter(tuple(self._entries))

    def make_room(self, place: str) -> bool:
        """Whether one more from that place fits; ends an idle stranger if that is what it takes.

        Args:
            place: As `drink_frontend.domain.origin.place` gives it.
        """
        here = self._places.get(place)
        if here is not None and here.count >= self._per_place_max:
            return self._end_one(here.strangers)
        if len(self._entries) >= self._members_max:
            return self._end_one(self._strangers)
        return True

    def _end_one(self, strangers: "OrderedDict[Member, None]") -> bool:
        for member in tuple(islice(strangers, LOOKED_AT_MAX)):
            if not member.busy:
                self.forget(member)
                member.make_way()
                return True
            # It is at work, so it has not been idle; the next search need not meet it first.
            self._move_to_end(member)
        return False

    def enter(self, member: Member, place: str, idle_limit_s: float | None, now: float) -> None:
        """The member is new.

        Args:
            member: Who.
            place: Where from, as for `make_room`.
            idle_limit_s: Seconds after which it is told that it has been idle too long, one of
                those that the roll was made with; None for never.
            now: Seconds of a monotonic clock.
        """
        self._entries[member] = _Entry(place, idle_limit_s, now)
        here = self._places.setdefault(place, _Place())
        here.count += 1
        here.strangers[member] = None
        self._strangers[member] = None
        if idle_limit_s is not None:
            self._by_limit[idle_limit_s][member] = None
        self._empty.clear()

    def touch(self, member: Member, now: float) -> None:
        """The member has shown life; `now` in seconds of a monotonic clock."""
        entry = self._entries.get(member)
        if entry is None:
            return
        entry.since = now
        if entry.idle_limit_s is not None:
            self._by_limit[entry.idle_limit_s].move_to_end(member)
        if member in self._strangers:
            self._move_to_end(member)

    def _move_to_end(self, member: Member) -> None:
        here = self._places[self._entries[member].place]
        if member.known:
            del self._strangers[member], here.strangers[member]
        else:
            self._strangers.move_to_end(member)
            here.strangers.move_to_end(member)

    def forget(self, member: Member) -> None:
        """The member has gone."""
        entry = self._entries.pop(member, None)
        if entry is None:
            return
        if entry.idle_limit_s is not None:
            del self._by_limit[entry.idle_limit_s][member]
        self._strangers.pop(member, None)
        here = self._places[entry.place]
        here.strangers.pop(member, None)
        here.count -= 1
        if not here.count:
            del self._places[entry.place]
        if not self._entries:
            self._empty.set()

    async def emptied(self) -> None:
        """Waits until there are no members."""
        await self._empty.wait()

    def time_out_idle(self, now: float) -> float:
        """Tells those who have been idle for too long. To be asked only if there are limits.

        Returns:
            Seconds until there may be another.
        """
        return min(self._time_out(limit_s, now) for limit_s in self._by_limit)

    def _time_out(self, limit_s: float, now: float) -> float:
        members = self._by_limit[limit_s]
        while members:
            member = next(iter(members))
            wait_s = self._entries[member].since + limit_s - now
            if wait_s > 0:
                return wait_s
            # It is told once; should it linger, it does so at the end of the order.
            self.touch(member, now)
            if not member.busy:
                member.time_out()
        return limit_s
