"""Events: who may see which, from which cursor on, and how long they are kept."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace

import structlog

from drink_frontend.domain.durations import HOUR_MS
from drink_frontend.domain.entities import Account
from drink_frontend.domain.errors import (
    AccountNotFoundError,
    AdminRequiredError,
    CursorExpiredError,
    CursorForeignError,
    MachineNotFoundError,
    NotOwnerError,
    StorageUnavailableError,
    TokenInvalidError,
    WatchTooSlowError,
)
from drink_frontend.domain.events import (
    OWNERS_KINDS,
    PUBLIC_KINDS,
    Cursor,
    Event,
    EventBatch,
    EventKind,
)
from drink_frontend.domain.ledger import AccountKind
from drink_frontend.domain.ports import Clock
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.event_feed import BATCHES_MAX, EventFeed, EventWatcher
from drink_frontend.usecases.settings import EventSettings

log = structlog.get_logger(__name__)

EVENTS_MAX = 100
"""Most events that are handed over at once."""

PROGRESS_S = 60.0
"""Seconds after which a watcher gets a newer cursor although no event passed its filters, so that
its cursor does not expire while it watches."""

EXPIRE_INTERVAL_S = 60.0
"""Seconds between two deletions of old events."""

EXPIRED_AT_ONCE = 500
"""Batches deleted in one unit of work, which takes some milliseconds."""

LISTED_BATCHES_MAX = 500
"""Most batches that are searched for a page of events, which takes some 50 ms."""

Turn = Callable[[int], AbstractAsyncContextManager[None]]
"""Waits until a number of batches may be read for a caller who is behind."""


@dataclass(frozen=True, slots=True)
class EventSelection:
    """Which events are wanted.

    Attributes:
        kinds: Of these kinds; empty for all that the viewer may see.
        machine: About this machine; None for all.
        account: About the account of this name or id; None for all.
    """

    kinds: frozenset[EventKind] = frozenset()
    machine: str | None = None
    account: str | None = None

    def matches(self, event: Event) -> bool:
        """Whether an event is among them."""
        return (
            (not self.kinds or event.kind in self.kinds)
            and self.machine in (None, event.machine)
            and self.account in (None, event.account)
        )


ALL_EVENTS = EventSelection()
"""Every event that the viewer may see."""


@dataclass(frozen=True, slots=True)
class EventUpdate:
    """Some events.

    Attributes:
        events: Each with the time of its commit and the cursor after it.
        cursor: The place after them, and after others that were left out.
    """

    events: tuple[tuple[Event, int, Cursor], ...]
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events of the past.

    Attributes:
        events: The newest first, each with the time of its commit and the cursor after it.
        present: The place after the newest of all events.
        older: What to list the events before; None if there are none.
    """

    events: Sequence[tuple[Event, int, Cursor]]
    present: Cursor
    older: Cursor | None


@dataclass(frozen=True, slots=True)
class _Start:
    """What one snapshot says at the beginning of a watch."""

    viewer: Account
    selection: EventSelection
    cursor: Cursor
    rest: EventBatch
    """The batch of the cursor, of which some events may be left."""
    newest: Cursor
    """The place after the newest of all events."""


class Events:
    """The log of events.

    Args:
        storage: The database.
        clock: Time.
        settings: Limits.
    """

    def __init__(self, storage: Database, clock: Clock, settings: EventSettings) -> None:
        self._storage = storage
        self._clock = clock
        self._keep_ms = settings.keep_hours * HOUR_MS
        self._feed = EventFeed(storage, settings.memory_bytes)

    async def watch(
        self,
        viewer: Account,
        selection: EventSelection = ALL_EVENTS,
        cursor: Cursor | None = None,
        *,
        turn: Turn = lambda _: contextlib.nullcontext(),
    ) -> AsyncGenerator[EventUpdate, None]:
        """The selected events after a cursor that the viewer may see, each once and in order.

        The first update has no events. A watcher that does not take the updates in time is ended,
        and so is that of an administrator who no longer is one.

        Args:
            viewer: Who watches.
            selection: Which events are wanted.
            cursor: Where to begin; None for now.
            turn: Delays the reading of events of the past.

        Raises:
            AdminRequiredError: a kind is for administrators.
            NotOwnerError: the account is another one.
            MachineNotFoundError, AccountNotFoundError: there is no such machine or account.
            CursorExpiredError: events after the cursor are no longer kept.
            CursorForeignError: the cursor is of another database.
            WatchTooSlowError: events happened faster than they were taken.
            StorageUnavailableError: the database does not answer.
        """
        _check_rights(viewer, selection)
        start = await self._storage.read(lambda tx: _start(tx, viewer, selection, cursor))
        yield EventUpdate((), start.cursor)
        with self._feed.joined(start.newest.sequence) as watcher:
            reader = _Reader(self._storage, self._feed, watcher, start, turn)
            async with contextlib.aclosing(reader.updates()) as updates:
                async for update in updates:
                    yield update

    async def list(
        self,
        viewer: Account,
        selection: EventSelection = ALL_EVENTS,
        before: Cursor | None = None,
        *,
        limit: int = EVENTS_MAX,
    ) -> EventPage:
        """The selected events of the past that the viewer may see, the newest first.

        Of rare events a page may have few or none, although `older` leads to some.

        Args:
            viewer: Who asks.
            selection: Which events are wanted.
            before: Cursor of the event whose predecessors are wanted; None for the newest.
            limit: Most events.

        Raises:
            AdminRequiredError: a kind is for administrators.
            NotOwnerError: the account is another one.
            MachineNotFoundError, AccountNotFoundError: there is no such machine or account.
            CursorExpiredError: the event and those before it are no longer kept.
            CursorForeignError: the cursor is of another database.
            StorageUnavailableError: the database does not answer.
        """
        _check_rights(viewer, selection)
        return await self._storage.read(lambda tx: _page(tx, viewer, selection, before, limit))

    async def run(self) -> None:
        """Deletes old events, until cancelled."""
        while True:
            try:
                await self.expire()
            except StorageUnavailableError:
                log.warning("events_not_expired")
            await asyncio.sleep(EXPIRE_INTERVAL_S)

    async def expire(self) -> None:
        """Deletes the events that are older than they are kept.

        Raises:
            StorageUnavailableError: the database does not answer.
        """
        before_ms = self._clock.now_ms() - self._keep_ms
        while await self._storage.read(lambda tx: _has_old(tx, before_ms)):
            removed = await self._storage.write(
                lambda tx: tx.events.remove_before(before_ms, EXPIRED_AT_ONCE)
            )
            if not removed:
                return

    async def end_cursors(self, mark: str) -> None:
        """Makes all cursors of before those of another database, after a restore.

        Args:
            mark: A new random mark.
        """
        await self._storage.write(lambda tx: tx.events.set_mark(mark))


class _Reader:
    """The updates of one watch."""

    def __init__(
        self,
        storage: Database,
        feed: EventFeed,
        watcher: EventWatcher,
        start: _Start,
        turn: Turn,
    ) -> None:
        self._storage = storage
        self._feed = feed
        self._watcher = watcher
        self._start = start
        self._turn = turn
        self._place = start.cursor
        self._is_live = False

    async def updates(self) -> AsyncGenerator[EventUpdate, None]:
        """The events after the cursor, then those that happen."""
        loop = asyncio.get_running_loop()
        batches: Sequence[EventBatch] = (self._start.rest,)
        sent, sent_at = self._place, loop.time()
        while True:
            for update in self._select(batches):
                yield update
                sent, sent_at = update.cursor, loop.time()
            if sent != self._place and loop.time() - sent_at >= PROGRESS_S:
                yield EventUpdate((), self._place)
                sent, sent_at = self._place, loop.time()
            batches = await self._next()
            if batches:
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if sent == self._place else PROGRESS_S):
                    await self._watcher.woken.wait()
            self._watcher.woken.clear()
            if self._watcher.error is not None:
                raise self._watcher.error

    async def _next(self) -> Sequence[EventBatch]:
        """The next batches; none if all that is there was taken."""
        batches = self._feed.after(self._place.sequence)
        if batches is not None:
            self._is_live = True
            return batches
        if self._is_live:
            raise WatchTooSlowError("events happen faster than you read; go on from your cursor")
        place = self._place.sequence
        async with self._turn(BATCHES_MAX):
            return await self._storage.read(lambda tx: _kept_after(tx, place))

    def _select(self, batches: Sequence[EventBatch]) -> Iterator[EventUpdate]:
        """The updates from some batches; moves the place behind each of them."""
        found: list[tuple[Event, int, Cursor]] = []
        mark = self._place.mark
        for batch in batches:
            is_resumed = batch.sequence == self._place.sequence
            for position, event in enumerate(batch.events, 1):
                if is_resumed and position <= self._start.cursor.position:
                    continue
                if self._is_demoted(batch, event):
                    if found:
                        yield EventUpdate(tuple(found), found[-1][2])
                    raise AdminRequiredError("you are no longer an administrator; watch again")
                shown = _shown(event, self._start.viewer, self._start.selection)
                if shown is not None:
                    cursor = Cursor(mark, batch.sequence, batch.at_ms, position)
                    found.append((shown, batch.at_ms, cursor))
                if len(found) == EVENTS_MAX:
                    self._place = cursor
                    yield EventUpdate(tuple(found), cursor)
                    found = []
            self._place = Cursor(mark, batch.sequence, batch.at_ms, len(batch.events))
        if found:
            yield EventUpdate(tuple(found), self._place)

    def _is_demoted(self, batch: EventBatch, event: Event) -> bool:
        viewer, state = self._start.viewer, event.state
        return (
            viewer.admin
            and batch.sequence > self._start.newest.sequence
            and event.kind is EventKind.ACCOUNT
            and isinstance(state, Account)
            and state.id == viewer.id
            and not state.admin
        )


def _shown(event: Event, viewer: Account, selection: EventSelection) -> Event | None:
    """The event as the viewer may see it; None if it is not for the viewer."""
    if not selection.matches(event):
        return None
    if viewer.admin or (event.kind in OWNERS_KINDS and event.account == viewer.id):
        return event
    # Who bought from a slot is nobody else's business.
    return replace(event, actor=None) if event.kind in PUBLIC_KINDS else None


def _check_rights(viewer: Account, selection: EventSelection) -> None:
    if viewer.admin:
        return
    if not selection.kinds <= PUBLIC_KINDS | OWNERS_KINDS:
        raise AdminRequiredError("only administrators see events of this kind")
    if (
        selection.account is not None
        and selection.account.lower() != viewer.name.lower()
        and selection.account != viewer.id
    ):
        raise NotOwnerError("only administrators see the events of others")


def _start(
    tx: Transaction, viewer: Account, selection: EventSelection, cursor: Cursor | None
) -> _Start:
    # Read in the snapshot of the newest batch: later changes of the rights are events after it.
    present = tx.accounts.get(viewer.id)
    if present is None or present.closed:
        raise TokenInvalidError("the account is closed")
    _check_rights(present, selection)
    if selection.machine is not None and tx.machines.alone(selection.machine) is None:
        raise MachineNotFoundError("no such machine")
    if selection.account is not None:
        named = tx.accounts.find(selection.account)
        if named is None or named.kind is not AccountKind.USER:
            raise AccountNotFoundError("no such account")
        if not present.admin and named.id != present.id:
            raise NotOwnerError("only administrators see the events of others")
        selection = replace(selection, account=named.id)
    mark, batch = tx.events.mark(), tx.events.newest()
    newest = Cursor(mark, batch.sequence, batch.at_ms, len(batch.events))
    if cursor is None:
        return _Start(present, selection, newest, batch, newest)
    return _Start(present, selection, cursor, _batch_of(tx, cursor, mark), newest)


def _page(
    tx: Transaction,
    viewer: Account,
    selection: EventSelection,
    before: Cursor | None,
    limit: int,
) -> EventPage:
    start = _start(tx, viewer, selection, before)
    last: int | None = start.cursor.position - (before is not None)
    found: list[tuple[Event, int, Cursor]] = []
    batches: Sequence[EventBatch] = (start.rest,)
    looked_at, place = 0, start.cursor
    while batches:
        for batch in batches:
            for position in range(len(batch.events) if last is None else last, 0, -1):
                place = Cursor(place.mark, batch.sequence, batch.at_ms, position)
                shown = _shown(batch.events[position - 1], start.viewer, start.selection)
                if shown is not None:
                    found.append((shown, batch.at_ms, place))
                if len(found) == limit:
                    return EventPage(found, start.newest, place)
            last, looked_at = None, looked_at + 1
            place = Cursor(place.mark, batch.sequence, batch.at_ms, min(1, len(batch.events)))
        # More than the batch that the page begins in, so that each page leads further back.
        if looked_at > LISTED_BATCHES_MAX:
            return EventPage(found, start.newest, place)
        batches = tx.events.before(place.sequence, BATCHES_MAX)
    return EventPage(found, start.newest, None)


def _batch_of(tx: Transaction, cursor: Cursor, mark: str) -> EventBatch:
    """The batch of a cursor, if it is the one that the cursor was issued for."""
    if cursor.mark != mark:
        raise CursorForeignError("the cursor is of another house, or from before a restore")
    batch = tx.events.get(cursor.sequence)
    if batch is None:
        oldest, _ = tx.events.ends()
        if cursor.sequence < oldest:
            raise CursorExpiredError("events after the cursor are no longer kept")
        raise CursorForeignError("there is no such event; the database was restored")
    if batch.at_ms != cursor.at_ms or cursor.position > len(batch.events):
        raise CursorForeignError("the event is another one; the database was restored")
    return batch


def _kept_after(tx: Transaction, sequence: int) -> Sequence[EventBatch]:
    oldest, _ = tx.events.ends()
    # Between a deleted batch and the oldest one there may have been others.
    if sequence < oldest:
        raise CursorExpiredError("events after the cursor are no longer kept")
    return tx.events.after(sequence, BATCHES_MAX)


def _has_old(tx: Transaction, before_ms: int) -> bool:
    oldest, newest = tx.events.ends()
    batch = tx.events.get(oldest)
    return oldest < newest and batch is not None and batch.at_ms < before_ms
