"""What all drivers have in common: their interface, the last command and the sensors' readings."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from drink_agent.board.drivers.command_record import CommandRecord
from drink_agent.domain.events import BoardLateEvidence, BoardOutcome, BoardStatus, Recall
from drink_agent.domain.evidence import Cause, Direction, Evidence, Sensor

if TYPE_CHECKING:  # the settings check themselves with the drivers
    from drink_agent.board.settings import BoardSettings

Deadline = tuple[float, Callable[[], None]]
"""When something is due, in monotonic seconds, and the call that does it."""


class DriverIO(Protocol):
    """What a driver asks of the board's connection. No call waits or raises."""

    def write(self, data: bytes) -> None:
        """Writes bytes to the stream, once and in order."""

    def close_stream(self, reason: str) -> None:
        """Closes the stream so that it is opened again; the driver is already disconnected."""

    def log(self, note: str) -> None:
        """Logs a note, which holds no secret."""

    def check_login(self, login: bytes) -> None:
        """Compares what the board logged in with, a secret, with the machine's own board.

        If it is another board, nothing more is written and the stream ends.
        """


class Driver(ABC):
    """Speaks the protocol of one type of board.

    It has no socket and no clock: `now` is always the monotonic time in seconds, and output goes
    through `io`. After each call, `status` may have changed, and `events` has what became of
    commands.

    Args:
        settings: The board's settings.
        io: Takes the driver's output.
    """

    def __init__(self, settings: "BoardSettings", io: DriverIO) -> None:
        self._settings = settings
        self._io = io
        self._readings = Readings()
        self._now = 0.0
        self._command: CommandRecord | None = None
        self._cause = Cause.BOARD_SILENT
        self.events: list[BoardOutcome | BoardLateEvidence] = []
        """What became of commands, in order; the caller takes it out."""

    @classmethod
    @abstractmethod
    def check(cls, settings: "BoardSettings") -> None:
        """Checks the settings that depend on the type of board.

        Raises:
            ValueError: A setting does not suit this type; the message begins with its name.
        """

    @property
    def status(self) -> BoardStatus:
        """The board's status now."""
        return self._readings.status(ready=self._is_ready())

    @property
    def next_deadline(self) -> float | None:
        """When `tick` is due; None while disconnected."""
        return min((due for due, _ in self._deadlines()), default=None)

    @abstractmethod
    def connected(self, now: float) -> None:
        """Starts to use a stream that has been opened."""

    @abstractmethod
    def disconnected(self, now: float, *, unsent: bool = False) -> None:
        """Takes note that the stream is lost.

        Args:
            now: Monotonic seconds.
            unsent: Whether no byte of the last `write` can have reached the board.
        """

    @abstractmethod
    def receive(self, data: bytes, now: float) -> None:
        """Takes bytes from the board, which may be cut anywhere."""

    @abstractmethod
    def dispense(self, drop: str, slot: int, now: float) -> None:
        """Commands a slot's motor at most once; exactly one `BoardOutcome` is reported.

        No other command may be outstanding.
        """

    def recall(self, recall: Recall, now: float) -> None:
        """Takes over the last command of an earlier run of the agent, which has no answer yet.

        To be called before the first connection.
        """
        assert self._command is None, "a command is known already"
        written_at = now - recall.age_ms / 1000
        before = {recall.slot: recall.sensor_before}
        self._command = CommandRecord(recall.drop, recall.slot, written_at, before)
        self._cause = recall.cause

    def tick(self, now: float) -> None:
        """Does everything that is due."""
        self._now = now
        while deadlines := self._deadlines():
            due, act = min(deadlines, key=lambda deadline: deadline[0])
            if due > now:
                break
            act()

    @abstractmethod
    def _is_ready(self) -> bool:
        """Whether the board answers, so that a motor command may be written."""

    @abstractmethod
    def _deadlines(self) -> list[Deadline]:
        """All deadlines of the present state; none while disconnected."""

    def _send(self, line: bytes) -> None:
        """Writes a line and records it as evidence of the last command."""
        if self._command is not None:
            self._command.add_line(Direction.SENT, line.rstrip(b"\n"), self._now)
        self._io.write(line)

    def _begin(self, drop: str, slot: int) -> None:
        """Records a new command just before it is written.

        From here on, no answer can be assigned to the command before it.
        """
        self._command = CommandRecord(
            drop,
            slot,
            self._now,
            self._readings.fresh,
            read_at=self._readings.read_at.get(slot),
            independent=self._settings.sensor_independent,
        )

    def _read(self, slot: int, *, stocked: bool) -> None:
        """Records the reading of a slot's sensor."""
        reading = self._readings.slot(slot, self._now, stocked=stocked)
        if self._command is not None:
            self._command.sensor(slot, reading, self._now)

    def _end(self, cause: Cause) -> None:
        """Reports the outcome of the outstanding command."""
        assert self._command is not None
        evidence = self._command.evidence(cause, self._now)
        self.events.append(BoardOutcome(self._command.drop, cause, evidence))

    def _end_unknown(self, cause: Cause) -> None:
        """Reports that the outcome is unknown; the command is kept for late evidence."""
        self._cause = cause
        self._end(cause)

    def _amend(self, cause: Cause) -> None:
        """Reports late evidence of a command whose outcome was reported before."""
        assert self._command is not None
        evidence = self._command.evidence(cause, self._now)
        self.events.append(BoardLateEvidence(self._command.drop, cause, evidence))

    def _amend_readings(self) -> None:
        """Reports new sensor readings of a command with an unknown outcome."""
        if self._command is not None and self._command.has_news:
            self._amend(self._cause)

    def _refuse(self, drop: str, cause: Cause, evidence: Evidence) -> None:
        """Reports the outcome of a command that is not written."""
        self.events.append(BoardOutcome(drop, cause, evidence))


class Readings:
    """The last readings of one board's slot sensors and thermometer."""

    def __init__(self) -> None:
        self._sensors: MappingProxyType[int, Sensor] = MappingProxyType({})
        self._temperature_celsius: float | None = None
        self._firmware_version = ""
        self.fresh: dict[int, Sensor] = {}
        """Readings of this connection by slot; only these are evidence."""
        self.read_at: dict[int, float] = {}
        """When each of them was taken, in monotonic seconds."""
        self._list_began_at = float("-inf")

    def connected(self) -> None:
        """Forgets the readings of the connection before this one as evidence."""
        self.fresh, self.read_at = {}, {}
        self._list_began_at = float("-inf")

    def begin_list(self, now: float) -> None:
        """Forgets the slots that were missing in the board's last list; a new list begins."""
        for slot in [slot for slot, at in self.read_at.items() if at < self._list_began_at]:
            del self.fresh[slot], self.read_at[slot]
        self._list_began_at = now

    def has_before(self, then: float) -> bool:
        """Returns whether a reading is older than `then`, in monotonic seconds."""
        return any(at < then for at in self.read_at.values())

    def disconnected(self) -> None:
        """Forgets temperature and firmware; sensors keep their reading until the next one."""
        self._temperature_celsius = None
        self._firmware_version = ""

    def slot(self, slot: int, now: float, *, stocked: bool) -> Sensor:
        """Records the reading of a slot's sensor and returns it."""
        reading = Sensor.STOCKED if stocked else Sensor.EMPTY
        self.fresh[slot] = reading
        self.read_at[slot] = now
        if self._sensors.get(slot) is not reading:
            self._sensors = MappingProxyType({**self._sensors, slot: reading})
        return reading

    def forget_unlisted(self) -> None:
        """Forgets the slots of earlier connections, after the board has listed all its slots."""
        if self._sensors.keys() != self.fresh.keys():
            self._sensors = MappingProxyType(dict(self.fresh))

    def temperature(self, degrees: float, unit: str) -> None:
        """Records a temperature in the unit "fahrenheit" or "celsius"."""
        celsius = (degrees - 32) * 5 / 9 if unit == "fahrenheit" else degrees
        self._temperature_celsius = round(celsius, 2)

    def firmware(self, version: str) -> None:
        """Records the version of the firmware, of a board that tells it."""
        self._firmware_version = version

    def status(self, *, ready: bool) -> BoardStatus:
        """Returns all readings as the board's status."""
        return BoardStatus(ready, self._sensors, self._temperature_celsius, self._firmware_version)


def is_power_of_ten(number: int) -> bool:
    """Returns whether the repetition with this number is logged: the 1st, 10th, 100th and so on."""
    return str(number).strip("0") == "1"
