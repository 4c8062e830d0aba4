"""Turns of sessions that have more to do than their share, so that nobody else is kept waiting."""

import asyncio
from collections import deque


class Turns:
    """Lets one session go on in each round of the event loop, in the order in which they asked.

    However many send thousands of lines at once, a round is longer by the share of one.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._calling = False

    def next(self) -> asyncio.Future[None]:
        """Done when it is the caller's turn."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        if not self._calling:
            self._calling = True
            loop.call_soon(self._call_next)
        return turn

    def _call_next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            # A session may have been cut off meanwhile.
            if not turn.done():
                turn.set_result(None)
                break
        self._calling = bool(self._waiting)
        if self._calling:
            asyncio.get_running_loop().call_soon(self._call_next)
