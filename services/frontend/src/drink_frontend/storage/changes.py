"""What a commit changed, and who waits to hear of it."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from drink_frontend.domain.entities import Account, Drop

RECENT_MAX = 1_024
"""Drops of which the last commit is remembered: more than are placed in the moment between a drop's
commit and its buyer's first look, in a few MB."""


@dataclass(slots=True)
class ChangeSet:
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

    def names(self) -> "ChangeSet":
        """The same without the rows."""
        return ChangeSet(
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

    def add(self, other: "ChangeSet") -> None:
        """Adds what another unit changed."""
        self.drops |= other.drops
        self.machines |= other.machines
        self.accounts |= other.accounts
        self.revoked |= other.revoked


class Subscription:
    """One subscriber's wake-up, set or not; a context manager.

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


class DropSubscription(Subscription):
    """A wake-up that carries the drop as this process has just committed it.

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
        """The drop as it stands, if its last change is a recent commit of this process.

        None: it has to be read.
        """
        return self._recent.get(self._drop_id)


class ElsewhereSubscription:
    """A wake-up by other processes' commits; a context manager.

    Args:
        listeners: Where it listens while it is entered.
    """

    def __init__(self, listeners: "dict[ElsewhereSubscription, None]") -> None:
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
        """Waits for commits; names the machines that they changed. None: it may be anything."""
        await self._event.wait()
        self._event.clear()
        machines, self._machines = self._machines, set()
        return None if machines is None else sorted(machines)


# Who has waited longest is woken first.
_Listeners = defaultdict[str | None, dict[Subscription, None]]


class Changes:
    """Notifies subscribers of what each commit changed. All of it runs on the event loop.

    Args:
        hands_on: Whether rows are handed on as they were committed here. Not where other processes
            commit too: what one of them did next may be heard of before.
    """

    def __init__(self, *, hands_on: bool) -> None:
        self._hands_on = hands_on
        self._drops: _Listeners = defaultdict(dict)
        self._recent: dict[str, Drop] = {}
        self._machines: _Listeners = defaultdict(dict)
        self._elsewhere: dict[ElsewhereSubscription, None] = {}
        self._told: list[Callable[[ChangeSet | None], None]] = []

    def drop(self, drop_id: str) -> DropSubscription:
        """Wakes when the drop has changed."""
        return DropSubscription(self._drops, drop_id, self._recent)

    def machine(self, name: str | None) -> Subscription:
        """Wakes when the machine, or with None any machine, has changed."""
        return Subscription(self._machines, name)

    def elsewhere(self) -> "ElsewhereSubscription":
        """Wakes when another process has changed anything, within a second or so."""
        return ElsewhereSubscription(self._elsewhere)

    def tell(self, told: Callable[[ChangeSet | None], None]) -> None:
        """Has a plain function called with what commits changed; None: it may be anything.

        It hears of a commit of this process before anybody whom that commit answers, and of other
        processes' as `elsewhere` does.
        """
        self._told.append(told)

    def fire(self, touched: ChangeSet) -> None:
        """Wakes whoever listens to what a commit of this process touched."""
        if touched.elsewhere:
            self.heard(None)
        else:
            self._wake_named(touched if self._hands_on else touched.names())

    def heard(self, touched: ChangeSet | None) -> None:
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

    def _wake_named(self, touched: ChangeSet) -> None:
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
