"""What a commit changed, and who waits to hear of it."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self


@dataclass(slots=True)
class Touched:
    """What units of work changed.

    Attributes:
        drops: Ids of drops.
        machines: Names of machines, those of changed slots included.
        elsewhere: Whether another process changed anything.
    """

    drops: set[str] = field(default_factory=set)
    machines: set[str] = field(default_factory=set)
    elsewhere: bool = False

    def add(self, other: "Touched") -> None:
        """Adds what another unit changed."""
        self.drops |= other.drops
        self.machines |= other.machines


class Wakeup:
    """One subscriber's wake-up, set or not; a context manager. See `Subscription`.

    Args:
        listeners: Where it listens while it is entered.
    """

    def __init__(self, listeners: "_Listeners", key: str | None) -> None:
        self._listeners = listeners
        self._key = key
        self._event = asyncio.Event()

    def __enter__(self) -> Self:
        """Starts listening."""
        self._listeners[self._key][self] = None
        return self

    def __exit__(self, *error: object) -> None:
        """Stops listening."""
        waiting = self._listeners[self._key]
        waiting.pop(self, None)
        if not waiting:
            del self._listeners[self._key]

    def set(self) -> None:
        """Wakes the subscriber, now or when it next waits."""
        self._event.set()

    async def changed(self) -> None:
        """Waits for a change; returns at once if one came since the last wait."""
        await self._event.wait()
        self._event.clear()


# Who has waited longest is woken first.
_Listeners = defaultdict[str | None, dict[Wakeup, None]]


class CommitChanges:
    """`Changes` of one process. All of it runs on the event loop."""

    def __init__(self) -> None:
        self._drops: _Listeners = defaultdict(dict)
        self._machines: _Listeners = defaultdict(dict)
        self._elsewhere: _Listeners = defaultdict(dict)

    def drop(self, drop_id: str) -> Wakeup:
        """See `Changes`."""
        return Wakeup(self._drops, drop_id)

    def machine(self, name: str | None) -> Wakeup:
        """See `Changes`."""
        return Wakeup(self._machines, name)

    def elsewhere(self) -> Wakeup:
        """See `Changes`."""
        return Wakeup(self._elsewhere, None)

    def announce_machine(self, name: str) -> None:
        """See `Changes`."""
        _wake(self._machines, (name, None))

    def fire(self, touched: Touched) -> None:
        """Wakes whoever listens to what a commit touched."""
        if touched.elsewhere:
            # Nobody says what the other process changed, so that it may be anything.
            for listeners in (self._drops, self._machines, self._elsewhere):
                _wake(listeners, listeners)
            return
        _wake(self._drops, sorted(touched.drops))
        if touched.machines:
            _wake(self._machines, (*sorted(touched.machines), None))


def _wake(listeners: _Listeners, keys: Iterable[str | None]) -> None:
    for key in keys:
        for wakeup in listeners.get(key, ()):
            wakeup.set()
