"""What the database stores, as plain values. Times are milliseconds since the epoch, UTC."""

from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.ledger import AccountKind, TransferKind
from drink_frontend.domain.stock import STOCK_MAX, Sensor

MS_MIN, MS_MAX = 1 - 2**63, 2**63 - 1
"""Times before and after all others: what a column of whole numbers can have."""


ID_BEGINS = "~"
"""What ids of users' accounts begin with, and names do not."""


class Proof(StrEnum):
    """How a client has logged in."""

    PASSWORD = "PASSWORD"  # noqa: S105
    IBUTTON = "IBUTTON"
    CARD = "CARD"
    PROVIDER = "PROVIDER"


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the ledger: a user's, the funding account, or a machine's sales account.

    Attributes:
        id: Names it in the books; never changes, and is never given out again.
        name: With which it logs in, unique but for case; the id once the name was erased.
        kind: Whose account it is.
        admin: Whether its owner is an administrator.
        closed: Whether it can no longer log in or pay.
        password_hash: Argon2 hash; None if no password can log in.
        posted: Credits owned, including held ones.
        held: Credits held for drops that are not settled.
        since_ms: When the account was created, or created again after it was closed.
        credit_limit: Credits that it may owe: how far `unheld` may go below zero.
        display_name: What to call its owner, for people; None for none.
    """

    id: str
    name: str
    kind: AccountKind
    admin: bool
    closed: bool
    password_hash: str | None = field(repr=False)
    posted: int
    held: int
    since_ms: int = 0
    credit_limit: int = 0
    display_name: str | None = None

    @property
    def is_erased(self) -> bool:
        """Whether its name was erased; no name begins like an id."""
        return self.name.startswith(ID_BEGINS)

    @property
    def unheld(self) -> int:
        """Credits owned and not held; below zero if some are owed."""
        return self.posted - self.held

    @property
    def available(self) -> int:
        """Credits that can be spent; 0 while more is owed than a limit that was lowered."""
        return max(0, self.unheld + self.credit_limit)


@dataclass(frozen=True, slots=True)
class Slot:
    """One column of items in a machine. Counts are items; `price` is in credits.

    A slot with an `item_number` sells the item of that number, and has its name and price.
    `capacity` is 0 if it is not known, and `low_stock_mark` 0 for none.
    """

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
    item_number: int | None = None
    capacity: int = 0
    low_stock_mark: int = 0

    @property
    def available(self) -> int:
        """Number of items that can be bought now; 0 while the sensor reports empty."""
        return 0 if self.sensor is Sensor.EMPTY else self.on_hand

    @property
    def low_stock(self) -> bool:
        """Whether the available items have come down to the mark."""
        return self.available <= self.low_stock_mark > 0

    @property
    def on_hand_max(self) -> int:
        """Most items that people may put in; items that drops return may exceed it."""
        return self.capacity or STOCK_MAX

    @property
    def etag(self) -> str:
        """16 hexadecimal digits, others whenever the item or a number of items is another."""
        state = f"{self.on_hand} {self.reserved} {self.dispensed} {self.unknown} {self.item}"
        return sha256(state.encode()).hexdigest()[:16]


class Reach(StrEnum):
    """How far a command to a machine would get now."""

    OFFLINE = "OFFLINE"
    """No agent is connected."""
    BOARD_DOWN = "BOARD_DOWN"
    """An agent is connected; its board does not answer."""
    READY = "READY"
    """The board answers."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A vending machine and its slots, in order of their numbers.

    Attributes:
        name: Its id, and its alias in sessions.
        display_name: Its name for people.
        location: Where it stands, for people.
        enabled: Whether it sells.
        epoch: Number of its newest link; 0 before the first.
        journal_id: Its agent's journal; None before the first link.
        journal_sequence: Highest record number seen of that journal.
        temperature_celsius: Reported by its board; None without a thermometer.
        reach: How far a command would get, as reported by the frontend that has its newest link.
        reach_ms: Since when; None if it has not changed since the machine was made, or since the
            upgrade from a version that did not keep it.
        temperature_ms: Since when the temperature is what it is; None if that is not known.
        agent_version: Of the agent that opened the newest link; None if that is not known.
        firmware_version: Of its board; None if the board does not report it.
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
    reach_ms: int | None = None
    temperature_ms: int | None = None
    agent_version: str | None = None
    firmware_version: str | None = None
    slots: tuple[Slot, ...] = ()

    def slot(self, number: int) -> Slot | None:
        """The slot with that number."""
        return next((slot for slot in self.slots if slot.number == number), None)


@dataclass(frozen=True, slots=True)
class LinkOwnership:
    """The frontend that has a machine's newest link.

    Attributes:
        machine: The machine's name.
        epoch: The link's number.
        frontend: Id of the frontend; None if no frontend has the link.
        reach: How far a command gets on the link; OFFLINE if no frontend has it.
    """

    machine: str
    epoch: int
    frontend: str | None
    reach: Reach


@dataclass(frozen=True, slots=True)
class Drop:
    """One purchase of one item.

    Attributes:
        id: Unique id.
        account: Id of the buyer's account.
        request_id: Id of the request that ordered it, unique per account.
        fingerprint: What was ordered; the same request_id with another one is refused.
        machine: Name of the machine.
        slot: Slot number.
        item: What the slot held at the reservation.
        price: Price at the reservation, in credits.
        hold_id: Id of the transfer that holds the price.
        state: Its state.
        cause: Why it is in that state.
        created_ms: When it was reserved.
        not_before_ms: Earliest time of its dispatch; None for an immediate drop.
        sequence: Order of reservation, counted by the database; 0 before it is stored.
        decided_by: The operator who decided its outcome; None unless one did.
        epoch: Number of the link on which it was dispatched; None before.
        journal_id: Journal of the agent to which it was dispatched; None before.
        revision: Highest revision of the agent's result that was accepted; 0 before the first.
        dispatched_ms: When it was dispatched; None before.
        settled_ms: When it first became DISPENSED, NOT_DISPENSED or UNKNOWN; None before.
        refunded: Credits that were given back after it was paid.
        buyer: Name of the buyer's account, for people.
        decider: Name of the operator who decided its outcome, for people; None unless one did.
        traceparent: The span that ordered it, as its header; None for a drop that is not traced.
    """

    id: str
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
    created_ms: int
    not_before_ms: int | None = None
    sequence: int = 0
    decided_by: str | None = None
    epoch: int | None = None
    journal_id: str | None = None
    revision: int = 0
    dispatched_ms: int | None = None
    settled_ms: int | None = None
    refunded: int = 0
    buyer: str = ""
    decider: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class DropSelection:
    """Which drops are wanted.

    Attributes:
        account: Of this buyer; None for all.
        states: In these states; empty for all.
        machine: Of this machine; None for all.
        slot: Of this slot of the machine; None for all.
        item: Of what was called so at the reservation; None for all.
        from_ms: Reserved at this time or later.
        before_ms: Reserved before this time.
    """

    account: str | None = None
    states: tuple[State, ...] = ()
    machine: str | None = None
    slot: int | None = None
    item: str | None = None
    from_ms: int = MS_MIN
    before_ms: int = MS_MAX

    def __post_init__(self) -> None:
        assert self.slot is None or self.machine is not None, "a slot is one of a machine"


ALL_DROPS = DropSelection()
"""Every drop."""


@dataclass(frozen=True, slots=True)
class Refund:
    """What was given back of a paid drop. A drop has one refund at most.

    Attributes:
        drop_id: The drop.
        transfer_id: The MOVE from the machine's sales account to the buyer.
        amount: Credits, 1 to the price.
        restocked: Whether the item was put back into its slot.
    """

    drop_id: str
    transfer_id: str
    amount: int
    restocked: bool


@dataclass(frozen=True, slots=True)
class Timings:
    """Where an agent's time for a drop went: milliseconds since it received the command.

    Attributes:
        commanded_ms: Until the journal had it and the board was commanded; None if it never was.
        answered_ms: Until the board's outcome; None without one.
        motor_ms: From the command on the wire to the board's answer; None without one.
        recorded_ms: Until the journal had the result.
        sent_ms: Until the result was sent.
    """

    commanded_ms: int | None
    answered_ms: int | None
    motor_ms: int | None
    recorded_ms: int
    sent_ms: int


@dataclass(frozen=True, slots=True)
class Result:
    """What a machine's agent reports of a drop.

    Attributes:
        drop_id: The drop.
        revision: Counts the agent's results of this drop, from 1.
        outcome: DISPENSED, NOT_DISPENSED or UNKNOWN.
        cause: Why.
        evidence: What it rests on. JSON values, kept as they came.
        journal_sequence: Number of the result's record in the agent's journal.
        traceparent: What came with the command, if the agent still knows it; else empty.
        timings: Where its time went; None if the agent does not tell.
    """

    drop_id: str
    revision: int
    outcome: State
    cause: Cause
    evidence: dict[str, Any]
    journal_sequence: int
    traceparent: str = ""
    timings: Timings | None = None


@dataclass(frozen=True, slots=True)
class Queue:
    """The drops that a machine has still to carry out.

    Attributes:
        length: Number of its drops that are RESERVED or DISPATCHED.
        at_motor: Whether one of them is DISPATCHED.
        of_buyer: Number of one account's drops that are SCHEDULED, RESERVED or DISPATCHED there.
    """

    length: int
    at_motor: bool
    of_buyer: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Where a drop without an outcome is in its machine's queue.

    Attributes:
        ahead: Drops of the machine that come before it, one at the motor included.
        expected_ms: Estimated milliseconds until its outcome; None if there is no estimate.
    """

    ahead: int
    expected_ms: int | None


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A transfer as an entry of one of its two accounts.

    Attributes:
        sequence: Order in the ledger.
        transfer_id: Id of the transfer.
        kind: Kind of the transfer.
        credits: Positive into the account, negative out of it.
        counterpart: Name of the other account.
        drop_id: The drop that it belongs to; None for a MOVE that is no refund.
        created_ms: When the transfer was written.
        actor: Name of who requested a MOVE; None for other kinds.
        reason: Why, in the actor's words; None for none.
        item: What the drop bought; None without a drop.
    """

    sequence: int
    transfer_id: str
    kind: TransferKind
    credits: int
    counterpart: str
    drop_id: str | None
    created_ms: int
    actor: str | None = None
    reason: str | None = None
    item: str | None = None

    @property
    def posted_change(self) -> int:
        """Credits that it adds to what the account owns."""
        return self.credits if self.kind in {TransferKind.MOVE, TransferKind.POST} else 0

    @property
    def held_change(self) -> int:
        """Credits that it adds to what is held of the account's, for the account that pays."""
        match self.kind:
            case TransferKind.HOLD:
                return -self.credits
            case TransferKind.POST | TransferKind.VOID:
                return self.credits
            case TransferKind.MOVE:
                return 0


@dataclass(frozen=True, slots=True)
class EntrySelection:
    """Which entries of an account are wanted.

    Attributes:
        kinds: Of these kinds; empty for all.
        from_ms: Written at this time or later.
        before_ms: Written before this time.
    """

    kinds: tuple[TransferKind, ...] = ()
    from_ms: int = 0
    before_ms: int = MS_MAX


ALL_ENTRIES = EntrySelection()
"""Every entry of an account."""


class AuditKind(StrEnum):
    """What an audit record is about."""

    DROP_MOVED = "DROP_MOVED"
    """A drop changed its state."""
    DROP_REFUNDED = "DROP_REFUNDED"
    """Credits of a paid drop were given back."""
    DROP_REPORTED = "DROP_REPORTED"
    """A buyer said what became of a drop. It decides nothing."""
    DROP_CONTRADICTED = "DROP_CONTRADICTED"
    """Evidence was reported against a settled drop."""
    ORPHAN_RESULT = "ORPHAN_RESULT"
    """An agent reported a drop that is not in the database."""
    LINK_OPENED = "LINK_OPENED"
    """A machine's agent connected."""
    JOURNAL_REPLACED = "JOURNAL_REPLACED"
    """A machine's agent connected with another journal, or with an older state of its journal."""
    TWO_AGENTS = "TWO_AGENTS"
    """Two agents use one machine's token or certificate, and replace each other's link."""
    SENSOR_CONTRADICTED = "SENSOR_CONTRADICTED"
    """A slot's sensor disagrees with its count or with the board's answer, or an agent refused a
    slot that its board does not list."""
    SLOT_UNLISTED = "SLOT_UNLISTED"
    """A machine sells a slot that its board does not list."""
    STOCK_CHANGED = "STOCK_CHANGED"
    """A person changed a slot."""
    ACCOUNT_CHANGED = "ACCOUNT_CHANGED"
    """A person created, closed or changed an account."""
    MACHINE_CHANGED = "MACHINE_CHANGED"
    """A person created or changed a machine."""
    ITEM_CHANGED = "ITEM_CHANGED"
    """A person created, changed or deleted an item."""
    NOTE = "NOTE"
    """A text that a person has written."""
    ALARM_CHANGED = "ALARM_CHANGED"
    """A person acknowledged or closed an alarm."""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """A record of the audit log. Never changed or removed.

    Attributes:
        kind: What it is about.
        at_ms: When it happened.
        actor: Who caused it: an account, `agent:<machine>`, `kiosk:<number>`, or `frontend`. An
            account is stored by its id, and read by its name.
        drop_id: The drop concerned, if any.
        machine: The machine concerned, if any.
        account: The account concerned, if any; stored by its id, and read by its name.
        facts: Details: states, cause, evidence. JSON values; no secrets.
        sequence: Order in the log, counted by the database; 0 before it is stored.
    """

    kind: AuditKind
    at_ms: int
    actor: str
    drop_id: str | None = None
    machine: str | None = None
    account: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    sequence: int = 0
