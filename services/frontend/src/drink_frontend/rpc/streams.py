"""Streams of responses: they give back what they hold, and those that watch end with the server."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

import structlog

from drink_frontend.domain.errors import (
    DrinkError,
    RateLimitedError,
    ShuttingDownError,
    TokenInvalidError,
)
from drink_frontend.rpc.interceptors import Context
from drink_frontend.usecases.permits import Permit, Permits

log = structlog.get_logger(__name__)

T = TypeVar("T")

_END: Any = object()
_SHUTTING_DOWN = "the frontend is shutting down; watch again later or elsewhere"


@contextlib.asynccontextmanager
async def permitted(permits: Permits, permit: Permit, message: str) -> AsyncIterator[None]:
    """Ends what is done in the context once the permit is no longer good.

    Args:
        permits: Who knows.
        permit: By what the caller was let in.
        message: What he is told.

    Raises:
        TokenInvalidError: it is no longer good.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(None) as wait:
            with permits.held(permit, lambda: wait.reschedule(loop.time())):
                yield
    except TimeoutError:
        if wait.expired():
            raise TokenInvalidError(message) from None
        raise


@contextlib.asynccontextmanager
async def until(ends: Coroutine[Any, Any, None], error: DrinkError) -> AsyncIterator[None]:
    """Ends what is done in the context once `ends` is done.

    Raises:
        DrinkError: `error`, if it was.
    """
    loop = asyncio.get_running_loop()
    watching = loop.create_task(ends)
    try:
        async with asyncio.timeout(None) as wait:

            def end(done: asyncio.Task[None]) -> None:
                if not done.cancelled() and done.exception() is None:
                    wait.reschedule(loop.time())

            watching.add_done_callback(end)
            try:
                yield
            finally:
                watching.remove_done_callback(end)
                watching.cancel()
    except TimeoutError:
        if wait.expired():
            raise error from None
        raise


@contextlib.asynccontextmanager
async def begun_after(seconds: float, context: Context) -> AsyncIterator[None]:
    """Begins the answer of the call, if what is done in the context takes longer than `seconds`.

    Proxies give up on a call whose answer does not begin, some of them only on those.
    """
    loop = asyncio.get_running_loop()
    sending: list[asyncio.Task[None]] = []

    def begin() -> None:
        sending.append(loop.create_task(context.send_initial_metadata(())))

    timer = loop.call_later(seconds, begin)
    try:
        yield
    finally:
        timer.cancel()
        # The rest of the answer must not overtake it. If it fails, the peer is gone.
        await asyncio.gather(*sending, return_exceptions=True)


class Watches:
    """All streams that tell of changes for as long as somebody listens.

    Args:
        total_max: Most of them open at once.
        per_owner_max: Most of them open for one owner.
    """

    def __init__(self, total_max: int, per_owner_max: int) -> None:
        self._total_max = total_max
        self._per_owner_max = per_owner_max
        self._open: Counter[str] = Counter()
        self._waits: set[asyncio.Timeout] = set()
        self._closed = False

    def close(self) -> None:
        """Ends every followed stream; new ones end at once."""
        self._closed = True
        now = asyncio.get_running_loop().time()
        for wait in self._waits:
            wait.reschedule(now)

    @contextlib.contextmanager
    def admit(self, owner: str) -> Iterator[None]:
        """Counts one watch of `owner` while the context lasts.

        Raises:
            RateLimitedError: too many are open.
        """
        if self._open.total() >= self._total_max or self._open[owner] >= self._per_owner_max:
            log.warning("watches_refused", owner=owner, open=self._open.total())
            raise RateLimitedError("too many watches are open")
        self._open[owner] += 1
        try:
            yield
        finally:
            self._open[owner] -= 1
            if not self._open[owner]:
                del self._open[owner]

    async def follow(self, owner: str, updates: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """The updates while there are any.

        Raises:
            RateLimitedError: too many watches are open.
            ShuttingDownError: the server shuts down.
        """
        async with contextlib.aclosing(updates):
            with self.admit(owner):
                while (update := await self._next(updates)) is not _END:
                    yield update

    async def _next(self, updates: AsyncGenerator[T, None]) -> T:
        if self._closed:
            raise ShuttingDownError(_SHUTTING_DOWN)
        try:
            async with asyncio.timeout(None) as wait:
                self._waits.add(wait)
                try:
                    return await anext(updates, _END)
                finally:
                    self._waits.discard(wait)
        except TimeoutError:
            if wait.expired():
                raise ShuttingDownError(_SHUTTING_DOWN) from None
            raise
