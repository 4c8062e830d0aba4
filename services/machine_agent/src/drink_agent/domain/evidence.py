"""The outcome of a motor command, its cause, and the evidence for both."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

MAX_LINES: Final = 32
"""Lines that are kept for one command, the link's limit."""

MAX_LINE_CHARS: Final = 200
"""Characters that are kept of one line, the link's limit."""

SLOT_MAX: Final = 99
"""Highest slot number: the firmware's configuration file has two digits for it. The frontend has
the same limit."""


class Sensor(StrEnum):
    """The reading of a slot's sensor."""

    UNSPECIFIED = "UNSPECIFIED"
    """No sensor, or no reading yet."""
    STOCKED = "STOCKED"
    """At least one item is in the slot."""
    EMPTY = "EMPTY"
    """No item is in the slot."""


class Outcome(StrEnum):
    """The outcome of a motor command."""

    DISPENSED = "DISPENSED"
    """Positive evidence that the motor ran."""
    NOT_DISPENSED = "NOT_DISPENSED"
    """Proof that it did not."""
    UNKNOWN = "UNKNOWN"
    """No evidence for either: silence proves nothing."""


class Cause(StrEnum):
    """The reasons for an outcome: the values of `drink.v1.Drop.Cause` that an agent reports."""

    BOARD_ACK = "BOARD_ACK"
    """The board reported in time that it ran the motor."""
    BOARD_ACK_LATE = "BOARD_ACK_LATE"
    """The board reported after its time limit that it ran the motor."""
    SENSOR = "SENSOR"
    """The slot's sensor, which is declared independent of the command, went from stocked to empty,
    and the board has answered a request since."""
    DECLARED = "DECLARED"
    """Written to a board that never answers; the configuration declares that it dispenses."""
    BOARD_REFUSED = "BOARD_REFUSED"
    """The board refused before any motion."""
    BOARD_REFUSED_LATE = "BOARD_REFUSED_LATE"
    """The board reported after its time limit that it refused."""
    BOARD_UNREACHABLE = "BOARD_UNREACHABLE"
    """The board could not be commanded; no byte was written."""
    EXPIRED = "EXPIRED"
    """The command's time to live ended; no byte was written."""
    BOARD_SILENT = "BOARD_SILENT"
    """The board did not answer in time."""
    BOARD_LOST = "BOARD_LOST"
    """The connection to the board broke, or the board restarted, during the command."""
    AGENT_RESTARTED = "AGENT_RESTARTED"
    """The agent died between the command and its outcome."""
    JOURNAL_REPLACED = "JOURNAL_REPLACED"
    """The journal's entries of the drop are lost."""

    @property
    def outcome(self) -> Outcome:
        """The outcome of this cause: the only place where it is decided."""
        return _OUTCOMES[self]


_OUTCOMES: Final = {
    Cause.BOARD_ACK: Outcome.DISPENSED,
    Cause.BOARD_ACK_LATE: Outcome.DISPENSED,
    Cause.SENSOR: Outcome.DISPENSED,
    Cause.DECLARED: Outcome.DISPENSED,
    Cause.BOARD_REFUSED: Outcome.NOT_DISPENSED,
    Cause.BOARD_REFUSED_LATE: Outcome.NOT_DISPENSED,
    Cause.BOARD_UNREACHABLE: Outcome.NOT_DISPENSED,
    Cause.EXPIRED: Outcome.NOT_DISPENSED,
    Cause.BOARD_SILENT: Outcome.UNKNOWN,
    Cause.BOARD_LOST: Outcome.UNKNOWN,
    Cause.AGENT_RESTARTED: Outcome.UNKNOWN,
    Cause.JOURNAL_REPLACED: Outcome.UNKNOWN,
}


class Direction(StrEnum):
    """The direction of a line."""

    SENT = "SENT"
    """To the board."""
    RECEIVED = "RECEIVED"
    """From the board."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line that passed between agent and board."""

    direction: Direction
    """To or from the board."""
    offset_ms: int
    """Milliseconds since the command was written; negative before it."""
    text: str
    """Printable ASCII without the line feed, at most `MAX_LINE_CHARS`, without passwords."""

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Reads its fields, by name, from an entry of the journal.

        Raises:
            KeyError: A field is missing.
            ValueError: A field has an unknown value.
        """
        return cls(Direction(data["direction"]), int(data["offset_ms"]), str(data["text"]))


@dataclass(frozen=True, slots=True)
class Evidence:
    """The lines and sensor readings around one command."""

    lines: tuple[Line, ...] = ()
    """In the order of time, at most `MAX_LINES`."""
    sensor_before: Sensor = Sensor.UNSPECIFIED
    """The reading of the slot's sensor when the command was written."""
    sensor_after: Sensor = Sensor.UNSPECIFIED
    """The last reading of the slot's sensor after the command was written; UNSPECIFIED without
    one."""
    contradiction: str = ""
    """What contradicts the outcome, for an operator; empty without a contradiction."""
    sensor_before_ms: int | None = None
    """When `sensor_before` was read, in milliseconds since the command was written, so negative;
    None if that is not known."""
    sensor_after_ms: int | None = None
    """When `sensor_after` was read, in milliseconds since the command was written; None if that is
    not known."""
    sensor_independent: bool = False
    """For the cause SENSOR: the configuration declares the sensor independent of the command, and
    the board has answered a request after the command."""

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Reads its fields, by name, from an entry of the journal.

        Raises:
            KeyError: A field is missing.
            ValueError: A field has an unknown value.
        """
        return cls(
            lines=tuple(Line.from_dict(line) for line in data["lines"]),
            sensor_before=Sensor(data["sensor_before"]),
            sensor_after=Sensor(data["sensor_after"]),
            contradiction=str(data["contradiction"]),
            # A journal of 0.1.0 has none of these.
            sensor_before_ms=_optional_ms(data.get("sensor_before_ms")),
            sensor_after_ms=_optional_ms(data.get("sensor_after_ms")),
            sensor_independent=bool(data.get("sensor_independent", False)),
        )


def _optional_ms(value: Any) -> int | None:
    return None if value is None else int(value)
