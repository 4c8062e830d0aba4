"""Changes of machines for all watchers, with one read per change for all of them.

A watcher gets the newest state of each machine, and a slow one skips the states in between.
Watchers are woken a few at a time, so that the steps of drops run in between.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import TypeVar

import structlog

from drink_frontend.domain.entities import Machine
from drink_frontend.domain.errors import DrinkError, MachineNotFoundError
from drink_frontend.storage.changes import Changes, ChangeSet

log = structlog.get_logger(__name__)

W = TypeVar("W")

WOKEN_AT_ONCE = 16
"""Watchers woken at once; sending to one takes some 0.1 ms."""

PAUSE_S = 0.003
"""Seconds until the next ones are woken, in which other tasks run. 1,024 watchers are woken within
some 0.3 s."""


class _Watcher:
    """One watcher.

    Attributes:
        pending: Names of the machines whose state is to be sent.
        error: Why no state can be sent any more.
    """

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self.pending: dict[str, None] = {}
        self.error: DrinkError | None = None
        self.woken = asyncio.Event()

    def add(self, names: Collection[str]) -> None:
        """Adds machines that have changed."""
        wanted = [name for name in names if name in self._names] if self._names else names
        if wanted:
            self.pending.update(dict.fromkeys(wanted))
            self.woken.set()

    def fail(self, error: DrinkError) -> None:
        """Ends the watch with an error."""
        self.error = error
        self.woken.set()


class MachineFeed:
    """Reads machines when they change, and passes them to watchers.

    Args:
        read: Reads all machines, by name.
        changes: Reports what commits change.
    """

    def __init__(self, read: Callable[[], Awaitable[Sequence[Machine]]], changes: Changes) -> None:
        self._read = read
        self._machines: dict[str, Machine] = {}
        self._watchers: dict[_Watcher, None] = {}
        self._waiting: list[asyncio.Future[None]] = []
        self._present = 0
        self._changed = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        changes.add_listener(self._on_commit)

    async def watch(self, names: Sequence[str]) -> AsyncGenerator[Machine, None]:
        """The machines of those names (all if none is given) now, then each one as it changes.

        Raises:
            MachineNotFoundError: there is no machine of one of the names.
            StorageUnavailableError: the database does not answer.
        """
        watcher = _Watcher(frozenset(names))
        self._present += 1
        try:
            await self._fresh()
            for name in names:
                if name not in self._machines:
                    raise MachineNotFoundError("no such machine")
            self._watchers[watcher] = None
            watcher.add(self._machines)
            while watcher.error is None:
                while watcher.pending:
                    name = next(iter(watcher.pending))
                    del watcher.pending[name]
                    yield self._machines[name]
                await watcher.woken.wait()
                watcher.woken.clear()
            raise watcher.error
        finally:
            self._watchers.pop(watcher, None)
            self._present -= 1
            if not self._present and self._following is not None:
                self._following.cancel()
                self._following = None

    async def _fresh(self) -> None:
        """Waits for a read that begins after this call."""
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        self._changed.set()
        if self._following is None:
            self._following = asyncio.create_task(self._follow(), name="machine feed")
        try:
            await waiting
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)

    async def _follow(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            waiting, self._waiting = self._waiting, []
            try:
                changed = self._take(await self._read())
            except DrinkError as error:
                self._fail(waiting, error)
                continue
            except Exception as error:
                # A fault of the program: the first watcher gets it, and so does the log.
                log.exception("machine_feed_failed")
                for each in waiting:
                    if not each.done():
                        each.set_exception(error)
                continue
            for each in waiting:
                if not each.done():
                    each.set_result(None)
            await self._wake_watchers(changed)

    def _take(self, machines: Sequence[Machine]) -> list[str]:
        """Keeps the machines; returns the names of those that changed visibly."""
        changed = []
        for machine in machines:
            # The length of the journal changes with every drop and is not shown.
            shown = replace(machine, journal_sequence=0)
            if self._machines.get(machine.name) != shown:
                self._machines[machine.name] = shown
                changed.append(machine.name)
        return changed

    async def _wake_watchers(self, changed: Collection[str]) -> None:
        if changed:
            await wake_in_turns(self._watchers, lambda watcher: watcher.add(changed))

    def _fail(self, waiting: Sequence[asyncio.Future[None]], error: DrinkError) -> None:
        for each in waiting:
            if not each.done():
                each.set_exception(error)
        for watcher in self._watchers:
            watcher.fail(error)

    def _on_commit(self, changed: ChangeSet | None) -> None:
        if self._present and (changed is None or changed.machines):
            self._changed.set()


async def wake_in_turns(watchers: Iterable[W], wake: Callable[[W], object]) -> None:
    """Wakes the watchers, some at once; others may come and go meanwhile.

    Args:
        watchers: All of them.
        wake: Wakes one.
    """
    present = iter(tuple(watchers))
    while some := tuple(islice(present, WOKEN_AT_ONCE)):
        for watcher in some:
            wake(watcher)
        if len(some) == WOKEN_AT_ONCE:
            await asyncio.sleep(PAUSE_S)
