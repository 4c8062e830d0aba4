"""Turns of sessions that have more to do than their share, so that nobody else is kept waiting."""

import asyncio
from collections import deque


class Turns:
    """Lets one session at a time go on, in the order in which they asked, with a pause after each.

    However many send thousands of lines at once, they take a fixed part of the process's time: the
    length of a share against the pause. Without a pause they would take all of it, and the threads
    of the database would wait for the interpreter.

    Args:
        pause_s: Seconds from one turn to the next.
    """

    def __init__(self, pause_s: float) -> None:
        self._pause_s = pause_s
        self._next_at = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._calling = False

    def next(self) -> asyncio.Future[None]:
        """Done when it is the caller's turn."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        if not self._calling:
            self._calling = True
            loop.call_at(self._next_at, self._call_next)
        return turn

    def _call_next(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            turn = self._waiting.popleft()
            # A session may have been cut off meanwhile.
            if not turn.done():
                turn.set_result(None)
                self._next_at = loop.time() + self._pause_s
                break
        self._calling = bool(self._waiting)
        if self._calling:
            loop.call_at(self._next_at, self._call_next)
