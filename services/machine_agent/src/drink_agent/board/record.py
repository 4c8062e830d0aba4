"""Keeps what passes between agent and board around one command, as evidence."""

from collections.abc import Mapping
from typing import Final

from drink_agent.domain.evidence import (
    MAX_LINE_CHARS,
    MAX_LINES,
    Cause,
    Direction,
    Evidence,
    Line,
    Outcome,
    Sensor,
)

_FIRST_LINES: Final = 8
"""Lines kept from the command on when more than `MAX_LINES` have passed; then come the last."""


class CommandRecord:
    """One command from its writing to the last word about it.

    An item is said to have left when, from the command to now and on one connection, the slot's
    sensor went from stocked to empty and no other slot's did. If others went too, the sensors'
    bus failed or the board lost power, and no sensor proves anything. A slot that held several
    stays stocked, which proves nothing either.
    """

    def __init__(self, drop_id: str, slot: int, now: float, sensors: Mapping[int, Sensor]) -> None:
        self.drop_id = drop_id
        self.slot = slot
        self.written_at = now
        self._before = dict(sensors)
        self._now = dict(sensors)
        self._lines: list[Line] = []

    def sent(self, text: str, now: float) -> None:
        """A line went to the board."""
        self._keep(Direction.SENT, text, now)

    def received(self, text: str, now: float) -> None:
        """A line came from the board."""
        self._keep(Direction.RECEIVED, text, now)

    def sensor(self, slot: int, reading: Sensor) -> None:
        """A slot's sensor reported."""
        self._now[slot] = reading

    @property
    def sensor_before(self) -> Sensor:
        """The slot's sensor when the command was written."""
        return self._before.get(self.slot, Sensor.UNSPECIFIED)

    @property
    def item_left(self) -> bool:
        """Whether the sensors prove that an item left the slot."""
        emptied = [
            slot
            for slot, reading in self._now.items()
            if reading is Sensor.EMPTY and self._before.get(slot) is Sensor.STOCKED
        ]
        return emptied == [self.slot]

    def evidence(self, cause: Cause) -> Evidence:
        """All of it so far, and what contradicts the outcome that this cause explains."""
        return Evidence(
            lines=tuple(self._lines),
            sensor_before=self.sensor_before,
            sensor_after=self._now.get(self.slot, Sensor.UNSPECIFIED),
            contradiction=self._contradiction(cause),
        )

    def _contradiction(self, cause: Cause) -> str:
        match cause.outcome:
            case Outcome.DISPENSED if self.sensor_before is Sensor.EMPTY:
                return "the slot's sensor said empty before the motor ran"
            case Outcome.NOT_DISPENSED if self.item_left:
                return "the slot's sensor went from stocked to empty"
        return ""

    def _keep(self, direction: Direction, text: str, now: float) -> None:
        offset_ms = round((now - self.written_at) * 1000)
        if len(self._lines) == MAX_LINES:
            del self._lines[_FIRST_LINES]
        self._lines.append(Line(direction, offset_ms, text[:MAX_LINE_CHARS]))


def printable(line: bytes) -> str:
    """A line as printable ASCII, everything else escaped."""
    return "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else f"\\x{byte:02x}"
        for byte in line[:MAX_LINE_CHARS]
    )
