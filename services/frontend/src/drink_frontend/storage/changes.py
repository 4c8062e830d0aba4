"""Change sets of commits, and subscriptions to them."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from drink_frontend.domain.entities import Account, Drop
from drink_frontend.domain.events import Event, EventNotes

RECENT_MAX = 1_024
"""Number of drops whose last commit is remembered, in a few MB: more than are committed between the
commit of a drop and the first time that its caller reads it."""


@dataclass(slots=True)
class ChangeSet:
    """What units of work changed.

    Attributes:
        drops: Drops as they were committed, by their ids; None where only the id is known.
        machines: Names of machines, those of changed slots included.
        accounts: Accounts as they were committed, by their ids; None where only that is known.
        revoked: Ids of accounts of which a token, password or iButton may have become invalid.
        elsewhere: Whether another process may have changed anything.
        notes: What a unit of work notes for its events.
        events: The events of units of work that were added.
    """

    drops: dict[str, Drop | None] = field(default_factory=dict)
    machines: set[str] = field(default_factory=set)
    accounts: dict[str, Account | None] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    elsewhere: bool = False
    notes: EventNotes = field(default_factory=EventNotes)
    events: list[Event] = field(default_factory=list)

    def names(self) -> "ChangeSet":
        """A copy without the rows of drops and accounts."""
        return ChangeSet(
            dict.fromkeys(self.drops),
            self.machines,
            dict.fromkeys(self.accounts),
            self.revoked,
            events=self.events,
        )

    def clear(self) -> None:
        """Removes the changes of units of work that were undone, or that were added elsewhere."""
        self.drops.clear()
        self.machines.clear()
        self.accounts.clear()
        self.revoked.clear()
        self.notes.clear()
        self.events.clear()

    def merge(self, other: "ChangeSet") -> None:
        """Adds the changes of another batch."""
        self.add(other)
        self.elsewhere |= other.elsewhere
        self.events += other.events

    def add(self, other: "ChangeSet") -> None:
        """Adds the changes of another unit of work."""
        self.drops |= other.drops
        self.machines |= other.machines
        self.accounts |= other.accounts
        self.revoked |= other.revoked
        self.events += other.notes.events()


NO_CHANGES = ChangeSet()
"""Nothing changed; it is never added to."""


class Subscription:
    """A wake-up of one subscriber; a context manager that subscribes while it is entered.

    Args:
        listeners: All subscriptions of this kind.
        key: What to subscribe to; None: to all.
        wakes: The subscription whose subscriber is woken as well; None: this one has its own.

    Attributes:
        event: Set by each change until the subscriber has waited for it.
    """

    def __init__(
        self, listeners: "_Listeners", key: str | None, wakes: "Subscription | None" = None
    ) -> None:
        self._listeners = listeners
        self._key = key
        self.event: asyncio.Event = asyncio.Event() if wakes is None else wakes.event

    def __enter__(self) -> Self:
        """Subscribes."""
        self._listeners[self._key][self.event] = None
        return self

    def __exit__(self, *error: object) -> None:
        """Unsubscribes."""
        waiting = self._listeners[self._key]
        waiting.pop(self.event, None)
        if not waiting:
            del self._listeners[self._key]

    async def changed(self) -> None:
        """Waits for a change; returns at once if one came since the last wait."""
        await self.event.wait()
        self.event.clear()


class DropSubscription(Subscription):
    """A wake-up by changes of one drop, with the drop as this process has last committed it.

    Args:
        listeners: All subscriptions of this kind.
        drop_id: The drop's id.
        recent: Drops as recently committed by this process, by their ids.
    """

    def __init__(self, listeners: "_Listeners", drop_id: str, recent: Mapping[str, Drop]) -> None:
        super().__init__(listeners, drop_id)
        self._drop_id = drop_id
        self._recent = recent

    @property
    def latest(self) -> Drop | None:
        """The drop, if this process has committed it recently; None: it must be read."""
        return self._recent.get(self._drop_id)


class ElsewhereSubscription:
    """A wake-up by commits of other processes; a context manager.

    Args:
        listeners: All subscriptions of this kind.
    """

    def __init__(self, listeners: "dict[ElsewhereSubscription, None]") -> None:
        self._listeners = listeners
        self._event = asyncio.Event()
        self._machines: set[str] | None = set()

    def __enter__(self) -> Self:
        """Subscribes."""
        self._listeners[self] = None
        return self

    def __exit__(self, *error: object) -> None:
        """Unsubscribes."""
        del self._listeners[self]

    def add(self, machines: Iterable[str] | None) -> None:
        """Wakes the subscriber, now or when it next waits. None: any machine may have changed."""
        if machines is None:
            self._machines = None
        elif self._machines is not None:
            self._machines.update(machines)
        self._event.set()

    async def changed(self) -> Collection[str] | None:
        """Waits for commits; returns the changed machines, None for possibly all of them."""
        await self._event.wait()
        self._event.clear()
        machines, self._machines = self._machines, set()
        return None if machines is None else sorted(machines)


_Listeners = defaultdict[str | None, dict[asyncio.Event, None]]
"""The events of subscriptions by what they subscribe to. Ordered: the oldest is set first."""


class Changes:
    """Notifies subscribers of what each commit changed. All of it runs on the event loop.

    Args:
        hands_on: Whether subscribers get the committed rows. Not if other processes may commit
            too: a later commit of theirs may be reported before an earlier one of this process.
    """

    def __init__(self, *, hands_on: bool) -> None:
        self._hands_on = hands_on
        self._drops: _Listeners = defaultdict(dict)
        self._recent: dict[str, Drop] = {}
        self._machines: _Listeners = defaultdict(dict)
        self._events: _Listeners = defaultdict(dict)
        self._elsewhere: dict[ElsewhereSubscription, None] = {}
        self._listeners: list[Callable[[ChangeSet | None], None]] = []

    def drop(self, drop_id: str) -> DropSubscription:
        """A subscription to changes of one drop."""
        return DropSubscription(self._drops, drop_id, self._recent)

    def is_followed(self, drop_id: str) -> bool:
        """Whether anybody subscribes to changes of the drop."""
        return drop_id in self._drops

    def machine(self, name: str | None, wakes: Subscription | None = None) -> Subscription:
        """A subscription to changes of a machine; with None, of all machines.

        Args:
            name: The machine's name.
            wakes: A subscription whose subscriber waits for both.
        """
        return Subscription(self._machines, name, wakes)

    def events(self) -> Subscription:
        """A subscription to commits that may have stored events."""
        return Subscription(self._events, None)

    def elsewhere(self) -> "ElsewhereSubscription":
        """A subscription to commits of other processes; they are reported within about 1 s."""
        return ElsewhereSubscription(self._elsewhere)

    def add_listener(self, listener: Callable[[ChangeSet | None], None]) -> None:
        """Adds a function that is called with each change set; None: anything may have changed.

        It is called before the callers of the commit are answered, for commits of this process,
        and like `elsewhere` for commits of other processes.
        """
        self._listeners.append(listener)

    def publish(self, changes: ChangeSet) -> None:
        """Wakes the subscribers to what a commit of this process changed."""
        if changes.elsewhere:
            self.publish_remote(None)
            return
        if changes.machines or changes.accounts or changes.revoked:
            shown = changes if self._hands_on else changes.names()
            for listener in self._listeners:
                listener(shown)
        for drop_id, drop in changes.drops.items():
            self._recent.pop(drop_id, None)
            if drop is not None and self._hands_on:
                self._recent[drop_id] = drop
        while len(self._recent) > RECENT_MAX:
            del self._recent[next(iter(self._recent))]
        _wake(self._drops, sorted(changes.drops))
        if changes.machines:
            _wake(self._machines, (*sorted(changes.machines), None))
        if changes.events:
            _wake(self._events, (None,))

    def publish_remote(self, changes: ChangeSet | None) -> None:
        """Wakes the subscribers to what a commit of another process changed.

        Args:
            changes: What it changed; None: it may be anything.
        """
        if changes is not None:
            self.publish(changes)
        else:
            self._recent.clear()
            for listener in self._listeners:
                listener(None)
            for listeners in (self._drops, self._machines):
                _wake(listeners, listeners)
        _wake(self._events, (None,))
        for wakeup in self._elsewhere:
            wakeup.add(None if changes is None else changes.machines)


def _wake(listeners: _Listeners, keys: Iterable[str | None]) -> None:
    for key in keys:
        for event in listeners.get(key, ()):
            event.set()
