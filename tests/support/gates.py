"""Units of work and queries that stand still until a test lets them go on."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from threading import Event
from typing import Any, Self

from drink_frontend.storage.transaction import Transaction

LIMIT_S = 20


class Gate:
    """A place on a storage thread where work stands still; opens at the latest when it is left."""

    def __init__(self) -> None:
        self._reached, self._opened = Event(), Event()

    def stand(self, _: Transaction | None = None) -> None:
        """Called by the work: stands still until `open`."""
        self._reached.set()
        assert self._opened.wait(LIMIT_S), "nobody opened the gate"

    async def reached(self) -> None:
        """Waits until work stands at the gate."""
        assert await asyncio.to_thread(self._reached.wait, LIMIT_S), "nobody came to the gate"

    def open(self) -> None:
        """Lets the work go on."""
        self._opened.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.open()


@asynccontextmanager
async def held(work: Callable[..., Coroutine[Any, Any, Any]]) -> AsyncIterator[Gate]:
    """Keeps `storage.write` or `storage.read` at a gate; at the end, opens it and awaits them."""
    with Gate() as gate:
        standing = asyncio.create_task(work(gate.stand))
        await gate.reached()
        yield gate
        gate.open()
        await standing
