"""One thread for calls that block, such as those that sync the journal."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any

_Call = tuple["asyncio.Future[Any]", Callable[[], Any]]


class Worker(Executor):
    """Carries out calls in order on one thread, for `run_in_executor` of the running event loop.

    A `ThreadPoolExecutor` makes a second future with locks for each call, and copies its result on
    the loop: with it, a hop to the thread and back takes half as much CPU time again.

    Args:
        name: Of the thread, which starts with the first call.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread: Thread | None = None

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Returns a future of the loop, which `run_in_executor` passes on as it is.

        Raises:
            RuntimeError: It was shut down.
        """
        loop = asyncio.get_running_loop()
        if self._thread is None:
            self._thread = Thread(target=self._work, args=(loop,), name=self._name, daemon=True)
            self._thread.start()
        future = loop.create_future()
        self._calls.put((future, partial(call, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """Ends the thread after the calls that were made; `cancel_futures` has no effect."""
        self._calls.put(None)
        if wait and self._thread is not None:
            self._thread.join()

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while (given := self._calls.get()) is not None:
            future, call = given
            value, error = None, None
            try:
                value = call()
            except BaseException as raised:
                error = raised
            # The loop is closed if nobody waits any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_finish, future, value, error)


def _finish(future: "asyncio.Future[Any]", value: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
