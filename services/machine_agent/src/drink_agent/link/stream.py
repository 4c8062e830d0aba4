"""The two directions of one link's stream: queued outgoing messages, and the limit on silence."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable

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


@contextlib.asynccontextmanager
async def heartbeat_monitor(
    state: LinkState, clock: Callable[[], float]
) -> AsyncIterator[Callable[[], None]]:
    """Raises TimeoutError in its body when the deadline of the frontend's next message has passed.

    One timer compares the clock with the deadline when it fires, because setting a timer for each
    message costs more time than reading the message.

    Args:
        state: State of the link, which has the deadline.
        clock: Clock of the state, in seconds.

    Yields:
        A function to call when the deadline may have become earlier.
    """
    loop = asyncio.get_running_loop()
    timer: asyncio.Handle
    async with asyncio.timeout(None) as limit:

        def check_deadline() -> None:
            nonlocal timer
            timer.cancel()
            left_s = state.silent_at - clock()
            if left_s > 0:
                timer = loop.call_later(left_s, check_deadline)
            else:
                limit.reschedule(loop.time())

        timer = loop.call_soon(check_deadline)
        try:
            yield check_deadline
        finally:
            timer.cancel()
