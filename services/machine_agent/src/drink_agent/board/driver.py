"""Drives a tini-board: one command at a time, and never a second one for the same drop.

The board's answers carry no id. So an answer counts for a command only while it is the only one
that the board can be talking about: nothing new is sent until the board has shown that it is done
with the last one. After a silence that takes its late answer, or a proof of idleness and as much
time again. Until another command is written, an answer that comes belongs to the last one, also
over a new connection and after a restart of the agent. Of a command that an agent may not have
written before it died, that holds until the board has shown that it is idle. The first answer to a
command settles it; one that denies it before another command is written is told as late evidence.

A slot's sensor settles nothing here: the firmware looks at a slot when it is commanded, and reports
one that it finds empty before it refuses. Readings are evidence for a person.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar, Final

from drink_agent.board import tini
from drink_agent.board.base import Deadline, DriverBase, is_power_of_ten
from drink_agent.board.login import LOGIN_REFUSED, Verdict, judge
from drink_agent.board.port import CloseStream, Effect, Greeting, LateEvidence
from drink_agent.board.probe import FULL_PROOFS, QUIET_S, IdleProbe
from drink_agent.board.record import CommandRecord, printable
from drink_agent.board.settings import BoardSettings
from drink_agent.domain.evidence import Cause, Evidence, Outcome

SETTLE_LIMIT_S: Final = 2.0
"""Seconds from an answer until the board must have shown that it is idle: three times what two full
statuses of 99 slots take at 9600 baud. A command that waits longer is better refused."""


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
    """The board has answered and may be about to say so twice, or it is asked whether it is there:
    a command waits until it has answered the question."""
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
    slots_above: int = 0
    """Readings of slots above `max_slot`."""


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
        self._probe = IdleProbe(settings.probe_interval_s, 0.0)
        self._held: tuple[str, int] | None = None
        self._written = False
        self._lists_slots = False
        self._listed_at = float("-inf")
        self._answered: tuple[CommandRecord, Outcome] | None = None

    @property
    def state(self) -> State:
        """What may be said to the board now."""
        return self._state

    def connected(self, now: float) -> Sequence[Effect]:
        """A stream is open; a board that did not dial in may be busy with anything."""
        assert self._state is State.DISCONNECTED, self._state
        self._decoder = tini.TiniDecoder(self._settings.max_line_bytes)
        self._forget_slots()
        self._now = self._connected_at = self._heard_at = now
        if self._settings.dials_in:
            self._state = State.LOGIN
        else:
            # The wire may hold the beginning of a line: power or cable went while it was written.
            self._start_probing(State.PROBING, guarded=True)
        return self._take()

    def disconnected(self, now: float, *, unsent: bool = False) -> Sequence[Effect]:
        """The stream is lost; a command's answer may still come over the next one."""
        self._now = now
        self._disconnect(unsent=unsent)
        return self._take()

    def receive(self, data: bytes, now: float) -> Sequence[Effect]:
        """The board sent bytes, cut anywhere."""
        self._now = self._heard_at = now
        self._written = True
        for decoded in self._decoder.feed(data):
            if self._state is State.DISCONNECTED:
                break
            self._keep(decoded)
            self._TABLE[self._state][type(decoded.message)](self, decoded.message)
        self._probe.heard(now)
        return self._take()

    def _forget_slots(self) -> None:
        """The board is another one, or has started: it says again which slots it has."""
        self._readings.connected()
        self._lists_slots = False
        self._listed_at = float("-inf")

    def _keep(self, decoded: tini.Decoded) -> None:
        """Keeps a line as evidence; of an idle board only one that may be the late answer."""
        is_answer = isinstance(decoded.message, tini.Ack | tini.Nack)
        if self._command is not None and (is_answer or not self._is_idle()):
            self._command.received(self._evident(decoded), self._now)

    def _is_idle(self) -> bool:
        return self._state in (State.READY, State.SETTLING)

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
        if problem := self._problem_of(slot):
            self._note(f"{drop_id}: {problem}")
            evidence = Evidence(contradiction=problem)
            self._turn_down(drop_id, Cause.BOARD_UNREACHABLE, evidence)
        else:
            self._begin(drop_id, slot)
            self._written, self._answered = False, None
            self._state = State.DISPENSING
            self._write(tini.Drop(slot))

    def _problem_of(self, slot: int) -> str:
        """Why the motor of a slot cannot be commanded; empty if it can.

        A command for a slot that the firmware does not have ends its reader for good.
        """
        if not 1 <= slot <= self._settings.max_slot:
            return f"slot {slot} is not one of 1 to {self._settings.max_slot} (max_slot)"
        listed = self._readings.fresh
        if self._lists_slots and slot not in listed:
            return f"the board lists no slot {slot}, only {', '.join(map(str, sorted(listed)))}"
        return ""

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
            case State.READY:
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
        self._end_unknown(Cause.BOARD_SILENT)
        self._note("the board did not answer a command in time; it gets no other until it does")
        self._start_probing(State.DESYNCED)

    def _doubt(self) -> None:
        self._turn_down_held()
        self._start_probing(State.PROBING)

    def _end_lost(self, *, unsent: bool = False) -> None:
        """Ends what is under way: the board may have been interrupted in it."""
        self._turn_down_held()
        if self._state is not State.DISPENSING:
            return
        if unsent:
            self._end(Cause.BOARD_UNREACHABLE)
            self._command = None
        else:
            self._end_unknown(Cause.BOARD_LOST)

    def _turn_down_held(self) -> None:
        if self._held is not None:
            self._turn_down(self._held[0], Cause.BOARD_UNREACHABLE, Evidence())
            self._held = None

    def _start_probing(
        self,
        state: State,
        *,
        first_at: float | None = None,
        proofs: int = FULL_PROOFS,
        guarded: bool = False,
    ) -> None:
        """Asks whether the board is idle, at once unless `first_at` says when."""
        self._state = state
        self._probe = IdleProbe(
            self._settings.probe_interval_s, self._now, first_at=first_at, proofs=proofs
        )
        if first_at is None:
            self._ask_if_idle(guarded=guarded)

    def _ask_if_idle(self, *, guarded: bool = False) -> None:
        self._write(tini.StatusRequest(guarded=guarded))
        self._probe.asked(self._now)

    def _ask_if_alive(self) -> None:
        """A command waits for the answer, so that the two are never in the board's buffer together.

        One answer will do: the board was idle, and has been told nothing since.
        """
        self._start_probing(State.SETTLING, proofs=1)

    def _settle(self) -> None:
        """Waits for a second answer. A full status follows an answer without a question."""
        self._start_probing(State.SETTLING, first_at=self._now + QUIET_S)

    def _on_login(self, login: tini.Message) -> None:
        """The board has started, or dialled again: a command under way was perhaps interrupted."""
        assert isinstance(login, tini.Login)
        match judge(self._settings, login):
            case Verdict.ADMITTED:
                self._end_lost()
                self._forget_slots()
                self._note("the board logged in")
                if not self._settings.password:
                    self._out.append(Greeting(login.password))
                self._write(tini.LoginAccepted())
                self._start_probing(State.PROBING, first_at=self._now + QUIET_S)
            case Verdict.REFUSED:
                self._end_lost()
                self.counters.logins_refused += 1
                self._note(LOGIN_REFUSED)
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
        cause = Cause.BOARD_ACK if isinstance(answer, tini.Ack) else Cause.BOARD_REFUSED
        self._end(cause)
        self._remember_answer(cause.outcome)
        self._settle()

    def _remember_answer(self, outcome: Outcome) -> None:
        assert self._command is not None
        self._answered = self._command, outcome
        self._command = None

    def _on_late_answer(self, answer: tini.Message) -> None:
        """Nothing was commanded since the last command, so its answer it is, if it had none."""
        acked = isinstance(answer, tini.Ack)
        cause = Cause.BOARD_ACK_LATE if acked else Cause.BOARD_REFUSED_LATE
        if self._command is None:
            self._on_unsolicited(answer)
            self._deny(answer, cause)
            return
        self._amend(cause)
        self._remember_answer(cause.outcome)
        if self._state is State.PROBING:  # it has yet to show that it is idle
            self._start_probing(State.PROBING, first_at=self._now + QUIET_S)
        else:
            self._settle()

    def _deny(self, answer: tini.Message, cause: Cause) -> None:
        """Tells, once, that the board has taken its last answer back.

        No command was written since, so both are of the same one. The first has settled the drop;
        the second is kept with it for a person.
        """
        if self._answered is None or self._answered[1] is cause.outcome:
            return
        (command, _), self._answered = self._answered, None
        command.received(printable(tini.encode(answer).rstrip()), self._now)
        evidence = command.evidence(cause, self._now)
        self._out.append(LateEvidence(command.drop_id, cause.outcome, cause, evidence))

    def _on_status(self, status: tini.Message) -> None:
        assert isinstance(status, tini.SlotStatus)
        if len(status.slots) > 1:
            self._on_list()
        for slot, stocked in status.slots:
            if 1 <= slot <= self._settings.max_slot:
                self._read(slot, stocked=stocked)
            elif slot:  # the Ruby simulator answers for a slot 0
                self._on_slot_above(slot)

    def _on_list(self) -> None:
        """The board lists all its slots; those that it does not name any more are gone.

        Lines that follow one another within `QUIET_S` are one list: a board may say it in pieces.
        So a slot is gone when the list after the one that lacks it begins.
        """
        if self._now - self._listed_at > QUIET_S:
            self._readings.begin_list(self._now)
        self._lists_slots = True
        self._listed_at = self._now

    def _on_status_while_ready(self, status: tini.Message) -> None:
        """Asks a board that lists fewer slots than before, before another command is written."""
        assert isinstance(status, tini.SlotStatus)
        self._on_status(status)
        if len(status.slots) > 1 and self._readings.has_before(self._now - QUIET_S):
            self._settle()

    def _on_slot_above(self, slot: int) -> None:
        self.counters.slots_above += 1
        if is_power_of_ten(self.counters.slots_above):
            limit = self._settings.max_slot
            self._note(f"ignored what the board says of slot {slot}, above {limit} (max_slot)")

    def _on_status_while_probing(self, status: tini.Message) -> None:
        assert isinstance(status, tini.SlotStatus)
        self._on_status(status)
        if self._probe.proves_idle(status, self._readings.fresh, self._now):
            # What looks like a push, and answers all questions, is the list of a single slot.
            self._lists_slots |= [slot for slot, _ in status.slots if slot] != []
            self._on_idle()

    def _on_idle(self) -> None:
        """The board is done with what it was told; see to what waits for that.

        Not every board that speaks these lines answers questions in their turn. So one that owes
        an answer gets as long again as its time limit to give it, before another command is sent.
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
                # Perhaps it never was written. Then what comes now answers nothing at all.
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
        tini.Ack: _on_late_answer,
        tini.Nack: _on_late_answer,
    }
    _UNPROVEN: ClassVar[_Row] = _LOGGED_IN | {tini.SlotStatus: _on_status_while_probing}
    _TABLE: ClassVar[dict[State, _Row]] = {
        State.LOGIN: _BEFORE_LOGIN,
        State.REJECTED: _BEFORE_LOGIN,
        State.PROBING: _UNPROVEN,
        State.READY: _LOGGED_IN | {tini.SlotStatus: _on_status_while_ready},
        State.DISPENSING: _LOGGED_IN | {tini.Ack: _on_answer, tini.Nack: _on_answer},
        State.SETTLING: _UNPROVEN,
        State.DESYNCED: _UNPROVEN,
    }
