"""Who is connected, and who has been idle for how long: one order of all, not a timer for each."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from typing import Protocol


class Member(Protocol):
    """A connection, as far as the roll cares."""

    @property
    def busy(self) -> bool:
        """Whether it is being served right now."""

    def time_out(self) -> None:
        """It has been idle for too long."""


class Roll:
    """All connections, the one that has been idle longest first.

    Args:
        members_max: Most of them at once.
        idle_limit_s: Seconds after which an idle one is told so.
    """

    def __init__(self, members_max: int, idle_limit_s: float) -> None:
        self._members_max = members_max
        self._idle_limit_s = idle_limit_s
        self._since: OrderedDict[Member, float] = OrderedDict()
        self._expected: set[Member] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._since)

    def __iter__(self) -> Iterator[Member]:
        return iter(tuple(self._since))

    def has_room(self) -> bool:
        """Whether one more fits."""
        return len(self._since) + len(self._expected) < self._members_max

    def expect(self, member: Member) -> None:
        """Keeps a place for one who is on the way in."""
        self._expected.add(member)

    def touch(self, member: Member, now: float) -> None:
        """The member has shown life, or is new; `now` in seconds of a monotonic clock."""
        self._expected.discard(member)
        self._since[member] = now
        self._empty.clear()
        self._since.move_to_end(member)

    def forget(self, member: Member) -> None:
        """The member has gone, or will not come."""
        self._expected.discard(member)
        self._since.pop(member, None)
        if not self._since:
            self._empty.set()

    async def emptied(self) -> None:
        """Waits until there are no members."""
        await self._empty.wait()

    def time_out_idle(self, now: float) -> float:
        """Tells those who have been idle for too long.

        Returns:
            Seconds until there may be another.
        """
        while self._since:
            member, since = next(iter(self._since.items()))
            wait_s = since + self._idle_limit_s - now
            if wait_s > 0:
                return wait_s
            # It is told once; should it linger, it does so at the end of the order.
            self.touch(member, now)
            if not member.busy:
                member.time_out()
        return self._idle_limit_s
