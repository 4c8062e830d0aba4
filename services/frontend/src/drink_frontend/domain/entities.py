"""What the frontend keeps, as plain values. Times are milliseconds since the epoch, UTC."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.ledger import AccountKind, TransferKind
from drink_frontend.domain.stock import Sensor


class Proof(StrEnum):
    """By what somebody logged in."""

    PASSWORD = "PASSWORD"  # noqa: S105
    IBUTTON = "IBUTTON"


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the ledger; a user's, or one of the books' own.

    Attributes:
        name: Unique for ever.
        kind: What it stands for.
        admin: Whether its owner is an administrator.
        closed: Whether it may no longer log in or pay.
        password_hash: argon2 hash; None where no password logs in.
        posted: Credits owned, held ones counted.
        held: Credits held for drops that are not settled.
        since_ms: When it was made, or added again after it was closed.
    """

    name: str
    kind: AccountKind
    admin: bool
    closed: bool
    password_hash: str | None = field(repr=False)
    posted: int
    held: int
    since_ms: int = 0

    @property
    def available(self) -> int:
        """Credits that can be spent."""
        return self.posted - self.held


@dataclass(frozen=True, slots=True)
class Slot:
    """One column of items in a machine. Counts are items; `price` is in credits."""

    machine: str
    number: int
    item: str
    price: int
    enabled: bool
    on_hand: int
    reserved: int
    dispensed: int
    unknown: int
    sensor: Sensor
    updated_ms: int

    @property
    def available(self) -> int:
        """Items that can be bought now: none while the sensor reads empty."""
        return 0 if self.sensor is Sensor.EMPTY else self.on_hand


class Reach(StrEnum):
    """How far a command to a machine could get right now."""

    OFFLINE = "OFFLINE"
    """No agent is connected."""
    BOARD_DOWN = "BOARD_DOWN"
    """An agent is connected, its board does not answer."""
    READY = "READY"
    """The board answers."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A vending machine and its slots, in order of their numbers.

    Attributes:
        name: The id, also the alias that sessions choose it by.
        display_name: For people.
        location: Where it stands.
        enabled: Whether it sells.
        epoch: Number of its newest link; 0 before the first.
        journal_id: Its agent's journal; None before the first link.
        journal_sequence: Highest journal record number seen from that journal.
        temperature_celsius: From its board; None without a thermometer.
        reach: How far a command could get, as reported by the frontend that has its newest link.
        slots: Its slots, as far as they were read with it.
    """

    name: str
    display_name: str
    location: str
    enabled: bool
    epoch: int
    journal_id: str | None
    journal_sequence: int
    temperature_celsius: float | None
    reach: Reach = Reach.OFFLINE
    slots: tuple[Slot, ...] = ()

    def slot(self, number: int) -> Slot | None:
        """The slot with that number."""
        return next((slot for slot in self.slots if slot.number == number), None)


@dataclass(frozen=True, slots=True)
class LinkOwnership:
    """What is kept of a machine's newest link.

    Attributes:
        machine: The machine.
        epoch: The link's number.
        frontend: Id of the frontend that has it; None if none has.
        reach: How far a command gets on it; OFFLINE if no frontend has it.
    """

    machine: str
    epoch: int
    frontend: str | None
    reach: Reach


@dataclass(frozen=True, slots=True)
class FrontendInstance:
    """One frontend that serves on this database.

    Attributes:
        id: Of its process, unique for ever.
        name: For people: host and port.
        version: Of its program.
        started_ms: When it started.
        beats: How often it has said that it is there; 0 before the first time.
    """

    id: str
    name: str
    version: str
    started_ms: int
    beats: int = 0


@dataclass(frozen=True, slots=True)
class Drop:
    """One purchase of one item.

    Attributes:
        id: Unique for ever.
        sequence: Order of reservation, counted by the database.
        account: The buyer.
        request_id: The request that made it, unique per account.
        fingerprint: What was asked for; the same request_id with another one is refused.
        machine: Where.
        slot: Slot number.
        item: What the slot held at reservation.
        price: At reservation, in credits.
        hold_id: The transfer that holds the price.
        state: Where it stands.
        cause: Why.
        decided_by: The operator who decided it; None unless one did.
        epoch: Link it was dispatched on; None before.
        journal_id: Journal of the agent it was dispatched to; None before.
        revision: Highest revision of its agent's result taken; 0 before the first.
        created_ms: When it was reserved.
        not_before_ms: Before when it is not dispatched; None for an immediate drop.
        dispatched_ms: When it was dispatched; None before.
        settled_ms: When it was first DISPENSED, NOT_DISPENSED or UNKNOWN; None before.
    """

    id: str
    sequence: int
    account: str
    request_id: str
    fingerprint: str
    machine: str
    slot: int
    item: str
    price: int
    hold_id: str
    state: State
    cause: Cause
    decided_by: str | None
    epoch: int | None
    journal_id: str | None
    revision: int
    created_ms: int
    not_before_ms: int | None
    dispatched_ms: int | None
    settled_ms: int | None


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits for a machine.

    Attributes:
        length: How many of its drops are RESERVED or DISPATCHED.
        at_motor: Whether one of them is DISPATCHED.
    """

    length: int
    at_motor: bool


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One line of one account's ledger: a transfer, seen from that account.

    Attributes:
        sequence: Order in the ledger.
        transfer_id: The transfer.
        kind: What it does.
        credits: Positive into the account, negative out of it.
        counterpart: The other account.
        drop_id: The drop it belongs to, if any.
        created_ms: When it was written.
    """

    sequence: int
    transfer_id: str
    kind: TransferKind
    credits: int
    counterpart: str
    drop_id: str | None
    created_ms: int


class AuditKind(StrEnum):
    """What an audit record tells."""

    DROP_MOVED = "DROP_MOVED"
    """A drop changed its state."""
    DROP_CONTRADICTED = "DROP_CONTRADICTED"
    """Evidence came in against a settled drop."""
    ORPHAN_RESULT = "ORPHAN_RESULT"
    """An agent reported a drop that the database does not know."""
    LINK_OPENED = "LINK_OPENED"
    """A machine's agent connected."""
    JOURNAL_REPLACED = "JOURNAL_REPLACED"
    """A machine's agent came back with another journal, or an older state of it."""
    TWO_AGENTS = "TWO_AGENTS"
    """Two agents run with one machine's token or certificate, and take the link in turn."""
    SENSOR_CONTRADICTED = "SENSOR_CONTRADICTED"
    """A slot's sensor disagrees with its count or with the board's word, or an agent refused a slot
    that its board does not list."""
    SLOT_UNLISTED = "SLOT_UNLISTED"
    """A machine sells a slot that its board does not list."""
    STOCK_CHANGED = "STOCK_CHANGED"
    """A person changed a slot."""
    ACCOUNT_CHANGED = "ACCOUNT_CHANGED"
    """A person created, closed or changed an account."""
    MACHINE_CHANGED = "MACHINE_CHANGED"
    """A person created or changed a machine."""
    NOTE = "NOTE"
    """A person's own words."""

    @property
    def alarming(self) -> bool:
        """Whether an operator should look at it."""
        return self in {
            AuditKind.DROP_CONTRADICTED,
            AuditKind.ORPHAN_RESULT,
            AuditKind.JOURNAL_REPLACED,
            AuditKind.TWO_AGENTS,
            AuditKind.SENSOR_CONTRADICTED,
            AuditKind.SLOT_UNLISTED,
        }


class AlarmKind(StrEnum):
    """What an alarm counts."""

    LINK_FLOODED = "LINK_FLOODED"
    """A link was ended because its agent sent too much."""
    LINK_REFUSED = "LINK_REFUSED"
    """A link was refused because the machine's agents connect too often."""
    RECORDS_COUNTED = "RECORDS_COUNTED"
    """The agent caused more audit records than are kept; these were counted instead."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """How often something happened at a machine, and its last occurrence.

    Attributes:
        machine: The machine.
        kind: What happened.
        first_ms: When it happened first.
        last_ms: When it happened last.
        count: How often.
        facts: About the last time. JSON values; no secrets.
    """

    machine: str
    kind: AlarmKind
    first_ms: int
    last_ms: int
    count: int
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One line of the audit log. Never changed or removed.

    Attributes:
        kind: What it tells.
        at_ms: When.
        actor: Who caused it: an account, `agent:<machine>`, or `frontend`.
        drop_id: The drop it is about, if any.
        machine: The machine it is about, if any.
        account: The account it is about, if any.
        facts: What is needed to understand it: states, cause, evidence. JSON values; no secrets.
        sequence: Order in the log, counted by the database; 0 before it is written.
    """

    kind: AuditKind
    at_ms: int
    actor: str
    drop_id: str | None = None
    machine: str | None = None
    account: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    sequence: int = 0
