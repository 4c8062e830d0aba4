"""What the drivers of all boards have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from drink_agent.board.port import (
    DispenseEnded,
    Effect,
    LateEvidence,
    Note,
    StatusChanged,
    Write,
)
from drink_agent.board.readings import Readings
from drink_agent.board.record import CommandRecord, printable
from drink_agent.board.settings import BoardSettings
from drink_agent.domain.evidence import Cause, Evidence, Sensor

Deadline = tuple[float, Callable[[], None]]
"""When something is due, and what."""


class DriverBase(ABC):
    """Collects effects, keeps the last command until its answer, and does what is due."""

    def __init__(self, settings: BoardSettings) -> None:
        self._settings = settings
        self._readings = Readings()
        self._status = self._readings.status(ready=False)
        self._out: list[Effect] = []
        self._now = 0.0
        self._command: CommandRecord | None = None
        self._cause = Cause.BOARD_SILENT

    @property
    def status(self) -> StatusChanged:
        """What the last `StatusChanged` said."""
        return self._status

    @property
    def next_deadline(self) -> float | None:
        """When `tick` is due; None while disconnected."""
        return min((due for due, _ in self._deadlines()), default=None)

    def tick(self, now: float) -> Sequence[Effect]:
        """Does whatever is due."""
        self._now = now
        while deadlines := self._deadlines():
            due, act = min(deadlines, key=lambda deadline: deadline[0])
            if due > now:
                break
            act()
        return self._take()

    @abstractmethod
    def _is_ready(self) -> bool:
        """Whether the board answers."""

    @abstractmethod
    def _deadlines(self) -> list[Deadline]:
        """All that time will bring in the present state; none while disconnected."""

    def _take(self) -> Sequence[Effect]:
        """All effects since the last call, a changed status after them."""
        status = self._readings.status(ready=self._is_ready())
        if status != self._status:
            self._status = status
            self._out.append(status)
        out, self._out = self._out, []
        return out

    def _send(self, line: bytes) -> None:
        if self._command is not None:
            self._command.sent(printable(line.rstrip(b"\n")), self._now)
        self._out.append(Write(line))

    def _note(self, text: str) -> None:
        self._out.append(Note(text))

    def recall(
        self, drop_id: str, slot: int, before: Sensor, cause: Cause, age_s: float, *, now: float
    ) -> None:
        """Learns of the last command that was written before this agent started; see `Driver`."""
        assert self._command is None, "a command is known already"
        self._command = CommandRecord(drop_id, slot, now - age_s, {slot: before})
        self._cause = cause

    def _begin(self, drop_id: str, slot: int) -> None:
        """A command is about to be written: no later answer can be told to be the last one's."""
        self._command = CommandRecord(
            drop_id,
            slot,
            self._now,
            self._readings.fresh,
            read_at=self._readings.read_at.get(slot),
            independent=self._settings.sensor_independent,
        )

    def _read(self, slot: int, *, stocked: bool) -> None:
        """A slot's sensor reported."""
        reading = self._readings.slot(slot, self._now, stocked=stocked)
        if self._command is not None:
            self._command.sensor(slot, reading, self._now)

    def _end(self, cause: Cause) -> None:
        """Gives the one answer to `dispense`."""
        assert self._command is not None
        evidence = self._command.evidence(cause, self._now)
        self._out.append(DispenseEnded(self._command.drop_id, cause.outcome, cause, evidence))

    def _end_unknown(self, cause: Cause) -> None:
        """The same without an outcome: the command is kept, since more may become known of it."""
        self._cause = cause
        self._end(cause)

    def _amend(self, cause: Cause) -> None:
        """Tells what became known of a command after its end."""
        assert self._command is not None
        evidence = self._command.evidence(cause, self._now)
        self._out.append(LateEvidence(self._command.drop_id, cause.outcome, cause, evidence))

    def _amend_readings(self) -> None:
        """Tells what the sensor of a command without an outcome said until the board was idle."""
        if self._command is not None and self._command.has_news:
            self._amend(self._cause)

    def _turn_down(self, drop_id: str, cause: Cause, evidence: Evidence) -> None:
        """Ends a drop for which nothing is written."""
        self._out.append(DispenseEnded(drop_id, cause.outcome, cause, evidence))


def is_power_of_ten(number: int) -> bool:
    """Which repetitions of a thing are worth a line in the log."""
    return str(number).strip("0") == "1"
