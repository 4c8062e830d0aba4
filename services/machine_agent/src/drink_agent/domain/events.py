"""What the dispenser is told and what it wants done."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from drink_agent.domain.evidence import Cause, Evidence, Outcome, Sensor
from drink_agent.domain.records import Entry, Result


@dataclass(frozen=True, slots=True)
class Start:
    """The agent has read its journal; first event and only once."""


@dataclass(frozen=True, slots=True)
class Command:
    """The frontend wants a slot's motor run."""

    drop: str
    """Id of the drop."""
    slot: int
    """The machine's slot, from 1."""
    epoch: int
    """The epoch of the link it came on."""
    ttl_ms: int
    """Milliseconds from receipt after which the motor may not be started."""


@dataclass(frozen=True, slots=True)
class Ack:
    """The frontend holds a result durably."""

    drop: str
    """Id of the drop."""
    revision: int
    """The revision it took."""


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The frontend took the link."""

    epoch: int
    """Number of the link."""
    wanted: tuple[str, ...] = ()
    """Dispatched drops whose outcome the frontend does not have."""


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The link is gone."""


@dataclass(frozen=True, slots=True)
class BoardStatus:
    """What the board says of itself."""

    ready: bool
    """Whether a motor command may be written now."""
    sensors: Mapping[int, Sensor] = field(default_factory=lambda: MappingProxyType({}))
    """By slot; slots that have not reported are missing."""
    temperature_celsius: float | None = None
    """None without a thermometer."""


@dataclass(frozen=True, slots=True)
class BoardOutcome:
    """The outcome of the command outstanding at the board."""

    drop: str
    """Id of the drop."""
    outcome: Outcome
    """What is known about the motor."""
    cause: Cause
    """Why."""
    evidence: Evidence
    """What passed between agent and board."""


@dataclass(frozen=True, slots=True)
class BoardLateEvidence:
    """What became known of a command after its outcome had been decided."""

    drop: str
    """Id of the drop."""
    outcome: Outcome
    """What the evidence shows; UNKNOWN if it is more, and no proof."""
    cause: Cause
    """Why."""
    evidence: Evidence
    """What passed between agent and board."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The agent shuts down: nothing more is started."""


Event = (
    Start
    | Command
    | Ack
    | LinkUp
    | LinkDown
    | BoardStatus
    | BoardOutcome
    | BoardLateEvidence
    | Tick
    | Stop
)


@dataclass(frozen=True, slots=True)
class Append:
    """Add an entry to the journal; it need not be durable yet."""

    entry: Entry
    """The entry; its number is the journal's next."""


@dataclass(frozen=True, slots=True)
class Sync:
    """Make everything appended durable; the effects after this one wait for it."""


@dataclass(frozen=True, slots=True)
class Run:
    """Write the motor command to the board."""

    drop: str
    """Id of the drop."""
    slot: int
    """The machine's slot, from 1."""
    start_by_ms: int
    """When its time to start has run out. A sync before it may have taken as long; then nothing
    is written, and the outcome is NOT_DISPENSED with EXPIRED."""


@dataclass(frozen=True, slots=True)
class Recall:
    """Tell the board which command of an earlier run may still be answered."""

    drop: str
    """Id of the drop."""
    slot: int
    """The machine's slot, from 1."""
    sensor_before: Sensor
    """The slot's sensor before the command."""
    cause: Cause
    """Why its outcome is not known; AGENT_RESTARTED if nobody knows whether it was written."""
    age_ms: int
    """Milliseconds since the command; 0 if nobody knows."""


@dataclass(frozen=True, slots=True)
class Report:
    """Send a durable result to the frontend."""

    sequence: int
    """Number of its record in the journal."""
    result: Result
    """The result."""


@dataclass(frozen=True, slots=True)
class ReportNotReceived:
    """Tell the frontend that the journal does not know a drop."""

    drop: str
    """Id of the drop."""


class Disregard(StrEnum):
    """Why an event changed nothing."""

    STALE_EPOCH = "stale_epoch"
    """A command of a link that is no longer the current one."""
    REPEATED = "repeated"
    """A command for a drop that is already on its way."""
    OUTBOX_FULL = "outbox_full"
    """A command while the frontend owes too many acknowledgements."""
    ACK_UNMATCHED = "ack_unmatched"
    """An acknowledgement of a result that is not waiting for one."""
    OUTCOME_UNMATCHED = "outcome_unmatched"
    """An outcome for a drop that is not at the board."""
    EVIDENCE_UNUSED = "evidence_unused"
    """Late evidence that says nothing new, or of a drop that is not known."""


@dataclass(frozen=True, slots=True)
class Disregarded:
    """Note that an event changed nothing."""

    reason: Disregard
    """Why."""
    drop: str
    """Id of the drop it was about."""


Effect = Append | Sync | Recall | Run | Report | ReportNotReceived | Disregarded
