"""A queue for a scarce resource in which a caller with many requests delays only its own."""

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncIterator

from drink_frontend.domain.errors import RateLimitedError

Lane = tuple[str, str]
"""A group of lanes, and the lane in it."""

_Queue = deque[asyncio.Future[None]]


class FairTurns:
    """Grants a number of turns at a time, alternating between groups, then between lanes.

    A request that is alone in its lane waits for at most one turn of every other lane of its group,
    and for as many turns of each other group, however many requests wait there.

    Args:
        at_once: Turns at a time.
        users_max: Largest number of requests that have a turn or wait for one. Above it the newest
            request of the longest lane is refused.
    """

    def __init__(self, at_once: int, users_max: int) -> None:
        self._free = at_once
        self._users_max = users_max
        self._users = 0
        # The group whose turn is next comes first, and so does the lane within it.
        self._groups: OrderedDict[str, OrderedDict[str, _Queue]] = OrderedDict()

    @property
    def waiting(self) -> int:
        """Requests that wait for a turn."""
        return sum(len(queue) for lanes in self._groups.values() for queue in lanes.values())

    @contextlib.asynccontextmanager
    async def turn(self, lane: Lane) -> AsyncIterator[None]:
        """Waits for a turn in a lane, and holds it until the context ends.

        Raises:
            RateLimitedError: too many wait, and most of them in this lane.
        """
        if self._users >= self._users_max:
            self._refuse_one(lane)
        self._users += 1
        try:
            await self._wait(lane)
            try:
                yield
            finally:
                self._pass_on()
        finally:
            self._users -= 1

    async def _wait(self, lane: Lane) -> None:
        if self._free:
            self._free -= 1
            return
        waiting = asyncio.get_running_loop().create_future()
        group, name = lane
        self._groups.setdefault(group, OrderedDict()).setdefault(name, deque()).append(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled() and waiting.exception() is None:
                self._pass_on()
            else:
                self._leave(lane, waiting)
            raise

    def _pass_on(self) -> None:
        """Gives a turn that is over to the next group's next lane."""
        while self._groups:
            group, lanes = self._groups.popitem(last=False)
            name, queue = lanes.popitem(last=False)
            first = queue.popleft()
            if queue:
                lanes[name] = queue
            if lanes:
                self._groups[group] = lanes
            if not first.done():
                first.set_result(None)
                return
        self._free += 1

    def _leave(self, lane: Lane, waiting: asyncio.Future[None]) -> None:
        group, name = lane
        with contextlib.suppress(KeyError, ValueError):
            lanes = self._groups[group]
            lanes[name].remove(waiting)
            self._forget_if_empty(group, name)

    def _forget_if_empty(self, group: str, name: str) -> None:
        lanes = self._groups[group]
        if not lanes[name]:
            del lanes[name]
        if not lanes:
            del self._groups[group]

    def _length(self, lane: Lane) -> int:
        group, name = lane
        lanes = self._groups.get(group)
        return 0 if lanes is None or name not in lanes else len(lanes[name])

    def _refuse_one(self, lane: Lane) -> None:
        """Makes room for one in a lane.

        Raises:
            RateLimitedError: by refusing that one.
        """
        refusal = RateLimitedError("too many logins at once", retry_after_seconds=1)
        every = [(group, name) for group, lanes in self._groups.items() for name in lanes]
        longest = max(every, key=self._length, default=lane)
        if self._length(longest) <= self._length(lane) + 1:
            raise refusal
        newest = self._groups[longest[0]][longest[1]].pop()
        if not newest.done():
            newest.set_exception(refusal)
