"""Drives the serial board of 1994 (CSH Coke machine FAQ): digits drop, `A` asks for the slots.

The board never says what it did. So the slots are asked before and after each drop. A slot that has
become empty is evidence for a person; it settles the drop only where the configuration declares the
sensors independent of the command (`sensor_independent`), and only once the board has answered.
"""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Final

from drink_agent.board.base import Deadline, DriverBase, is_power_of_ten
from drink_agent.board.port import CloseStream, Effect
from drink_agent.board.record import printable
from drink_agent.board.settings import BoardSettings
from drink_agent.domain.evidence import Cause, Evidence, Sensor

_ASK: Final = b"A"

MAX_INTERVAL_S: Final = 60.0
"""Longest wait between two questions to a board that does not answer."""

SETTLE_LIMIT_S: Final = 2.0
"""Longest wait of a command for the answer to a question, in seconds; an answer takes one byte."""


class State(Enum):
    """What may be said to the board now."""

    DISCONNECTED = auto()
    """No stream."""
    ASKING = auto()
    """Connected; it has not answered the last question."""
    READY = auto()
    """It answers."""
    DISPENSING = auto()
    """A slot's digit is written, its motor may be running."""
    CHECKING = auto()
    """The motor is done; the slots are asked what it has changed."""


class Coke1994Driver(DriverBase):
    """The driver of the 1994 board.

    Its answer is one byte: bit 0 for slot 1 and so on, set if the slot holds at least one can. A
    byte with a bit beyond the last slot (`max_slot`) is noise.
    """

    def __init__(self, settings: BoardSettings) -> None:
        super().__init__(settings)
        self.malformed = 0
        """Bytes that were no answer."""
        self._state = State.DISCONNECTED
        self._heard_at = 0.0
        self._ask_at = 0.0
        self._ask_interval_s = settings.probe_interval_s
        self._asked = False
        self._held: tuple[str, int, float] | None = None

    @property
    def state(self) -> State:
        """What may be said to the board now."""
        return self._state

    def connected(self, now: float) -> Sequence[Effect]:
        """A stream is open."""
        assert self._state is State.DISCONNECTED, self._state
        self._now = self._heard_at = now
        self._readings.connected()
        self._doubt()
        return self._take()

    def disconnected(self, now: float, *, unsent: bool = False) -> Sequence[Effect]:
        """The stream is lost."""
        self._now = now
        self._disconnect(unsent=unsent)
        return self._take()

    def receive(self, data: bytes, now: float) -> Sequence[Effect]:
        """The board sent bytes; each is an answer of its own."""
        self._now = now
        for byte in data:
            if self._state is not State.DISCONNECTED:
                self._on_byte(byte)
        return self._take()

    def dispense(self, drop_id: str, slot: int, now: float) -> Sequence[Effect]:
        """Writes a slot's digit, once, unless the board does not answer or the slot is empty.

        An empty slot is refused in the board's place, as the tini-board does it by itself. While a
        question is under way the command is held, for `SETTLE_LIMIT_S` at most.
        """
        assert self._held is None, "a command is outstanding"
        assert self._state not in (State.DISPENSING, State.CHECKING), "a command is outstanding"
        self._now = now
        before = self._readings.fresh.get(slot, Sensor.UNSPECIFIED)
        if self._state is not State.READY or not 1 <= slot <= self._settings.max_slot:
            self._turn_down(drop_id, Cause.BOARD_UNREACHABLE, Evidence())
        elif before is Sensor.EMPTY:
            read_ms = round((self._readings.read_at[slot] - now) * 1000)
            evidence = Evidence(sensor_before=before, sensor_before_ms=read_ms)
            self._turn_down(drop_id, Cause.BOARD_REFUSED, evidence)
        elif self._asked:
            self._held = (drop_id, slot, now)
        else:
            self._command_motor(drop_id, slot)
        return self._take()

    def _command_motor(self, drop_id: str, slot: int) -> None:
        self._begin(drop_id, slot)
        self._state = State.DISPENSING
        self._send(b"%d" % slot)

    def _turn_down_held(self) -> None:
        if self._held is not None:
            self._turn_down(self._held[0], Cause.BOARD_UNREACHABLE, Evidence())
            self._held = None

    def _is_ready(self) -> bool:
        return self._state in (State.READY, State.DISPENSING, State.CHECKING)

    def _deadlines(self) -> list[Deadline]:
        match self._state:
            case State.DISCONNECTED:
                return []
            case State.DISPENSING:
                assert self._command is not None
                return [(self._command.written_at + self._settings.motor_s, self._check)]
            case State.CHECKING:
                assert self._command is not None
                limit_s = self._settings.response_limit_s
                return [(self._command.written_at + limit_s, self._give_up)]
            case State.ASKING | State.READY:
                silent_at = self._heard_at + self._settings.silence_limit_s
                deadlines = [(silent_at, self._close), (self._ask_at, self._ask_again)]
                if self._held is not None:
                    deadlines.append((self._held[2] + SETTLE_LIMIT_S, self._turn_down_held))
                return deadlines

    def _ask(self) -> None:
        self._send(_ASK)
        self._asked = True

    def _ask_again(self) -> None:
        if self._asked and self._state is State.READY:
            self._turn_down_held()
            self._state = State.ASKING
        if self._state is State.ASKING:
            self._ask_interval_s = min(self._ask_interval_s * 2, MAX_INTERVAL_S)
        self._ask_at = self._now + self._ask_interval_s
        self._ask()

    def _doubt(self) -> None:
        self._state = State.ASKING
        self._ask_interval_s = self._settings.probe_interval_s
        self._ask_at = self._now + self._ask_interval_s
        self._ask()

    def _check(self) -> None:
        self._state = State.CHECKING
        self._ask()

    def _give_up(self) -> None:
        self._end_unknown(Cause.BOARD_SILENT)
        self._doubt()

    def _close(self) -> None:
        self._out.append(CloseStream("the board has not answered within its time limit"))
        self._disconnect()

    def _disconnect(self, *, unsent: bool = False) -> None:
        self._turn_down_held()
        if self._state is State.DISPENSING and unsent:
            self._end(Cause.BOARD_UNREACHABLE)
            self._command = None
        elif self._state in (State.DISPENSING, State.CHECKING):
            self._end_unknown(Cause.BOARD_LOST)
        self._state = State.DISCONNECTED

    def _on_byte(self, byte: int) -> None:
        if self._command is not None and self._state is not State.READY:
            self._command.received(printable(bytes([byte])), self._now)
        if not self._asked or byte >> self._settings.max_slot:
            self.malformed += 1
            if is_power_of_ten(self.malformed):
                self._note(f"byte number {self.malformed} that is no answer")
            return
        self._asked = False
        self._heard_at = self._now
        for slot in range(1, self._settings.max_slot + 1):
            self._read(slot, stocked=bool(byte >> (slot - 1) & 1))
        if self._state is State.CHECKING:
            self._conclude()
        else:
            if self._state is State.ASKING:
                self._look_again()
                self._be_ready()
            if self._held is not None:
                (drop_id, number, _), self._held = self._held, None
                self._command_motor(drop_id, number)

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

    def _look_again(self) -> None:
        """Takes the first answer after a command without an outcome.

        Over another connection it proves nothing: who knows what was done to the board meanwhile.
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
        self._state = State.READY
        self._ask_interval_s = self._settings.probe_interval_s
        self._ask_at = self._now + self._ask_interval_s
