"""Drives the serial board of 1994 (CSH Coke machine FAQ): a digit runs a motor, `A` asks for slots.

The board never reports what it did. So its slots are read before and after each command. A slot
that has become empty is evidence for a person. It settles the drop only if the configuration
declares the sensors independent of the command (`sensor_independent`), and only after the board
has answered.
"""

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from drink_agent.board.drivers.driver import Deadline, Driver, DriverIO, is_power_of_ten
from drink_agent.domain.evidence import Cause, Direction, Evidence, Sensor

if TYPE_CHECKING:  # the settings check themselves with the drivers
    from drink_agent.board.settings import BoardSettings

MAX_SLOTS: Final = 8
"""Most slots of a board: it reports all of them in one byte."""

_ASK: Final = b"A"

MAX_INTERVAL_S: Final = 60.0
"""Longest wait in seconds between two requests to a board that does not answer."""

SETTLE_LIMIT_S: Final = 2.0
"""Longest time in seconds that a command is held for the answer to a request, which is one byte."""


class Coke1994State(Enum):
    """What may be written to the board now."""

    DISCONNECTED = auto()
    """No stream."""
    ASKING = auto()
    """Connected; the board has not answered the last request."""
    READY = auto()
    """The board answers."""
    DISPENSING = auto()
    """A slot's digit is written; its motor may be running."""
    CHECKING = auto()
    """The motor has stopped; the slots are read again."""


class Coke1994Driver(Driver):
    """The driver of the board of 1994.

    The board answers with one byte: bit 0 is slot 1 and so on, set if the slot holds at least one
    can. A byte with a bit above the last slot (`max_slot`) is noise.
    """

    def __init__(self, settings: "BoardSettings", io: DriverIO) -> None:
        super().__init__(settings, io)
        self.malformed = 0
        """Bytes that were no answer."""
        self._state = Coke1994State.DISCONNECTED
        self._answered_at = 0.0
        self._ask_at = 0.0
        self._ask_interval_s = settings.probe_interval_s
        self._asked = False
        self._held: tuple[str, int, float] | None = None

    @classmethod
    def check(cls, settings: "BoardSettings") -> None:
        """Checks slots, times and URL.

        Raises:
            ValueError: One of them does not suit this board; the message begins with its name.
        """
        if settings.max_slot > MAX_SLOTS:
            raise ValueError(
                f"max_slot: a coke1994 board has 1 to {MAX_SLOTS} slots, not {settings.max_slot}"
            )
        if settings.motor_s >= settings.response_limit_s:
            raise ValueError("response_limit_s must be longer than motor_s")
        if settings.dials_in:
            raise ValueError("url: a coke1994 board does not dial in (listen://)")

    @property
    def state(self) -> Coke1994State:
        """What may be written to the board now."""
        return self._state

    def connected(self, now: float) -> None:
        """Starts to use a stream that has been opened."""
        assert self._state is Coke1994State.DISCONNECTED, self._state
        self._now = self._answered_at = now
        self._readings.connected()
        self._start_asking()

    def disconnected(self, now: float, *, unsent: bool = False) -> None:
        """Takes note that the stream is lost."""
        self._now = now
        self._disconnect(unsent=unsent)

    def receive(self, data: bytes, now: float) -> None:
        """Takes bytes from the board; each byte is an answer."""
        self._now = now
        for byte in data:
            if self._state is not Coke1994State.DISCONNECTED:
                self._on_byte(byte)

    def dispense(self, drop: str, slot: int, now: float) -> None:
        """Writes a slot's digit once, unless the board does not answer or the slot is empty.

        The driver refuses an empty slot, as a tini-board does by itself. While a request has no
        answer, the command is held for at most `SETTLE_LIMIT_S`.
        """
        assert self._held is None, "a command is outstanding"
        assert self._state not in (Coke1994State.DISPENSING, Coke1994State.CHECKING), (
            "a command is outstanding"
        )
        self._now = now
        before = self._readings.fresh.get(slot, Sensor.UNSPECIFIED)
        if self._state is not Coke1994State.READY or not 1 <= slot <= self._settings.max_slot:
            self._refuse(drop, Cause.BOARD_UNREACHABLE, Evidence())
        elif before is Sensor.EMPTY:
            read_ms = round((self._readings.read_at[slot] - now) * 1000)
            evidence = Evidence(sensor_before=before, sensor_before_ms=read_ms)
            self._refuse(drop, Cause.BOARD_REFUSED, evidence)
        elif self._asked:
            self._held = (drop, slot, now)
        else:
            self._command_motor(drop, slot)

    def _command_motor(self, drop: str, slot: int) -> None:
        self._begin(drop, slot)
        self._state = Coke1994State.DISPENSING
        self._send(b"%d" % slot)

    def _refuse_held(self) -> None:
        if self._held is not None:
            self._refuse(self._held[0], Cause.BOARD_UNREACHABLE, Evidence())
            self._held = None

    def _is_ready(self) -> bool:
        return self._state in (
            Coke1994State.READY,
            Coke1994State.DISPENSING,
            Coke1994State.CHECKING,
        )

    def _deadlines(self) -> list[Deadline]:
        match self._state:
            case Coke1994State.DISCONNECTED:
                return []
            case Coke1994State.DISPENSING:
                assert self._command is not None
                return [(self._command.written_at + self._settings.motor_s, self._check)]
            case Coke1994State.CHECKING:
                assert self._command is not None
                limit_s = self._settings.response_limit_s
                return [(self._command.written_at + limit_s, self._give_up)]
            case Coke1994State.ASKING | Coke1994State.READY:
                silent_at = self._answered_at + self._settings.silence_limit_s
                deadlines = [(silent_at, self._close), (self._ask_at, self._ask_again)]
                if self._held is not None:
                    deadlines.append((self._held[2] + SETTLE_LIMIT_S, self._refuse_held))
                return deadlines

    def _ask(self) -> None:
        self._send(_ASK)
        self._asked = True

    def _ask_again(self) -> None:
        if self._asked and self._state is Coke1994State.READY:
            self._refuse_held()
            self._state = Coke1994State.ASKING
        if self._state is Coke1994State.ASKING:
            self._ask_interval_s = min(self._ask_interval_s * 2, MAX_INTERVAL_S)
        self._ask_at = self._now + self._ask_interval_s
        self._ask()

    def _start_asking(self) -> None:
        self._state = Coke1994State.ASKING
        self._ask_interval_s = self._settings.probe_interval_s
        self._ask_at = self._now + self._ask_interval_s
        self._ask()

    def _check(self) -> None:
        self._state = Coke1994State.CHECKING
        self._ask()

    def _give_up(self) -> None:
        self._end_unknown(Cause.BOARD_SILENT)
        self._start_asking()

    def _close(self) -> None:
        self._io.close_stream("the board has not answered within its time limit")
        self._disconnect()

    def _disconnect(self, *, unsent: bool = False) -> None:
        self._refuse_held()
        if self._state is Coke1994State.DISPENSING and unsent:
            self._end(Cause.BOARD_UNREACHABLE)
            self._command = None
        elif self._state in (Coke1994State.DISPENSING, Coke1994State.CHECKING):
            self._end_unknown(Cause.BOARD_LOST)
        self._state = Coke1994State.DISCONNECTED

    def _on_byte(self, byte: int) -> None:
        if self._command is not None and self._state is not Coke1994State.READY:
            self._command.add_line(Direction.RECEIVED, bytes([byte]), self._now)
        if not self._asked or byte >> self._settings.max_slot:
            self.malformed += 1
            if is_power_of_ten(self.malformed):
                self._io.log(f"byte number {self.malformed} that is no answer")
            return
        self._asked = False
        self._answered_at = self._now
        for slot in range(1, self._settings.max_slot + 1):
            self._read(slot, stocked=bool(byte >> (slot - 1) & 1))
        if self._state is Coke1994State.CHECKING:
            self._conclude()
        else:
            if self._state is Coke1994State.ASKING:
                self._take_late_reading()
                self._be_ready()
            if self._held is not None:
                (drop, number, _), self._held = self._held, None
                self._command_motor(drop, number)

    def _conclude(self) -> None:
        assert self._command is not None
        if self._command.item_left and self._settings.sensor_independent:
            self._end(Cause.SENSOR)
        elif self._settings.sent_means_dispensed:
            self._end(Cause.DECLARED)
        else:
            self._end(Cause.BOARD_SILENT)
        self._command = None
        self._be_ready()

    def _take_late_reading(self) -> None:
        """Reports what the first answer after a command with an unknown outcome shows.

        Over another connection it proves nothing: the slot may have been emptied by hand meanwhile.
        """
        if self._command is None:
            return
        is_proof = self._settings.sensor_independent and self._cause is Cause.BOARD_SILENT
        if is_proof and self._command.item_left:
            self._amend(Cause.SENSOR)
        else:
            self._amend_readings()
        self._command = None

    def _be_ready(self) -> None:
        self._state = Coke1994State.READY
        self._ask_interval_s = self._settings.probe_interval_s
        self._ask_at = self._now + self._ask_interval_s
