"""The evidence of one motor command: lines, sensor readings and contradictions."""

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
"""Lines that are kept from the beginning when there are more than `MAX_LINES`; the others are the
last ones."""

FOUND_EMPTY_S: Final = 1.0
"""Longest time in seconds from a sensor that turns empty to a refusal for that reason. A motor that
did run takes longer to stop."""


class CommandRecord:
    """One command, from when it is written until its last late evidence.

    The sensors show that an item left the slot if, since the command, the slot's sensor went from
    stocked to empty and no other slot's sensor did. If others did too, the sensors' bus failed or
    the board lost power. A slot that held several items stays stocked, which proves nothing.

    Args:
        drop: Id of the drop.
        slot: Its slot.
        written_at: When the command was written, in monotonic seconds.
        before: The sensors' readings at that time, by slot.
        read_at: When the slot's own sensor was read; None if that is not known.
        independent: Whether the sensors are declared independent of the command, so that a
            refusal after which the slot's sensor reads empty is a contradiction.
    """

    def __init__(
        self,
        drop: str,
        slot: int,
        written_at: float,
        before: Mapping[int, Sensor],
        *,
        read_at: float | None = None,
        independent: bool = False,
    ) -> None:
        self.drop = drop
        self.slot = slot
        self.written_at = written_at
        self._before = dict(before)
        self._read_at = read_at
        self._independent = independent
        self._after: dict[int, Sensor] = {}
        self._after_at: float | None = None
        self._emptied_at = 0.0
        self._reported = Sensor.UNSPECIFIED
        self._is_read_out = False
        self._lines: list[Line] = []

    def add_line(self, direction: Direction, line: bytes, now: float) -> None:
        """Records a line to or from the board as printable ASCII, all other bytes escaped."""
        text = "".join(
            chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else f"\\x{byte:02x}"
            for byte in line[:MAX_LINE_CHARS]
        )
        if len(self._lines) == MAX_LINES:
            del self._lines[_FIRST_LINES]
        offset_ms = round((now - self.written_at) * 1000)
        self._lines.append(Line(direction, offset_ms, text[:MAX_LINE_CHARS]))

    def sensor(self, slot: int, reading: Sensor, now: float) -> None:
        """Records the reading of a slot's sensor."""
        if self._is_read_out:
            return
        if slot == self.slot:
            if reading is Sensor.EMPTY and self.sensor_after is not Sensor.EMPTY:
                self._emptied_at = now
            self._after_at = now
        self._after[slot] = reading

    def read_out(self) -> None:
        """Ends the recording of sensors: the board is idle, so later readings have other causes."""
        self._is_read_out = True

    @property
    def sensor_before(self) -> Sensor:
        """The reading of the slot's sensor when the command was written."""
        return self._before.get(self.slot, Sensor.UNSPECIFIED)

    @property
    def sensor_after(self) -> Sensor:
        """The last reading of the slot's sensor since the command; UNSPECIFIED without one."""
        return self._after.get(self.slot, Sensor.UNSPECIFIED)

    @property
    def has_news(self) -> bool:
        """Whether the slot's sensor differs from the evidence that was returned last."""
        return self.sensor_after is not self._reported

    @property
    def item_left(self) -> bool:
        """Whether the sensors show that an item left the slot."""
        emptied = [
            slot
            for slot, reading in self._after.items()
            if reading is Sensor.EMPTY and self._before.get(slot) is Sensor.STOCKED
        ]
        return emptied == [self.slot]

    def evidence(self, cause: Cause, now: float) -> Evidence:
        """Returns the evidence so far, and what in it contradicts the outcome of this cause."""
        self._reported = self.sensor_after
        return Evidence(
            lines=tuple(self._lines),
            sensor_before=self.sensor_before,
            sensor_after=self.sensor_after,
            sensor_before_ms=self._offset_ms(self._read_at),
            sensor_after_ms=self._offset_ms(self._after_at),
            sensor_independent=self._independent and cause is Cause.SENSOR,
            contradiction=self._contradiction(cause, now),
        )

    def _contradiction(self, cause: Cause, now: float) -> str:
        match cause.outcome:
            case Outcome.DISPENSED if self.sensor_before is Sensor.EMPTY:
                return "the slot's sensor said empty before the motor ran"
            case Outcome.NOT_DISPENSED if self.item_left:
                # The firmware reads a slot's sensor when the slot is commanded. If it reads empty
                # only then, the board reports that and refuses at once.
                if self._independent or now - self._emptied_at > FOUND_EMPTY_S:
                    return "the slot's sensor went from stocked to empty"
        return ""

    def _offset_ms(self, at: float | None) -> int | None:
        return None if at is None else round((at - self.written_at) * 1000)
