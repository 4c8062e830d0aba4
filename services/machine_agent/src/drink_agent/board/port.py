"""The board as the rest of the agent sees it, and a driver as the board's shell sees it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from drink_agent.domain.evidence import Cause, Evidence, Outcome, Sensor


@dataclass(frozen=True, slots=True)
class DispenseEnded:
    """The one answer to every `dispense`."""

    drop_id: str
    """The drop it was called for."""
    outcome: Outcome
    """What became of it."""
    cause: Cause
    """Why; `cause.outcome` is `outcome`."""
    evidence: Evidence
    """What that rests on."""


@dataclass(frozen=True, slots=True)
class LateEvidence:
    """What became known of a drop after it ended UNKNOWN; never of another drop.

    It may come several times for a drop: readings that prove nothing, then an answer that does.
    """

    drop_id: str
    """The earlier drop."""
    outcome: Outcome
    """DISPENSED or NOT_DISPENSED; UNKNOWN if there is more evidence, and no proof."""
    cause: Cause
    """Why; `cause.outcome` is `outcome`."""
    evidence: Evidence
    """What that rests on, from the command to now."""


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """What the board says of itself now."""

    ready: bool = False
    """Whether it answers. False from a silence on until it has proven itself idle."""
    sensors: Mapping[int, Sensor] = field(default_factory=lambda: MappingProxyType({}))
    """By slot number from 1; a slot that never reported is absent. Kept while the board is lost."""
    temperature_celsius: float | None = None
    """Degrees Celsius; None without a thermometer and while the board is lost."""


BoardEvent = DispenseEnded | LateEvidence | StatusChanged


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes for the board, to be written once and in order."""

    data: bytes
    """What to write."""


@dataclass(frozen=True, slots=True)
class CloseStream:
    """Close the byte stream and open it again; the driver is already disconnected from it."""

    reason: str
    """For the log."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something for the log."""

    text: str
    """Without secrets."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """What the board logged in with, where no password says what it must be."""

    login: bytes = field(repr=False)
    """A secret."""


Effect = Write | CloseStream | Note | Greeting | BoardEvent


class Driver(Protocol):
    """Speaks one kind of board; holds no socket and no clock.

    Each method takes the monotonic time in seconds and returns what is to be done, in order.
    """

    @property
    def next_deadline(self) -> float | None:
        """When `tick` is due; None if nothing is waited for."""

    @property
    def status(self) -> StatusChanged:
        """What the last `StatusChanged` said."""

    def connected(self, now: float) -> Sequence[Effect]:
        """A stream to the board is open."""

    def disconnected(self, now: float, *, unsent: bool = False) -> Sequence[Effect]:
        """The stream is lost.

        Args:
            now: monotonic seconds.
            unsent: not one byte of the last `Write` can have reached the board.
        """

    def receive(self, data: bytes, now: float) -> Sequence[Effect]:
        """The board sent bytes, cut anywhere."""

    def dispense(self, drop_id: str, slot: int, now: float) -> Sequence[Effect]:
        """Runs a slot's motor once, or says why not; no other command may be outstanding."""

    def recall(
        self, drop_id: str, slot: int, before: Sensor, cause: Cause, age_s: float, *, now: float
    ) -> None:
        """Learns of the last command that was written before this agent started.

        To be called before the first connection, and only for a command without an answer.

        Args:
            drop_id: the drop.
            slot: its slot.
            before: the slot's sensor before the command.
            cause: why its outcome is not known; AGENT_RESTARTED if it may not have been written.
            age_s: seconds since the command was written; 0 if nobody knows.
            now: monotonic seconds.
        """

    def tick(self, now: float) -> Sequence[Effect]:
        """Time has passed."""
