"""Drives a tini-board: one command at a time, and never a second command for the same drop.

The board's answers carry no id. An answer is assigned to a command only while no other command can
be its cause: no new command is written until the board has shown that it is done with the last one.
After a silence, that takes its late answer, or a proof that it is idle and as much time again.

Until another command is written, an answer belongs to the last one, also over a new connection and
after a restart of the agent. If an agent may have died before it wrote the command, that holds only
until the board has shown that it is idle. The first answer to a command settles its drop. An answer
that contradicts it before another command is written is reported as late evidence.

The sensor of a slot settles nothing: the firmware reads the sensor when it is commanded, and
reports a slot that it finds empty before it refuses. Readings are evidence for a person.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, ClassVar, Final

from drink_agent.board.drivers import tini_codec as tini
from drink_agent.board.drivers.command_record import CommandRecord
from drink_agent.board.drivers.driver import Deadline, Driver, DriverIO, is_power_of_ten
from drink_agent.board.drivers.idle_probe import FULL_PROOFS, QUIET_S, IdleProbe
from drink_agent.board.drivers.tini_codec import LoginVerdict, encode, judge_login
from drink_agent.domain.events import BoardLateEvidence
from drink_agent.domain.evidence import Cause, Direction, Evidence, Outcome

if TYPE_CHECKING:  # the settings check themselves with the drivers
    from drink_agent.board.settings import BoardSettings

LOGIN_REFUSED: Final = "the board logged in with a wrong password"
"""The note in the log for a board that is refused."""

SETTLE_LIMIT_S: Final = 2.0
"""Seconds from an answer until the board must have shown that it is idle: three times as long as
two full statuses of 99 slots take at 9600 baud. A command that waits longer is refused."""


class TiniState(Enum):
    """What may be written to the board now."""

    DISCONNECTED = auto()
    """No stream."""
    LOGIN = auto()
    """Dialled in, not logged in yet."""
    REJECTED = auto()
    """Connected by the agent, wrong password; waits for a login with the right one."""
    PROBING = auto()
    """Connected, not proven idle; no command is held."""
    READY = auto()
    """Idle."""
    DISPENSING = auto()
    """A command is outstanding."""
    SETTLING = auto()
    """The board has answered and may answer twice, or it was asked whether it is alive. A command
    is held until the board has answered a status request."""
    DESYNCED = auto()
    """A command was not answered in time; its answer may still come."""


@dataclass(slots=True)
class Counters:
    """Lines that were received and ignored since the driver was made."""

    malformed: int = 0
    """Lines that could not be decoded."""
    unsolicited: int = 0
    """Answers to no command, and lines that only an agent may send."""
    logins_refused: int = 0
    """Logins with a wrong password."""
    slots_above: int = 0
    """Readings of slots above `max_slot`."""


class TiniDriver(Driver):
    """The driver of the tini-board, and of everything else that speaks its protocol.

    A connection that the agent opens (`serial:`, `tcp:`, `rfc2217:`) needs no login, since the
    board may have started long before. If a login comes, the board has just started, and the
    password is checked.
    """

    def __init__(self, settings: "BoardSettings", io: DriverIO) -> None:
        super().__init__(settings, io)
        self.counters = Counters()
        """Lines that were received and ignored."""
        self._state = TiniState.DISCONNECTED
        self._decoder = tini.TiniDecoder(settings.max_line_bytes)
        self._connected_at = 0.0
        self._received_at = 0.0
        self._probe = IdleProbe(settings.probe_interval_s, 0.0)
        self._held: tuple[str, int] | None = None
        self._written = False
        self._lists_slots = False
        self._listed_at = float("-inf")
        self._answered: tuple[CommandRecord, Outcome] | None = None

    @classmethod
    def check(cls, settings: "BoardSettings") -> None:
        """Refuses sensors as a proof.

        Raises:
            ValueError: `sensor_independent` is set.
        """
        if settings.sensor_independent:
            raise ValueError(
                "sensor_independent is for coke1994 boards: the sensor of a tini board can turn"
                " empty on a command that the board refuses"
            )

    @property
    def state(self) -> TiniState:
        """What may be written to the board now."""
        return self._state

    def connected(self, now: float) -> None:
        """Starts to use a stream; a board that did not dial in is not known to be idle."""
        assert self._state is TiniState.DISCONNECTED, self._state
        self._decoder = tini.TiniDecoder(self._settings.max_line_bytes)
        self._forget_slots()
        self._now = self._connected_at = self._received_at = now
        if self._settings.dials_in:
            self._state = TiniState.LOGIN
        else:
            # The board may hold the beginning of a line, if power or cable failed in mid-write.
            self._start_probing(TiniState.PROBING, guarded=True)

    def disconnected(self, now: float, *, unsent: bool = False) -> None:
        """Takes note that the stream is lost; a late answer may come over the next one."""
        self._now = now
        self._disconnect(unsent=unsent)

    def receive(self, data: bytes, now: float) -> None:
        """Takes bytes from the board, which may be cut anywhere."""
        self._now = self._received_at = now
        self._written = True
        for decoded in self._decoder.feed(data):
            if self._state is TiniState.DISCONNECTED:
                break
            # Of an idle board, only what may be a late answer is evidence.
            is_answer = isinstance(decoded.message, tini.Ack | tini.Nack)
            is_idle = self._state in (TiniState.READY, TiniState.SETTLING)
            if self._command is not None and (is_answer or not is_idle):
                self._command.add_line(Direction.RECEIVED, self._evident(decoded), self._now)
            self._TABLE[self._state][type(decoded.message)](self, decoded.message)
        self._probe.received(now)

    def _forget_slots(self) -> None:
        """Forgets the list of slots: the board has started, or may be another one."""
        self._readings.connected()
        self._lists_slots = False
        self._listed_at = float("-inf")

    def dispense(self, drop: str, slot: int, now: float) -> None:
        """Commands a slot's motor once, or reports that the board cannot be commanded.

        Right after an answer, the command is held for at most `SETTLE_LIMIT_S` until the board has
        shown that it is idle.
        """
        assert self._held is None, "a command is outstanding"
        assert self._state is not TiniState.DISPENSING, "a command is outstanding"
        self._now = now
        if self._state is TiniState.SETTLING:
            self._held = (drop, slot)
        elif self._state is not TiniState.READY:
            self._refuse(drop, Cause.BOARD_UNREACHABLE, Evidence())
        elif problem := self._problem_of(slot):
            self._io.log(f"{drop}: {problem}")
            self._refuse(drop, Cause.BOARD_UNREACHABLE, Evidence(contradiction=problem))
        else:
            self._begin(drop, slot)
            self._written, self._answered = False, None
            self._state = TiniState.DISPENSING
            self._send(encode(tini.RunMotor(slot)))

    def _problem_of(self, slot: int) -> str:
        """Returns why the motor of a slot cannot be commanded; empty if it can.

        A command for a slot that the firmware does not have ends its reader thread for good.
        """
        if not 1 <= slot <= self._settings.max_slot:
            return f"slot {slot} is not one of 1 to {self._settings.max_slot} (max_slot)"
        listed = self._readings.fresh
        if self._lists_slots and slot not in listed:
            return f"the board lists no slot {slot}, only {', '.join(map(str, sorted(listed)))}"
        return ""

    def _is_ready(self) -> bool:
        return self._state in (TiniState.READY, TiniState.DISPENSING, TiniState.SETTLING)

    def _deadlines(self) -> list[Deadline]:
        if self._state is TiniState.DISCONNECTED:
            return []
        limits = self._settings
        deadlines: list[Deadline] = [
            (self._received_at + limits.silence_limit_s, self._close_silent)
        ]
        match self._state:
            case TiniState.LOGIN:
                deadlines.append((self._connected_at + limits.login_limit_s, self._close_silent))
            case TiniState.READY:
                deadlines.append(
                    (self._received_at + limits.silence_limit_s / 2, self._ask_if_alive)
                )
            case TiniState.DISPENSING:
                assert self._command is not None
                written_at = self._command.written_at
                deadlines.append((written_at + limits.response_limit_s, self._desync))
            case TiniState.SETTLING:
                deadlines.append((self._probe.started_at + SETTLE_LIMIT_S, self._end_settling))
                deadlines.append((self._probe.due_at, self._ask_if_idle))
            case TiniState.PROBING | TiniState.DESYNCED:
                started_at = self._probe.started_at
                deadlines.append((started_at + limits.silence_limit_s, self._close_silent))
                deadlines.append((self._probe.due_at, self._ask_if_idle))
        return deadlines

    def _evident(self, decoded: tini.Decoded) -> bytes:
        """Returns the line as evidence, which must not hold a password."""
        password = self._settings.password.encode("ascii")
        if isinstance(decoded.message, tini.Login) or (password and password in decoded.line):
            return decoded.line[:1] + b"(withheld)"
        return decoded.line

    def _close_silent(self) -> None:
        self._close("the board has not answered within its time limit")

    def _close(self, reason: str) -> None:
        self._io.close_stream(reason)
        self._disconnect()

    def _disconnect(self, *, unsent: bool = False) -> None:
        self._end_lost(unsent=unsent)
        self._state = TiniState.DISCONNECTED
        self._readings.disconnected()

    def _desync(self) -> None:
        self._end_unknown(Cause.BOARD_SILENT)
        self._io.log("the board did not answer a command in time; it gets no other until it does")
        self._start_probing(TiniState.DESYNCED)

    def _end_settling(self) -> None:
        self._refuse_held()
        self._start_probing(TiniState.PROBING)

    def _end_lost(self, *, unsent: bool = False) -> None:
        """Ends the outstanding command: the board may have been interrupted in it."""
        self._refuse_held()
        if self._state is not TiniState.DISPENSING:
            return
        if unsent:
            self._end(Cause.BOARD_UNREACHABLE)
            self._command = None
        else:
            self._end_unknown(Cause.BOARD_LOST)

    def _refuse_held(self) -> None:
        if self._held is not None:
            self._refuse(self._held[0], Cause.BOARD_UNREACHABLE, Evidence())
            self._held = None

    def _start_probing(
        self,
        state: TiniState,
        *,
        first_at: float | None = None,
        proofs: int = FULL_PROOFS,
        guarded: bool = False,
    ) -> None:
        """Sends status requests until the board is idle, the first at once or at `first_at`."""
        self._state = state
        self._probe = IdleProbe(
            self._settings.probe_interval_s, self._now, first_at=first_at, proofs=proofs
        )
        if first_at is None:
            self._ask_if_idle(guarded=guarded)

    def _ask_if_idle(self, *, guarded: bool = False) -> None:
        self._send(encode(tini.StatusRequest(guarded=guarded)))
        self._probe.asked(self._now)

    def _ask_if_alive(self) -> None:
        """Sends a status request to a board that was silent for long.

        A command is held until the answer, so that the two are never in the board's buffer
        together. One answer is enough: the board was idle, and nothing was written since.
        """
        self._start_probing(TiniState.SETTLING, proofs=1)

    def _settle(self) -> None:
        """Waits for a possible second answer; the board pushes a full status after an answer."""
        self._start_probing(TiniState.SETTLING, first_at=self._now + QUIET_S)

    def _on_login(self, login: tini.Message) -> None:
        """Checks the login of a board that has started or dialled again, perhaps in mid-command."""
        assert isinstance(login, tini.Login)
        match judge_login(self._settings.password, login):
            case LoginVerdict.ADMITTED:
                self._end_lost()
                self._forget_slots()
                self._io.log("the board logged in")
                if not self._settings.password:
                    self._io.check_login(login.password)
                self._send(encode(tini.LoginAccepted()))
                self._start_probing(TiniState.PROBING, first_at=self._now + QUIET_S)
            case LoginVerdict.REFUSED:
                self._end_lost()
                self.counters.logins_refused += 1
                self._io.log(LOGIN_REFUSED)
                self._send(encode(tini.LoginRefused()))
                self._state = TiniState.REJECTED
                if self._settings.dials_in:
                    self._close("wrong password")
            case LoginVerdict.UNDECIDED:
                self._on_malformed(tini.Malformed("no password"))

    def _on_answer(self, answer: tini.Message) -> None:
        if not self._written:  # received together with what allowed the command: too early
            self._on_unsolicited(answer)
            return
        cause = Cause.BOARD_ACK if isinstance(answer, tini.Ack) else Cause.BOARD_REFUSED
        self._end(cause)
        self._remember_answer(cause.outcome)
        self._settle()

    def _remember_answer(self, outcome: Outcome) -> None:
        assert self._command is not None
        self._answered = self._command, outcome
        self._command = None

    def _on_late_answer(self, answer: tini.Message) -> None:
        """Assigns an answer to the last command, if that has none: no other was written since."""
        acked = isinstance(answer, tini.Ack)
        cause = Cause.BOARD_ACK_LATE if acked else Cause.BOARD_REFUSED_LATE
        if self._command is None:
            self._on_unsolicited(answer)
            self._contradict(answer, cause)
            return
        self._amend(cause)
        self._remember_answer(cause.outcome)
        if self._state is TiniState.PROBING:  # not proven idle yet
            self._start_probing(TiniState.PROBING, first_at=self._now + QUIET_S)
        else:
            self._settle()

    def _contradict(self, answer: tini.Message, cause: Cause) -> None:
        """Reports, once, an answer that contradicts the first answer to the same command.

        No other command was written since. The first answer has settled the drop; the second is
        kept as evidence for a person.
        """
        if self._answered is None or self._answered[1] is cause.outcome:
            return
        (command, _), self._answered = self._answered, None
        command.add_line(Direction.RECEIVED, encode(answer).rstrip(), self._now)
        evidence = command.evidence(cause, self._now)
        self.events.append(BoardLateEvidence(command.drop, cause, evidence))

    def _on_status(self, status: tini.Message) -> None:
        assert isinstance(status, tini.SlotStatus)
        if len(status.slots) > 1:
            self._on_list()
        for slot, stocked in status.slots:
            if 1 <= slot <= self._settings.max_slot:
                self._read(slot, stocked=stocked)
            elif slot:  # the Ruby simulator reports a slot 0
                self._on_slot_above(slot)

    def _on_list(self) -> None:
        """Takes note of a line with several slots, which is a list of all slots or a part of it.

        Lines that follow one another within `QUIET_S` are one list, since a board may send it in
        parts. So a slot is forgotten only when the list after the one that lacks it begins.
        """
        if self._now - self._listed_at > QUIET_S:
            self._readings.begin_list(self._now)
        self._lists_slots = True
        self._listed_at = self._now

    def _on_status_while_ready(self, status: tini.Message) -> None:
        """Takes a status; asks again, before another command, if the board lists fewer slots."""
        assert isinstance(status, tini.SlotStatus)
        self._on_status(status)
        if len(status.slots) > 1 and self._readings.has_before(self._now - QUIET_S):
            self._settle()

    def _on_slot_above(self, slot: int) -> None:
        self.counters.slots_above += 1
        if is_power_of_ten(self.counters.slots_above):
            limit = self._settings.max_slot
            self._io.log(f"ignored what the board says of slot {slot}, above {limit} (max_slot)")

    def _on_status_while_probing(self, status: tini.Message) -> None:
        assert isinstance(status, tini.SlotStatus)
        self._on_status(status)
        if self._probe.proves_idle(status, self._readings.fresh, self._now):
            # A status of one slot that answers every request is the list of a single slot.
            self._lists_slots |= [slot for slot, _ in status.slots if slot] != []
            self._on_idle()

    def _on_idle(self) -> None:
        """Acts on the proof that the board is idle: reports readings and writes the held command.

        Not every board with this protocol answers requests in order. So a board that owes an answer
        gets the time limit once more to give it, before another command is written.
        """
        if self._lists_slots:
            self._readings.forget_unlisted()
        self._amend_readings()
        if self._command is not None:
            last_chance_at = self._command.written_at + 2 * self._settings.response_limit_s
            if self._now < last_chance_at:
                self._start_probing(self._state, first_at=last_chance_at)
                return
            self._command.read_out()
            if self._cause is Cause.AGENT_RESTARTED:
                # The command may not have been written, so an answer from now on is not its answer.
                self._command = None
        self._state = TiniState.READY
        if self._held is not None:
            (drop, slot), self._held = self._held, None
            self.dispense(drop, slot, self._now)

    def _on_temperature(self, temperature: tini.Message) -> None:
        assert isinstance(temperature, tini.Temperature)
        self._readings.temperature(temperature.degrees, self._settings.temperature_unit)

    def _on_malformed(self, malformed: tini.Message) -> None:
        assert isinstance(malformed, tini.Malformed)
        self.counters.malformed += 1
        if is_power_of_ten(self.counters.malformed):
            self._io.log(f"unreadable line number {self.counters.malformed}: {malformed.reason}")

    def _on_unsolicited(self, message: tini.Message) -> None:
        self.counters.unsolicited += 1
        if is_power_of_ten(self.counters.unsolicited):
            name = type(message).__name__
            self._io.log(f"unsolicited line number {self.counters.unsolicited}: {name}")

    def _on_nothing(self, _message: tini.Message) -> None:
        """Ignores a keep-alive, or a reading before the login."""

    _Row = dict[type[tini.Message], Callable[["TiniDriver", tini.Message], None]]
    _BEFORE_LOGIN: ClassVar[_Row] = {
        tini.Login: _on_login,
        tini.LoginAccepted: _on_unsolicited,
        tini.LoginRefused: _on_unsolicited,
        tini.RunMotor: _on_unsolicited,
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
        tini.Ack: _on_late_answer,
        tini.Nack: _on_late_answer,
    }
    _UNPROVEN: ClassVar[_Row] = _LOGGED_IN | {tini.SlotStatus: _on_status_while_probing}
    _TABLE: ClassVar[dict[TiniState, _Row]] = {
        TiniState.LOGIN: _BEFORE_LOGIN,
        TiniState.REJECTED: _BEFORE_LOGIN,
        TiniState.PROBING: _UNPROVEN,
        TiniState.READY: _LOGGED_IN | {tini.SlotStatus: _on_status_while_ready},
        TiniState.DISPENSING: _LOGGED_IN | {tini.Ack: _on_answer, tini.Nack: _on_answer},
        TiniState.SETTLING: _UNPROVEN,
        TiniState.DESYNCED: _UNPROVEN,
    }
