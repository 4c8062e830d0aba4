"""Turns that are given out lane by lane, so that who asks for many waits for nobody but himself."""

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncIterator

from drink_frontend.domain.errors import RateLimitedError


class FairTurns:
    """So many turns at a time; the waiting lanes get theirs one after the other.

    Whoever is alone in its lane waits for one turn of every other lane at most, however many wait
    in those.

    Args:
        at_once: Turns at a time.
        users_max: Most users that have a turn or wait for one. Above it the newest one of the
            longest lane is refused.
    """

    def __init__(self, at_once: int, users_max: int) -> None:
        self._free = at_once
        self._users_max = users_max
        self._users = 0
        # The lane whose turn is next comes first.
        self._lanes: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @contextlib.asynccontextmanager
    async def turn(self, lane: str) -> AsyncIterator[None]:
        """Waits for a turn in a lane, and has it until the context ends.

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

    async def _wait(self, lane: str) -> None:
        if self._free:
            self._free -= 1
            return
        waiting = asyncio.get_running_loop().create_future()
        self._lanes.setdefault(lane, deque()).append(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled() and waiting.exception() is None:
                self._pass_on()
            else:
                self._leave(lane, waiting)
            raise

    def _pass_on(self) -> None:
        """Gives a turn that is over to the next lane."""
        while self._lanes:
            lane, waiting = self._lanes.popitem(last=False)
            first = waiting.popleft()
            if waiting:
                self._lanes[lane] = waiting
            if not first.done():
                first.set_result(None)
                return
        self._free += 1

    def _leave(self, lane: str, waiting: "asyncio.Future[None]") -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._lanes[lane].remove(waiting)
            if not self._lanes[lane]:
                del self._lanes[lane]

    def _refuse_one(self, lane: str) -> None:
        """Makes room for one in a lane.

        Raises:
            RateLimitedError: by refusing that one.
        """
        refusal = RateLimitedError("too many logins at once", retry_after_seconds=1)
        longest = max(self._lanes, key=lambda each: len(self._lanes[each]), default=lane)
        if len(self._lanes.get(longest, ())) <= len(self._lanes.get(lane, ())) + 1:
            raise refusal
        newest = self._lanes[longest].pop()
        if not newest.done():
            newest.set_exception(refusal)
