"""What became of a motor command, and what that rests on."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

MAX_LINES: Final = 32
"""Lines kept for one command; the link carries no more."""

MAX_LINE_CHARS: Final = 200
"""Characters kept of one line; the link carries no more."""


SLOT_MAX: Final = 99
"""Highest slot number that any machine has. The firmware's configuration file has two digits for
it; the frontend has the same limit."""


class Sensor(StrEnum):
    """What a slot's sensor says."""

    UNSPECIFIED = "UNSPECIFIED"
    """No sensor, or not heard from yet."""
    STOCKED = "STOCKED"
    """At least one item is there."""
    EMPTY = "EMPTY"
    """No item is there."""


class Outcome(StrEnum):
    """What became of a motor command."""

    DISPENSED = "DISPENSED"
    """Positive evidence that the motor ran."""
    NOT_DISPENSED = "NOT_DISPENSED"
    """Proof that it did not."""
    UNKNOWN = "UNKNOWN"
    """Neither; silence proves nothing."""


class Cause(StrEnum):
    """Why an outcome is what it is: those of `drink.v1.Drop.Cause` that an agent can state."""

    BOARD_ACK = "BOARD_ACK"
    """The board reported that it ran the motor."""
    BOARD_ACK_LATE = "BOARD_ACK_LATE"
    """So it did, after its time limit."""
    SENSOR = "SENSOR"
    """The slot's sensor, which is declared independent of the command, went from stocked to empty,
    and the board has answered a question since."""
    DECLARED = "DECLARED"
    """Sent to a board that never answers, as the configuration declares."""
    BOARD_REFUSED = "BOARD_REFUSED"
    """The board refused before any motion."""
    BOARD_REFUSED_LATE = "BOARD_REFUSED_LATE"
    """So it did, after its time limit."""
    BOARD_UNREACHABLE = "BOARD_UNREACHABLE"
    """The board could not be commanded; not a byte was sent."""
    EXPIRED = "EXPIRED"
    """The command's time to start ran out; not a byte was sent."""
    BOARD_SILENT = "BOARD_SILENT"
    """The board did not answer in time."""
    BOARD_LOST = "BOARD_LOST"
    """The connection to the board broke, or the board restarted, during the command."""
    AGENT_RESTARTED = "AGENT_RESTARTED"
    """The agent died between the command and its outcome."""
    JOURNAL_REPLACED = "JOURNAL_REPLACED"
    """What the journal knew of the drop is lost."""

    @property
    def outcome(self) -> Outcome:
        """The only outcome that this cause can explain."""
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
    """Which way a line went."""

    SENT = "SENT"
    """To the board."""
    RECEIVED = "RECEIVED"
    """From the board."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line that passed between agent and board."""

    direction: Direction
    """Which way it went."""
    offset_ms: int
    """Milliseconds since the command was written; negative before it."""
    text: str
    """Without its end, printable ASCII, at most `MAX_LINE_CHARS`; no password."""

    def to_dict(self) -> dict[str, Any]:
        """The line as JSON knows it."""
        return {"direction": self.direction, "offset_ms": self.offset_ms, "text": self.text}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The line that `to_dict` wrote.

        Raises:
            KeyError: a field is missing.
            ValueError: a field has no known value.
        """
        return cls(Direction(data["direction"]), int(data["offset_ms"]), str(data["text"]))


@dataclass(frozen=True, slots=True)
class Evidence:
    """What passed between agent and board around one command."""

    lines: tuple[Line, ...] = ()
    """In order, at most `MAX_LINES`."""
    sensor_before: Sensor = Sensor.UNSPECIFIED
    """The slot's sensor when the command was written."""
    sensor_after: Sensor = Sensor.UNSPECIFIED
    """What the slot's sensor said last after the command was written; UNSPECIFIED if it has not
    been read since."""
    contradiction: str = ""
    """What contradicts the outcome, for an operator; empty if nothing does."""
    sensor_before_ms: int | None = None
    """When `sensor_before` was read: milliseconds since the command was written, so negative; None
    if that is not known."""
    sensor_after_ms: int | None = None
    """When `sensor_after` was read: milliseconds since the command was written; None if that is not
    known."""
    sensor_independent: bool = False
    """For SENSOR: the configuration declares the sensor independent of the command, and the board
    had answered a question after the command."""

    def to_dict(self) -> dict[str, Any]:
        """The evidence as JSON knows it."""
        return {
            "lines": [line.to_dict() for line in self.lines],
            "sensor_before": self.sensor_before,
            "sensor_after": self.sensor_after,
            "contradiction": self.contradiction,
            "sensor_before_ms": self.sensor_before_ms,
            "sensor_after_ms": self.sensor_after_ms,
            "sensor_independent": self.sensor_independent,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The evidence that `to_dict` wrote.

        Raises:
            KeyError: a field is missing.
            ValueError: a field has no known value.
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
