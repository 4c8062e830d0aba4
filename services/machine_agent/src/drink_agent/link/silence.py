"""Ends a link on which nothing is heard any more."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from drink_agent.link.state import LinkState


class SilenceLimit:
    """Raises TimeoutError in what is done within it once the link counts as lost.

    Entered once. One timer looks at the state when it fires and is set again if something was
    heard meanwhile, since a timer for each message costs more than reading it.

    Args:
        state: Says when the link is lost.
        clock: The state's clock, in seconds.
    """

    def __init__(self, state: LinkState, clock: Callable[[], float]) -> None:
        self._state = state
        self._clock = clock
        self._limit = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        await self._limit.__aenter__()
        self.look()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._cancel_timer()
        await self._limit.__aexit__(kind, error, traceback)

    def look(self) -> None:
        """Sets the timer anew; to be called where the time may have come nearer."""
        self._cancel_timer()
        loop = asyncio.get_running_loop()
        left_s = self._state.silent_at - self._clock()
        if left_s > 0:
            self._timer = loop.call_later(left_s, self.look)
        else:
            self._limit.reschedule(loop.time())

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
