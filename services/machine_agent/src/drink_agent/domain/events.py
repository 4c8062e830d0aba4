"""The dispenser's events and effects: what happens, and what is to be done about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from drink_agent.domain.evidence import Cause, Evidence, Outcome, Sensor
from drink_agent.domain.records import Entry, Result


@dataclass(frozen=True, slots=True)
class Start:
    """The agent has read its journal. The first event, and only once."""


@dataclass(frozen=True, slots=True)
class Command:
    """The frontend's command to run a slot's motor."""

    drop: str
    """Id of the drop."""
    slot: int
    """The machine's slot, from 1."""
    epoch: int
    """Epoch of the link on which the command was sent."""
    ttl_ms: int
    """Milliseconds after receipt during which the motor may be started."""
    received_ms: int
    """Time of receipt, in milliseconds since the host booted. The command may have been queued
    since."""
    traceparent: str = ""
    """The span of the command, as its header; empty if the drop is not traced."""


@dataclass(frozen=True, slots=True)
class Ack:
    """The frontend's acknowledgement that it has stored a result durably."""

    drop: str
    """Id of the drop."""
    revision: int
    """The revision that it stored."""


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The frontend has accepted the link."""

    epoch: int
    """Epoch of the link."""
    wanted: tuple[str, ...] = ()
    """Ids of the dispatched drops whose outcome the frontend does not have."""


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The link has ended."""


@dataclass(frozen=True, slots=True)
class BoardStatus:
    """The board's readiness and readings."""

    ready: bool = False
    """Whether the board answers, so that a motor command may be written. False after a silence
    until the board is proven idle."""
    sensors: Mapping[int, Sensor] = field(default_factory=lambda: MappingProxyType({}))
    """By slot number from 1; slots that never reported are missing. Kept while the board is
    lost."""
    temperature_celsius: float | None = None
    """None without a thermometer, and while the board is lost."""
    firmware_version: str = ""
    """Of the board; empty if the board does not tell it, or has not yet."""


@dataclass(frozen=True, slots=True)
class BoardOutcome:
    """The outcome of the outstanding motor command: exactly one for each command."""

    drop: str
    """Id of the drop."""
    cause: Cause
    """The reason for the outcome, `cause.outcome`."""
    evidence: Evidence
    """The lines and readings that prove it."""

    @property
    def outcome(self) -> Outcome:
        """The outcome."""
        return self.cause.outcome


@dataclass(frozen=True, slots=True)
class BoardLateEvidence:
    """Evidence about a motor command after its `BoardOutcome`.

    It may come several times for one command: readings that prove nothing, then an answer that
    does.
    """

    drop: str
    """Id of the drop."""
    cause: Cause
    """What the evidence shows; `cause.outcome` is UNKNOWN if it proves nothing."""
    evidence: Evidence
    """All lines and readings since the command."""

    @property
    def outcome(self) -> Outcome:
        """The outcome that the evidence shows."""
        return self.cause.outcome


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The agent shuts down: no further motor is started."""


BoardEvent = BoardStatus | BoardOutcome | BoardLateEvidence
LinkEvent = LinkUp | LinkDown | Command | Ack
Event = Start | LinkEvent | BoardEvent | Tick | Stop


@dataclass(frozen=True, slots=True)
class Append:
    """Append an entry to the journal; a later `Sync` makes it durable."""

    entry: Entry
    """The entry, with the journal's next number."""


@dataclass(frozen=True, slots=True)
class Sync:
    """Make all appended entries durable before the effects after this one are executed."""


@dataclass(frozen=True, slots=True)
class Dispense:
    """Write the motor command to the board."""

    drop: str
    """Id of the drop."""
    slot: int
    """The machine's slot, from 1."""
    start_by_ms: int
    """When the command's time to live ends. If the sync took longer, nothing is written and the
    outcome is EXPIRED."""


@dataclass(frozen=True, slots=True)
class Recall:
    """Give the board the last command of an earlier run, which may still be answered."""

    drop: str
    """Id of the drop."""
    slot: int
    """The machine's slot, from 1."""
    sensor_before: Sensor
    """The slot's sensor before the command."""
    cause: Cause
    """Why the outcome is unknown; AGENT_RESTARTED if the command may not have been written."""
    age_ms: int
    """Milliseconds since the command; 0 if that is not known."""


@dataclass(frozen=True, slots=True)
class Report:
    """Send a durable result to the frontend."""

    sequence: int
    """Number of its entry in the journal."""
    result: Result
    """The result."""


@dataclass(frozen=True, slots=True)
class ReportNotReceived:
    """Report to the frontend that the journal has no entry of a drop."""

    drop: str
    """Id of the drop."""


class Disregard(StrEnum):
    """Why an event was ignored."""

    STALE_EPOCH = "stale_epoch"
    """A command with an epoch that is not the current link's."""
    REPEATED = "repeated"
    """A command for a drop that has no result yet."""
    OUTBOX_FULL = "outbox_full"
    """A command while too many results are not acknowledged."""
    ACK_UNMATCHED = "ack_unmatched"
    """An acknowledgement that does not match a reported result."""
    OUTCOME_UNMATCHED = "outcome_unmatched"
    """An outcome for a drop that is not at the board."""
    EVIDENCE_UNUSED = "evidence_unused"
    """Late evidence that shows nothing new, or about an unknown drop."""


@dataclass(frozen=True, slots=True)
class Disregarded:
    """Log that an event was ignored."""

    reason: Disregard
    """Why."""
    drop: str
    """Id of the event's drop."""


Effect = Append | Sync | Recall | Dispense | Report | ReportNotReceived | Disregarded
