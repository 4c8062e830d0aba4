"""What a commit changed, and who waits to hear of it."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from drink_frontend.domain.entities import Account, Drop
from drink_frontend.domain.ports import Changed

RECENT_MAX = 1_024
"""Drops of which the last commit is remembered: more than are placed in the moment between a drop's
commit and its buyer's first look, in a few MB."""


@dataclass(slots=True)
class Touched:
    """What units of work changed.

    Attributes:
        drops: Drops as they were committed, by their ids; None where only the id is known.
        machines: Names of machines, those of changed slots included.
        accounts: Accounts as they were committed, by their names; None where only that is known.
        revoked: Names of accounts of which a token, password or iButton may be good no more.
        elsewhere: Whether another process may have changed anything.
    """

    drops: dict[str, Drop | None] = field(default_factory=dict)
    machines: set[str] = field(default_factory=set)
    accounts: dict[str, Account | None] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    elsewhere: bool = False

    def names(self) -> "Touched":
        """The same without the rows."""
        return Touched(
            dict.fromkeys(self.drops),
            self.machines,
            dict.fromkeys(self.accounts),
            self.revoked,
        )

    def clear(self) -> None:
        """Forgets what units changed that are undone."""
        self.drops.clear()
        self.machines.clear()
        self.accounts.clear()
        self.revoked.clear()

    def add(self, other: "Touched") -> None:
        """Adds what another unit changed."""
        self.drops |= other.drops
        self.machines |= other.machines
        self.accounts |= other.accounts
        self.revoked |= other.revoked


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


class DropWakeup(Wakeup):
    """One that is handed what it waits for. See `DropSubscription`.

    Args:
        listeners: Where it listens while it is entered.
        drop_id: The drop.
        recent: The last commits of this process.
    """

    def __init__(self, listeners: "_Listeners", drop_id: str, recent: Mapping[str, Drop]) -> None:
        super().__init__(listeners, drop_id)
        self._drop_id = drop_id
        self._recent = recent

    @property
    def latest(self) -> Drop | None:
        """See `DropSubscription`."""
        return self._recent.get(self._drop_id)


class ElsewhereWakeup:
    """A wake-up by other processes' commits; a context manager. See `ElsewhereSubscription`.

    Args:
        listeners: Where it listens while it is entered.
    """

    def __init__(self, listeners: "dict[ElsewhereWakeup, None]") -> None:
        self._listeners = listeners
        self._event = asyncio.Event()
        self._machines: set[str] | None = set()

    def __enter__(self) -> Self:
        """Starts listening."""
        self._listeners[self] = None
        return self

    def __exit__(self, *error: object) -> None:
        """Stops listening."""
        del self._listeners[self]

    def add(self, machines: Iterable[str] | None) -> None:
        """Wakes the subscriber, now or when it next waits, with these machines or any."""
        if machines is None:
            self._machines = None
        elif self._machines is not None:
            self._machines.update(machines)
        self._event.set()

    async def changed(self) -> Collection[str] | None:
        """See `ElsewhereSubscription`."""
        await self._event.wait()
        self._event.clear()
        machines, self._machines = self._machines, set()
        return None if machines is None else sorted(machines)


# Who has waited longest is woken first.
_Listeners = defaultdict[str | None, dict[Wakeup, None]]


class CommitChanges:
    """`Changes` of one process. All of it runs on the event loop.

    Args:
        hands_on: Whether rows are handed on as they were committed here. Not where other processes
            commit too: what one of them did next may be heard of before.
    """

    def __init__(self, *, hands_on: bool) -> None:
        self._hands_on = hands_on
        self._drops: _Listeners = defaultdict(dict)
        self._recent: dict[str, Drop] = {}
        self._machines: _Listeners = defaultdict(dict)
        self._elsewhere: dict[ElsewhereWakeup, None] = {}
        self._told: list[Callable[[Changed | None], None]] = []

    def drop(self, drop_id: str) -> DropWakeup:
        """See `Changes`."""
        return DropWakeup(self._drops, drop_id, self._recent)

    def machine(self, name: str | None) -> Wakeup:
        """See `Changes`."""
        return Wakeup(self._machines, name)

    def elsewhere(self) -> "ElsewhereWakeup":
        """See `Changes`."""
        return ElsewhereWakeup(self._elsewhere)

    def tell(self, told: Callable[[Changed | None], None]) -> None:
        """See `Changes`."""
        self._told.append(told)

    def fire(self, touched: Touched) -> None:
        """Wakes whoever listens to what a commit of this process touched."""
        if touched.elsewhere:
            self.heard(None)
        else:
            self._wake_named(touched if self._hands_on else touched.names())

    def heard(self, touched: Touched | None) -> None:
        """Wakes whoever listens to what another process's commit touched.

        Args:
            touched: What that was; None if nobody knows, so that it may be anything.
        """
        if touched is None:
            self._recent.clear()
            for told in self._told:
                told(None)
            for listeners in (self._drops, self._machines):
                _wake(listeners, listeners)
        else:
            self._wake_named(touched)
        for wakeup in self._elsewhere:
            wakeup.add(None if touched is None else touched.machines)

    def _wake_named(self, touched: Touched) -> None:
        if touched.machines or touched.accounts or touched.revoked:
            for told in self._told:
                told(touched)
        for drop_id, drop in touched.drops.items():
            self._remember(drop_id, drop)
        _wake(self._drops, sorted(touched.drops))
        if touched.machines:
            _wake(self._machines, (*sorted(touched.machines), None))

    def _remember(self, drop_id: str, drop: Drop | None) -> None:
        self._recent.pop(drop_id, None)
        if drop is not None:
            self._recent[drop_id] = drop
            if len(self._recent) > RECENT_MAX:
                del self._recent[next(iter(self._recent))]


def _wake(listeners: _Listeners, keys: Iterable[str | None]) -> None:
    for key in keys:
        for wakeup in listeners.get(key, ()):
            wakeup.set()
