"""The messages of a link as plain values; drink.v1.MachineLinkService documents each message."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from drink_frontend.domain.agents import AgentStats
from drink_frontend.domain.entities import Result
from drink_frontend.domain.stock import Sensor


@dataclass(frozen=True, slots=True)
class BoardStatus:
    """State of the board and its slots, as the agent reports it."""

    ready: bool
    """Whether the board answers; only then are all its slots listed."""
    sensors: Mapping[int, Sensor] = field(default_factory=dict)
    """By slot number, up to the highest valid number."""
    temperature_celsius: float | None = None
    firmware_version: str = ""
    """Empty if the board does not report it, or has not yet."""
    ignored_slots: tuple[int, ...] = ()
    """Reported slots with an invalid number."""


@dataclass(frozen=True, slots=True)
class Hello:
    """Identity of the agent, and state of its journal and board."""

    machine: str
    protocol_version: int
    boot_id: str
    journal_id: str
    journal_sequence: int
    agent_version: str
    board_status: BoardStatus


@dataclass(frozen=True, slots=True)
class NotReceived:
    """The agent's journal has no record of this drop."""

    drop_id: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Shows that the sender is alive."""

    sequence: int
    journal_sequence: int = 0


class GoodbyeReason(StrEnum):
    """Why a side closes the link."""

    UNSPECIFIED = "UNSPECIFIED"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    SUPERSEDED = "SUPERSEDED"


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The sender closes the link."""

    reason: GoodbyeReason


@dataclass(frozen=True, slots=True)
class Welcome:
    """The frontend accepts the link."""

    epoch: int
    wanted_drops: tuple[str, ...]
    heartbeat_interval_s: int
    journal_report_ms: int
    stats_interval_s: int = 0


@dataclass(frozen=True, slots=True)
class Dispense:
    """Commands the motor of a slot to run once."""

    drop_id: str
    epoch: int
    slot: int
    ttl_ms: int
    traceparent: str = ""
    """Empty for a drop that is not traced."""


@dataclass(frozen=True, slots=True)
class ResultAck:
    """Acknowledges a result that is durable at the frontend."""

    drop_id: str
    revision: int


@dataclass(frozen=True, slots=True)
class CardRead:
    """A card was held to the reader at the agent."""

    number: str = field(repr=False)


AgentMessage = (
    Hello | Result | NotReceived | BoardStatus | Heartbeat | AgentStats | Goodbye | CardRead
)
FrontendMessage = Welcome | Dispense | ResultAck | Heartbeat | Goodbye


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message of the frontend, and the acknowledgements that it takes along."""

    message: FrontendMessage
    acks: tuple[ResultAck, ...] = ()
