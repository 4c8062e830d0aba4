"""What passes on a link, as plain values; drink.v1.MachineLinkService documents each message."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from drink_frontend.domain.entities import Result
from drink_frontend.domain.stock import Sensor


@dataclass(frozen=True, slots=True)
class BoardStatus:
    """What the board says of itself and its slots."""

    ready: bool
    """Whether it answers; only then are all its slots known."""
    sensors: Mapping[int, Sensor] = field(default_factory=dict)
    """By slot number, up to the highest that the frontend knows."""
    temperature_celsius: float | None = None
    ignored_slots: tuple[int, ...] = ()
    """Slots that no machine can have here, such as those above the highest number."""


@dataclass(frozen=True, slots=True)
class Hello:
    """Who the agent is and what it remembers."""

    machine: str
    protocol_version: int
    boot_id: str
    journal_id: str
    journal_sequence: int
    agent_version: str
    board_status: BoardStatus


@dataclass(frozen=True, slots=True)
class NotReceived:
    """The agent's journal does not know this drop."""

    drop_id: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A sign of life."""

    sequence: int
    journal_sequence: int = 0


class GoodbyeReason(StrEnum):
    """Why a side closes the link on purpose."""

    UNSPECIFIED = "UNSPECIFIED"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    SUPERSEDED = "SUPERSEDED"


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The sender closes the link on purpose."""

    reason: GoodbyeReason


@dataclass(frozen=True, slots=True)
class Welcome:
    """The frontend takes the link."""

    epoch: int
    wanted_drops: tuple[str, ...]
    heartbeat_interval_s: int


@dataclass(frozen=True, slots=True)
class Dispense:
    """Run a slot's motor, once."""

    drop_id: str
    epoch: int
    slot: int
    ttl_ms: int


@dataclass(frozen=True, slots=True)
class ResultAck:
    """A result is durable at the frontend."""

    drop_id: str
    revision: int


AgentMessage = Hello | Result | NotReceived | BoardStatus | Heartbeat | Goodbye
FrontendMessage = Welcome | Dispense | ResultAck | Heartbeat | Goodbye
