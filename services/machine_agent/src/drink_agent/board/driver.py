"""Drives a tini-board: one command at a time, and never a second one for the same drop.

The board's answers carry no id. So an answer counts for a command only while it is the only one
that the board can be talking about: nothing new is sent until the board has shown that it is done
with the last one. After a silence that takes its late answer, a restart, or a proof of idleness.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar, Final

from drink_agent.board import tini
from drink_agent.board.base import Deadline, DriverBase, is_power_of_ten
from drink_agent.board.login import Verdict, judge
from drink_agent.board.port import CloseStream, Effect, Greeting, LateEvidence
from drink_agent.board.probe import IdleProbe
from drink_agent.board.record import printable
from drink_agent.board.settings import BoardSettings
from drink_agent.domain.evidence import Cause, Evidence

SETTLE_LIMIT_S: Final = 2.0
"""Seconds from an answer until the board must have shown that it is idle: a hundred times what two
full statuses take at 9600 baud. A command that waits longer is better refused."""


class State(Enum):
    """What may be said to the board now."""

    DISCONNECTED = auto()
    """No stream."""
    LOGIN = auto()
    """Dialled in, not logged in yet."""
    REJECTED = auto()
    """On a wire of our own, with a wrong password; waits for a right one."""
    PROBING = auto()
    """Connected, not proven idle; no drop waits for it."""
    READY = auto()
    """Idle."""
    DISPENSING = auto()
    """A command is outstanding."""
    SETTLING = auto()
    """The board has answered; it may be about to say so twice."""
    DESYNCED = auto()
    """A command was not answered in time; its answer may still come."""


@dataclass(slots=True)
class Counters:
    """What was heard and not used, since the driver was made."""

    malformed: int = 0
    """Lines that could not be read."""
    unsolicited: int = 0
    """Answers to no command, and lines that only an agent may send."""
    logins_refused: int = 0
    """Logins with a wrong password."""


class TiniDriver(DriverBase):
    """The driver of a tini-board, and of anything that speaks its protocol.

    A wire of our own (`serial:`, `tcp:`, `rfc2217:`) needs no login, since the board may have been
    up for long; if one comes all the same, the board has just started, and its password counts.
    """

    def __init__(self, settings: BoardSettings) -> None:
        super().__init__(settings)
        self.counters = Counters()
        """What was heard and not used."""
        self._state = State.DISCONNECTED
        self._decoder = tini.TiniDecoder(settings.max_line_bytes)
        self._connected_at = 0.0
        self._heard_at = 0.0
        self._quiet_probed = False
        self._probe = IdleProbe(settings.probe_interval_s, 0.0)
        self._settled = False
        self._held: tuple[str, int] | None = None
        self._written = False

    @property
    def state(self) -> State:
        """What may be said to the board now."""
        return self._state

    def connected(self, now: float) -> Sequence[Effect]:
        """A stream is open; a board that did not dial in may be busy with anything."""
        assert self._state is State.DISCONNECTED, self._state
        self._decoder = tini.TiniDecoder(self._settings.max_line_bytes)
        self._readings.connected()
        self._now = self._connected_at = self._heard_at = now
        self._quiet_probed = False
        if self._settings.dials_in:
            self._state = State.LOGIN
        else:
            # The wire may hold the beginning of a line: power or cable went while it was written.
            self._start_probing(State.PROBING, guarded=True)
        return self._take()

    def disconnected(self, now: float, *, unsent: bool = False) -> Sequence[Effect]:
        """The stream is lost, and with it all hope for a command's answer."""
        self._now = now
        self._disconnect(unsent=unsent)
        return self._take()

    def receive(self, data: bytes, now: float) -> Sequence[Effect]:
        """The board sent bytes, cut anywhere."""
        self._now = self._heard_at = now
        self._quiet_probed = False
        self._written = True
        for decoded in self._decoder.feed(data):
            if self._state is State.DISCONNECTED:
                break
            if self._command is not None:
                self._command.received(self._evident(decoded), now)
            self._TABLE[self._state][type(decoded.message)](self, decoded.message)
        return self._take()

    def dispense(self, drop_id: str, slot: int, now: float) -> Sequence[Effect]:
        """Commands a motor, once, or says that the board cannot be commanded.

        Right after an answer the command is held, for `SETTLE_LIMIT_S` at most, until the board
        has shown that it is idle.
        """
        assert self._held is None, "a command is outstanding"
        assert self._state is not State.DISPENSING, "a command is outstanding"
        self._now = now
        if self._state is State.SETTLING:
            self._held = (drop_id, slot)
        elif self._state is State.READY:
            self._command_motor(drop_id, slot)
        else:
            self._turn_down(drop_id, Cause.BOARD_UNREACHABLE, Evidence())
        return self._take()

    def _command_motor(self, drop_id: str, slot: int) -> None:
        if 1 <= slot <= self._settings.max_slot:
            self._begin(drop_id, slot)
            self._settled = self._written = False
            self._state = State.DISPENSING
            self._write(tini.Drop(slot))
        else:
            self._turn_down(drop_id, Cause.BOARD_UNREACHABLE, Evidence())

    def _is_ready(self) -> bool:
        return self._state in (State.READY, State.DISPENSING, State.SETTLING)

    def _deadlines(self) -> list[Deadline]:
        if self._state is State.DISCONNECTED:
            return []
        limits = self._settings
        deadlines: list[Deadline] = [(self._heard_at + limits.silence_limit_s, self._close_silent)]
        match self._state:
            case State.LOGIN:
                deadlines.append((self._connected_at + limits.login_limit_s, self._close_silent))
            case State.READY if not self._quiet_probed:
                deadlines.append((self._heard_at + limits.silence_limit_s / 2, self._ask_if_alive))
            case State.DISPENSING:
                assert self._command is not None
                written_at = self._command.written_at
                deadlines.append((written_at + limits.response_limit_s, self._desync))
            case State.SETTLING:
                deadlines.append((self._probe.started_at + SETTLE_LIMIT_S, self._doubt))
                deadlines.append((self._probe.due_at, self._ask_if_idle))
            case State.PROBING | State.DESYNCED:
                started_at = self._probe.started_at
                deadlines.append((started_at + limits.silence_limit_s, self._close_silent))
                deadlines.append((self._probe.due_at, self._ask_if_idle))
        return deadlines

    def _write(self, message: tini.Message) -> None:
        self._send(tini.encode(message))

    def _evident(self, decoded: tini.Decoded) -> str:
        """The line for the evidence, where no password may go."""
        password = self._settings.password.encode("ascii")
        if isinstance(decoded.message, tini.Login) or (password and password in decoded.line):
            return f"{printable(decoded.line[:1])}(withheld)"
        return printable(decoded.line)

    def _close_silent(self) -> None:
        self._close("the board has not answered within its time limit")

    def _close(self, reason: str) -> None:
        self._out.append(CloseStream(reason))
        self._disconnect()

    def _disconnect(self, *, unsent: bool = False) -> None:
        self._end_lost(unsent=unsent)
        self._state = State.DISCONNECTED
        self._readings.disconnected()

    def _desync(self) -> None:
        self._end_unanswered(Cause.BOARD_SILENT)
        self._note("the board did not answer a command in time; it gets no other until it does")
        self._start_probing(State.DESYNCED)

    def _doubt(self) -> None:
        self._turn_down_held()
        self._start_probing(State.PROBING)

    def _end_lost(self, *, unsent: bool = False) -> None:
        """Ends what is under way: its answer cannot come any more."""
        self._turn_down_held()
        if self._state is State.DISPENSING:
            if unsent:
                self._end(Cause.BOARD_UNREACHABLE)
            else:
                self._end_unanswered(Cause.BOARD_LOST)
        self._command = None

    def _turn_down_held(self) -> None:
        if self._held is not None:
            self._turn_down(self._held[0], Cause.BOARD_UNREACHABLE, Evidence())
            self._held = None

    def _end_unanswered(self, cause: Cause) -> None:
        assert self._command is not None
        self._settled = self._command.item_left
        self._end(Cause.SENSOR if self._settled else cause)

    def _end_late(self, cause: Cause) -> None:
        """Settles the silent drop, unless its sensor already did."""
        assert self._command is not None
        drop_id = self._command.drop_id
        if not self._settled:
            evidence = self._command.evidence(cause)
            self._out.append(LateEvidence(drop_id, cause.outcome, cause, evidence))
        elif cause is Cause.BOARD_REFUSED_LATE:
            self._note(f"{drop_id}: refused late by the board, but its sensor saw an item leave")
        self._command = None

    def _start_probing(self, state: State, *, guarded: bool = False) -> None:
        self._state = state
        self._probe = IdleProbe(self._settings.probe_interval_s, self._now)
        self._ask_if_idle(guarded=guarded)

    def _ask_if_idle(self, *, guarded: bool = False) -> None:
        self._write(tini.StatusRequest(guarded=guarded))
        self._probe.asked(self._now)

    def _ask_if_alive(self) -> None:
        self._write(tini.StatusRequest())
        self._quiet_probed = True

    def _on_login(self, login: tini.Message) -> None:
        """The board has started: whatever it did before is over, and it will not tell."""
        assert isinstance(login, tini.Login)
        match judge(self._settings, login):
            case Verdict.ADMITTED:
                self._end_lost()
                self._note("the board logged in")
                if not self._settings.password:
                    self._out.append(Greeting(login.password))
                self._write(tini.LoginAccepted())
                self._start_probing(State.PROBING)
            case Verdict.REFUSED:
                self._end_lost()
                self.counters.logins_refused += 1
                self._note("the board logged in with a wrong password")
                self._write(tini.LoginRefused())
                self._state = State.REJECTED
                if self._settings.dials_in:
                    self._close("wrong password")
            case Verdict.UNDECIDED:
                self._on_malformed(tini.Malformed("no password"))

    def _on_answer(self, answer: tini.Message) -> None:
        if not self._written:  # heard together with what allowed the command: too early for it
            self._on_unsolicited(answer)
            return
        self._end(Cause.BOARD_ACK if isinstance(answer, tini.Ack) else Cause.BOARD_REFUSED)
        self._command = None
        self._start_probing(State.SETTLING)

    def _on_late_answer(self, answer: tini.Message) -> None:
        acked = isinstance(answer, tini.Ack)
        self._end_late(Cause.BOARD_ACK_LATE if acked else Cause.BOARD_REFUSED_LATE)
        self._start_probing(State.SETTLING)

    def _on_status(self, status: tini.Message) -> None:
        assert isinstance(status, tini.SlotStatus)
        for slot, stocked in status.slots:
            if 1 <= slot <= self._settings.max_slot:
                reading = self._readings.slot(slot, stocked=stocked)
                if self._command is not None:
                    self._command.sensor(slot, reading)

    def _on_status_while_probing(self, status: tini.Message) -> None:
        assert isinstance(status, tini.SlotStatus)
        self._on_status(status)
        if self._probe.proves_idle(status, self._readings.fresh, self._now):
            self._on_idle()
        elif self._probe.due_at <= self._now:
            self._ask_if_idle()

    def _on_idle(self) -> None:
        if self._command is not None:
            self._note("the board is idle; its answer to the last command is lost for good")
            if self._command.item_left:
                self._end_late(Cause.SENSOR)
            self._command = None
        self._state = State.READY
        if self._held is not None:
            held, self._held = self._held, None
            self._command_motor(*held)

    def _on_temperature(self, temperature: tini.Message) -> None:
        assert isinstance(temperature, tini.Temperature)
        self._readings.temperature(temperature.degrees, self._settings.temperature_unit)

    def _on_malformed(self, malformed: tini.Message) -> None:
        assert isinstance(malformed, tini.Malformed)
        self.counters.malformed += 1
        if is_power_of_ten(self.counters.malformed):
            self._note(f"unreadable line number {self.counters.malformed}: {malformed.reason}")

    def _on_unsolicited(self, message: tini.Message) -> None:
        self.counters.unsolicited += 1
        if is_power_of_ten(self.counters.unsolicited):
            name = type(message).__name__
            self._note(f"unsolicited line number {self.counters.unsolicited}: {name}")

    def _on_nothing(self, _message: tini.Message) -> None:
        """A sign of life, or not to be believed before the login."""

    _Row = dict[type[tini.Message], Callable[["TiniDriver", tini.Message], None]]
    _BEFORE_LOGIN: ClassVar[_Row] = {
        tini.Login: _on_login,
        tini.LoginAccepted: _on_unsolicited,
        tini.LoginRefused: _on_unsolicited,
        tini.Drop: _on_unsolicited,
        tini.Ack: _on_unsolicited,
        tini.Nack: _on_unsolicited,
        tini.StatusRequest: _on_unsolicited,
        tini.SlotStatus: _on_nothing,
        tini.Temperature: _on_nothing,
        tini.KeepAlive: _on_nothing,
        tini.Malformed: _on_malformed,
    }
    _LOGGED_IN: ClassVar[_Row] = _BEFORE_LOGIN | {
        tini.SlotStatus: _on_status,
        tini.Temperature: _on_temperature,
    }
    _UNPROVEN: ClassVar[_Row] = _LOGGED_IN | {tini.SlotStatus: _on_status_while_probing}
    _TABLE: ClassVar[dict[State, _Row]] = {
        State.LOGIN: _BEFORE_LOGIN,
        State.REJECTED: _BEFORE_LOGIN,
        State.PROBING: _UNPROVEN,
        State.READY: _LOGGED_IN,
        State.DISPENSING: _LOGGED_IN | {tini.Ack: _on_answer, tini.Nack: _on_answer},
        State.SETTLING: _UNPROVEN,
        State.DESYNCED: _UNPROVEN | {tini.Ack: _on_late_answer, tini.Nack: _on_late_answer},
    }
