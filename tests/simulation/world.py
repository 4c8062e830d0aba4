"""A world in one thread: virtual time, processes with an event loop each, and what lies between.

A process is its event loop. To kill it is never to run it again: no `finally`, no last word, as
with SIGKILL. Time passes only while no process has anything to do, and then jumps to whatever is
next. All chance is drawn from one seed, a stream of its own for each part, so that the same seed
gives the same history.
"""

import asyncio
import heapq
import itertools
import random
import sys
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from hashlib import sha256
from typing import Any, TypeVar

_T = TypeVar("_T")

TRACE_SHOWN = 120
"""Events of the trace shown with a failure."""

STEPS_MAX = 400_000
"""The most steps of one world; twenty times those of the busiest sound world."""


TURN_S = 1e-9
"""Virtual seconds of a turn; without it a rounding error could wait for ever."""


class Killed(BaseException):
    """Unwinds a process's call into the world when the process is killed."""


class ViolationError(AssertionError):
    """An invariant is broken."""


class World:
    """Virtual time and everything that happens in it.

    Args:
        seed: Of all chance.

    Attributes:
        now: Seconds since the world began.
        processes: Every process that lives.
        injected: Faults so far, by kind.
        violations: What went wrong; the first one ends the run.
        on_fault: Told each injected fault: kind, where, how long it may be felt.
        steps: Turns of processes and events so far.
        running: The process whose turn it is, or was last.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now = 0.0
        self.processes: list[Process] = []
        self.injected: Counter[str] = Counter()
        self.violations: list[str] = []
        self.on_fault: Callable[[str, str, float], None] = lambda _kind, _where, _lasts_s: None
        self.recent: deque[str] = deque(maxlen=TRACE_SHOWN)
        self.steps = 0
        self.running = ""
        self._digest = sha256()
        self._order = itertools.count()
        self._events: list[tuple[float, int, Event]] = []
        self._dice = self.stream("turns")
        self._dead: list[Process] = []

    def stream(self, name: str) -> random.Random:
        """A random stream of its own, by name."""
        return random.Random(f"{self.seed}/{name}")

    def after(self, delay_s: float, act: Callable[[], None]) -> "Event":
        """Schedules something outside every process."""
        event = Event(act)
        heapq.heappush(self._events, (self.now + max(0.0, delay_s), next(self._order), event))
        return event

    def note(self, text: str) -> None:
        """Adds to the trace; the same seed gives the same trace."""
        line = f"{self.now:10.4f} {text}"
        self.recent.append(line)
        self._digest.update(line.encode())

    def fault(self, kind: str, where: str = "*", lasts_s: float = 0.0, what: str = "") -> None:
        """Counts an injected fault.

        Args:
            kind: What, as `place.trouble`.
            where: The machine that it touches; `*` for all.
            lasts_s: How long it may be felt.
            what: More, for the trace.
        """
        self.injected[kind] += 1
        self.note(f"FAULT {kind} {where} {what}")
        self.on_fault(kind, where, lasts_s)

    def violate(self, text: str) -> None:
        """Reports a broken invariant."""
        self.note(f"VIOLATION {text}")
        self.violations.append(text)

    @property
    def trace_hash(self) -> str:
        """Hash of the whole trace."""
        return self._digest.hexdigest()

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Lets time pass; whether `until` came true before it was over.

        Raises:
            ViolationError: something was not as promised.
        """
        end = self.now + seconds
        moving = True
        while moving and not until():
            moving = self._step(end)
            self.steps += moving
            if self.steps > STEPS_MAX:
                self.violate(f"23: {self.running} goes round in circles")
            if self.violations:
                raise ViolationError(self.violations[0])
        return moving or until()

    def _step(self, end: float) -> bool:
        ready = [process for process in self.processes if process.is_ready]
        if ready:
            chosen = ready[0] if len(ready) == 1 else self._dice.choice(ready)
            chosen.turn()
            return True
        while self._events and self._events[0][2].cancelled:
            heapq.heappop(self._events)
        next_at = self._events[0][0] if self._events else float("inf")
        timers = [(process.next_at, process) for process in self.processes]
        earliest = min((at for at, _ in timers), default=float("inf"))
        if min(next_at, earliest) > end:
            self.now = end
            return False
        self.now = max(self.now, min(next_at, earliest))
        if next_at <= earliest:
            heapq.heappop(self._events)[2].act()
        else:
            next(process for at, process in timers if at == earliest).turn()
        return True

    def bury(self, process: "Process") -> None:
        """Removes a process, but keeps its objects until the world ends."""
        self.processes.remove(process)
        self._dead.append(process)

    def end(self) -> None:
        """Releases everything."""
        for process in [*self.processes]:
            process.kill()
        for process in self._dead:
            process.dispose()
        self._dead.clear()
        self._events.clear()


class Event:
    """An event outside every process."""

    __slots__ = ("act", "cancelled")

    def __init__(self, act: Callable[[], None]) -> None:
        self.act = act
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Process:
    """One process on one host.

    Args:
        world: Where it lives.
        name: For the trace.
        host: The host it runs on; processes die with it.

    Attributes:
        alive: Whether it has not been killed and has not ended.
        on_death: Told when it dies.
        tasks: Those that have not ended, and some that have.
        executor_latency_s: How long a call takes that it makes on a thread.
        frozen_until: Until when it is stopped, as by SIGSTOP or a host that is too busy.
    """

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.alive = True
        self.on_death: list[Callable[[], None]] = []
        self.tasks: list[_Task] = []
        self.executor_latency_s: Callable[[random.Random], float] = lambda _: 0.0
        self.frozen_until = 0.0
        self._loop = _Loop(self)
        world.processes.append(self)

    @property
    def is_ready(self) -> bool:
        return self._loop.has_ready and not self.is_frozen

    @property
    def next_at(self) -> float:
        if self._loop.has_ready:
            return self.frozen_until
        return max(self._loop.next_at, self.frozen_until)

    @property
    def is_frozen(self) -> bool:
        return self.world.now < self.frozen_until

    def freeze(self, seconds: float) -> None:
        """Stops it for a while with all its threads; it keeps its locks and connections."""
        self.frozen_until = self.world.now + seconds

    def thaw(self) -> None:
        """Continues it."""
        self.frozen_until = 0.0

    def spawn(self, work: Coroutine[Any, Any, _T]) -> "asyncio.Task[_T]":
        """Runs a coroutine in the process; its error is a violation unless it is awaited."""
        return self._loop.create_task(work)

    def post(self, call: Callable[..., object], *arguments: Any) -> None:
        """Calls a function in the process, unless the process has ended."""
        if self.alive:
            self._loop.call_soon(call, *arguments)

    def turn(self) -> None:
        """Runs what is ready."""
        self.world.now += TURN_S
        hooks = sys.get_asyncgen_hooks()
        self.world.running = self.name
        asyncio._set_running_loop(self._loop)
        sys.set_asyncgen_hooks(finalizer=self._finalize)
        try:
            self._loop.turn()
        finally:
            asyncio._set_running_loop(None)
            sys.set_asyncgen_hooks(*hooks)
        if len(self.tasks) > 256:
            self.tasks = [task for task in self.tasks if not task.done()]

    def kill(self) -> None:
        """Kills it as SIGKILL does."""
        if not self.alive:
            return
        self.alive = False
        self.world.bury(self)
        for tell in self.on_death:
            tell()

    def check_alive(self) -> None:
        """Ends a call of the world by a process that is dead.

        Raises:
            Killed: it is.
        """
        if not self.alive:
            raise Killed

    def dispose(self) -> None:
        """Releases its resources."""
        assert not self.alive
        # What a coroutine does at its end belongs to this loop; asyncio would make another one.
        asyncio._set_running_loop(self._loop)
        try:
            for task in self.tasks:
                task.abandon()
        finally:
            asyncio._set_running_loop(None)
        self.tasks.clear()
        self._loop.close()

    def _finalize(self, agen: AsyncGenerator[Any, Any]) -> None:
        if self.alive:
            self._loop.call_soon(lambda: self._loop.create_task(agen.aclose()))


class _Task(asyncio.Task[Any]):
    """A task whose hash does not depend on its address, so that sets keep their order."""

    _count = itertools.count()

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self._number = next(self._count)
        super().__init__(*arguments, **keywords)

    def __hash__(self) -> int:
        return self._number

    def abandon(self) -> None:
        self._log_destroy_pending = False
        coroutine = self.get_coro()
        assert isinstance(coroutine, Coroutine)
        _abandon(coroutine)


def _abandon(coroutine: Any) -> None:
    """Closes a coroutine of an ended process, however often it awaits meanwhile."""
    for _ in range(20):
        with suppress(BaseException):
            coroutine.close()
            return


class _Selector:
    """Never waits: the world advances the time."""

    def select(self, timeout: float | None) -> list[Any]:
        return []

    def close(self) -> None: ...


class _Loop(asyncio.BaseEventLoop):
    """The event loop of one process."""

    def __init__(self, process: Process) -> None:
        super().__init__()
        self._process = process
        self._selector = _Selector()
        self._clock_resolution = 1e-9
        self.set_task_factory(self._make_task)
        self.set_exception_handler(self._on_exception)
        self._disk_free_at = 0.0
        self._dice = process.world.stream(f"executor of {process.name}")

    def time(self) -> float:
        return self._process.world.now

    def _process_events(self, event_list: list[Any]) -> None: ...

    def _write_to_self(self) -> None: ...

    @property
    def has_ready(self) -> bool:
        return bool(self._ready)  # type: ignore[attr-defined]

    @property
    def next_at(self) -> float:
        scheduled = self._scheduled  # type: ignore[attr-defined]
        while scheduled and scheduled[0]._cancelled:
            self._timer_cancelled_count -= 1  # type: ignore[attr-defined]
            heapq.heappop(scheduled)._scheduled = False
        return float(scheduled[0].when()) if scheduled else float("inf")

    def turn(self) -> None:
        self._run_once()  # type: ignore[attr-defined]

    def _make_task(self, loop: Any, coroutine: Any, **keywords: Any) -> _Task:
        task = _Task(coroutine, loop=self, **keywords)
        self._process.tasks.append(task)
        return task

    def _on_exception(self, _: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if self._process.alive and not isinstance(error, Killed):
            self._process.world.violate(
                f"{self._process.name}: {context.get('message')}: {error!r}"
            )

    def run_in_executor(  # type: ignore[override]
        self, executor: object, work: Callable[..., _T], *arguments: Any
    ) -> "asyncio.Future[_T]":
        """Runs it at once for the caller, but after earlier work of the disk."""
        future: asyncio.Future[_T] = self.create_future()
        process, world = self._process, self._process.world
        latency_s = process.executor_latency_s(self._dice)
        begins_at = max(world.now, self._disk_free_at)
        self._disk_free_at = begins_at + latency_s

        def carry_out() -> None:
            if not process.alive:
                return
            if (frozen_s := process.frozen_until - world.now) > 0:
                world.after(frozen_s, carry_out)
                return
            try:
                value = work(*arguments)
            except Killed:
                return
            except Exception as error:
                failure = error
                world.after(0, lambda: process.post(_fail, future, failure))
            else:
                world.after(0, lambda: process.post(_succeed, future, value))

        world.after(self._disk_free_at - world.now, carry_out)
        return future

    async def create_unix_server(self, *_: Any, **__: Any) -> Any:
        raise OSError("no sockets here")


def _succeed(future: "asyncio.Future[_T]", value: _T) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: "asyncio.Future[Any]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
