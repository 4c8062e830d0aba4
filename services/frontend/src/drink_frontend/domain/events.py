"""Events: what a unit of work changed that somebody may see, with the state after the change."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from drink_frontend.domain.alarms import Alarm, drop_subject, machine_subject
from drink_frontend.domain.entities import Account, AuditKind, AuditRecord, Drop, Machine, Slot
from drink_frontend.domain.items import Item
from drink_frontend.domain.kiosks import Kiosk

State: TypeAlias = Drop | Account | Machine | Slot | Item | Alarm | Kiosk | AuditRecord
"""What an event shows: a resource as it was after the change, or a record about a drop."""


class EventKind(StrEnum):
    """What changed. Each kind has one type of state."""

    DROP = "DROP"
    """A drop was placed, moved or refunded."""
    DROP_RECORD = "DROP_RECORD"
    """A buyer reported a drop, or evidence contradicts one. The drop itself did not change."""
    CREDITS = "CREDITS"
    """A user's credits were moved, held or set free."""
    ACCOUNT = "ACCOUNT"
    """A user's account was created, renamed, changed, closed or erased."""
    MACHINE = "MACHINE"
    """A machine was created or changed by a person."""
    REACH = "REACH"
    """A machine's agent or board became reachable, or no longer is, or has another version."""
    TEMPERATURE = "TEMPERATURE"
    """A machine's thermometer showed another temperature."""
    SLOT = "SLOT"
    """A slot was created, or its item, price or service changed."""
    STOCK = "STOCK"
    """A slot's counts or its sensor changed."""
    SLOT_DELETED = "SLOT_DELETED"
    """A slot was deleted; the state is what it was before, without its link to an item."""
    ITEM = "ITEM"
    """An item was created or changed."""
    ITEM_DELETED = "ITEM_DELETED"
    """An item was deleted; the state is what it was before."""
    ALARM = "ALARM"
    """An alarm was opened, repeated, acknowledged or closed."""
    KIOSK = "KIOSK"
    """A kiosk was made, paired or ended."""


PUBLIC_KINDS = frozenset(
    {
        EventKind.MACHINE,
        EventKind.REACH,
        EventKind.TEMPERATURE,
        EventKind.SLOT,
        EventKind.STOCK,
        EventKind.SLOT_DELETED,
        EventKind.ITEM,
        EventKind.ITEM_DELETED,
    }
)
"""Kinds whose state everybody may see."""

OWNERS_KINDS = frozenset({EventKind.DROP, EventKind.CREDITS, EventKind.ACCOUNT})
"""Kinds that the account concerned and administrators may see. All others are administrators'."""

RECORDED_KINDS = frozenset({AuditKind.DROP_REPORTED, AuditKind.DROP_CONTRADICTED})
"""Audit records that are shown as DROP_RECORD: those about a drop that did not change with them."""


@dataclass(frozen=True, slots=True)
class Event:
    """One change.

    Attributes:
        kind: What changed.
        state: The resource after the change.
        actor: Who caused it: an account, by its id where it is noted and by its name where it is
            read; `agent:<machine>`, `frontend`, or `operator:<name>`; None if that is not known.
    """

    kind: EventKind
    state: State
    actor: str | None = None

    @property
    def machine(self) -> str | None:
        """Name of the machine concerned, if any."""
        state = self.state
        if isinstance(state, Machine):
            return state.name
        return None if isinstance(state, Account | Item) else state.machine

    @property
    def account(self) -> str | None:
        """Id of the account concerned, if any."""
        state = self.state
        if isinstance(state, Account):
            return state.id
        return state.account if isinstance(state, Drop | AuditRecord) else None


@dataclass(slots=True)
class EventNotes:
    """The events of one unit of work, as its tables report them."""

    _noted: list[tuple[EventKind, State]] = field(default_factory=list)
    _actors: dict[str, str] = field(default_factory=dict)

    def note(self, kind: EventKind, state: State) -> None:
        """Notes a change."""
        self._noted.append((kind, state))

    def acted(self, actor: str, subject: str) -> None:
        """Notes who caused the changes of a subject; see `drop_subject` and its relatives."""
        self._actors[subject] = actor

    def clear(self) -> None:
        """Forgets what was noted."""
        self._noted.clear()
        self._actors.clear()

    def events(self) -> list[Event]:
        """The events, in the order in which they were noted."""
        return [
            Event(kind, state, self._actors.get(_subject(state))) for kind, state in self._noted
        ]


@dataclass(frozen=True, slots=True)
class EventBatch:
    """The events of one commit, as they are stored.

    Attributes:
        sequence: Order of the commit; gaps are possible.
        at_ms: When it was written, in milliseconds since the epoch.
        events: Its events, in the order of its units of work.
        size: Characters that it takes in the database, for limits.
    """

    sequence: int
    at_ms: int
    events: tuple[Event, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place between two events.

    The mark and the time show that the batch is the one that the cursor was issued for: another
    database, or one that was restored, may have another batch of the same sequence.

    Attributes:
        mark: Of the database, changed when a backup of it is restored.
        sequence: The batch.
        at_ms: When that batch was written.
        position: Events of the batch before the cursor.
    """

    mark: str
    sequence: int
    at_ms: int
    position: int


def account_subject(account_id: str) -> str:
    """An account, for `EventNotes.acted`."""
    return f"accounts/{account_id}"


def item_subject(number: int) -> str:
    """An item, for `EventNotes.acted`."""
    return f"items/{number}"


def _subject(state: State) -> str:
    match state:
        case Drop():
            subject = drop_subject(state.id)
        case Account():
            subject = account_subject(state.id)
        case Machine():
            subject = machine_subject(state.name)
        case Alarm():
            subject = machine_subject(state.machine) if state.machine else state.subject
        case Slot() | Kiosk():
            subject = machine_subject(state.machine)
        case Item():
            subject = item_subject(state.number)
        case AuditRecord():
            subject = drop_subject(state.drop_id or "")
    return subject
