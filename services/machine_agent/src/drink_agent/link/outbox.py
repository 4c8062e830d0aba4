"""Messages that wait for the network to take them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from drink.v1.machine_link_service_pb2 import ConnectRequest


class Outbox:
    """What one link has to send, in order; of board statuses only the newest counts."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._messages: deque[ConnectRequest] = deque()
        self._status: ConnectRequest | None = None
        self._closed = False
        self._wake = asyncio.Event()

    def put(self, message: ConnectRequest) -> bool:
        """Adds a message; False if there is no room."""
        if self._closed or len(self._messages) >= self._limit:
            return False
        self._messages.append(message)
        self._wake.set()
        return True

    def put_status(self, message: ConnectRequest) -> None:
        """Replaces the board status that waits."""
        self._status = message
        self._wake.set()

    def close(self) -> None:
        """Takes no more; iteration ends after what is there."""
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
