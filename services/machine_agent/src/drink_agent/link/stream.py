"""The two directions of one link's stream: queued outgoing messages, and the limit on silence."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

from drink.v1.machine_link_service_pb2 import ConnectRequest
from drink_agent.link.state import LinkState


class Outbox:
    """Outgoing messages of one link, in order; only the newest board status is kept.

    Args:
        limit: Largest number of queued messages.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._messages: deque[ConnectRequest] = deque()
        self._status: ConnectRequest | None = None
        self._closed = False
        self._wake = asyncio.Event()

    def put(self, message: ConnectRequest) -> bool:
        """Queues a message; returns False if the queue is full or closed."""
        if self._closed or len(self._messages) >= self._limit:
            return False
        self._messages.append(message)
        self._wake.set()
        return True

    def put_status(self, message: ConnectRequest) -> None:
        """Replaces the queued board status."""
        self._status = message
        self._wake.set()

    def close(self) -> None:
        """Refuses further messages; iteration ends after the queued ones."""
        self._closed = True
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[ConnectRequest]:
        while True:
            while self._messages:
                yield self._messages.popleft()
            if self._status is not None:
                status, self._status = self._status, None
                yield status
            elif self._closed:
                return
            else:
                self._wake.clear()
                await self._wake.wait()


class HeartbeatMonitor:
    """Raises TimeoutError in the body of its `async with` when the link's deadline has passed.

    It can be entered once. It has one timer, which compares the clock with the deadline when it
    fires, because setting a timer for each message costs more time than reading the message.

    Args:
        state: The link's state, which has the deadline.
        clock: The clock of the state, in seconds.
    """

    def __init__(self, state: LinkState, clock: Callable[[], float]) -> None:
        self._state = state
        self._clock = clock
        self._limit = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        await self._limit.__aenter__()
        self.check()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._cancel_timer()
        await self._limit.__aexit__(kind, error, traceback)

    def check(self) -> None:
        """Compares the clock with the deadline and sets the timer.

        To be called whenever the deadline may have become earlier.
        """
        self._cancel_timer()
        loop = asyncio.get_running_loop()
        left_s = self._state.silent_at - self._clock()
        if left_s > 0:
            self._timer = loop.call_later(left_s, self.check)
        else:
            self._limit.reschedule(loop.time())

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
