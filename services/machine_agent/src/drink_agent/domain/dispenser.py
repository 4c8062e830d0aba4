"""The dispenser: decides what the motor does, what the journal records and what is reported.

`Dispenser.step` is the only entry point. Its effects are executed in order. Each `Dispense` and
each new `Report` comes after the `Sync` that makes its cause durable, so that the journal is true
about the motor after a crash at any instant.

* One command is at the board at a time; the others wait in the order in which they came.
* A command waits while the board is away: a board that is lost for a second is common, and the
  buyer wants the can and not an error. When its time to live ends, the command is refused:
  BOARD_UNREACHABLE if the board was the only obstacle, EXPIRED otherwise.
* ACCEPTED alone is not synced: if it is lost, "not received" is true of the board too. A drop that
  runs alone costs two syncs, one before the motor and one before the report. Under load, a result
  shares its sync with the next command.
"""

from collections import deque
from dataclasses import dataclass, replace

from drink_agent.domain.events import (
    Ack,
    Append,
    BoardLateEvidence,
    BoardOutcome,
    BoardStatus,
    Command,
    Dispense,
    Disregard,
    Disregarded,
    Effect,
    Event,
    LinkDown,
    LinkUp,
    Recall,
    Report,
    ReportNotReceived,
    Start,
    Stop,
    Sync,
)
from drink_agent.domain.evidence import Cause, Evidence, Outcome, Sensor
from drink_agent.domain.records import Accepted, Acked, Commanded, Entry, Record, Result
from drink_agent.domain.recovery import DropStage, JournalState, KnownResult, start_deadline_ms

REVISIONS_MAX = 16
"""Most results of one drop, including the first; a board gives one late answer, not many."""

AMENDMENTS_MAX = 8
"""Most UNKNOWN results of one drop, including the first: the readings of a board that is lost again
and again leave room for the result that settles the drop."""

_NO_EVIDENCE = Evidence()


@dataclass(frozen=True, slots=True)
class DispenserSettings:
    """Limits of the dispenser."""

    queue_limit: int = 32
    """Default 32 commands. Most commands that wait for the board; further ones are refused. At
    4.5 s a drop the last one waits over two minutes, longer than any time to live."""
    unacked_limit: int = 1000
    """Default 1000 results. Most results that the frontend has not acknowledged. Beyond it,
    commands are ignored as if they were not received, so that the journal stays bounded."""
    remembered_drops: int = 20_000
    """Default 20000 drops. Acknowledged drops that are recognised when their command is repeated:
    30 days of a machine that sells 600 cans a day, in about 6 MB of memory."""
    resend_after_ms: int = 10_000
    """Default 10000 ms. Time after which a result without an acknowledgement is reported again
    on the same link; a frontend commits within milliseconds."""
    ttl_limit_ms: int = 600_000
    """Default 600000 ms. Longest time to live of a command; a buyer does not wait ten minutes in
    front of a machine."""
    sensor_wait_ms: int = 35_000
    """Default 35000 ms. Time after a restart for which a drop that was at the board waits for its
    answer or its slot's sensor, before it is reported as unknown. A board that dials in does so
    every 30 s. Later evidence is reported when it arrives."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A command that waits for the board."""

    drop: str
    slot: int
    deadline_ms: int


class Dispenser:
    """The dispenser of one machine. Times are milliseconds since the host booted.

    The first event must be `Start`.

    Args:
        state: The state according to the journal; owned by the dispenser from now on.
        settings: The limits.
        boot: The kernel's boot id.
    """

    def __init__(self, state: JournalState, settings: DispenserSettings, boot: str) -> None:
        self._state = state
        self._settings = settings
        self._boot = boot
        self._waiting: deque[_Waiting] = deque()
        self._running: str | None = None
        self._interrupted: dict[str, int] = {}  # drop -> when the wait for its evidence ends
        self._reported_ms: dict[str, int] = {}  # unacked drop -> last report on this link
        self._epoch: int | None = None
        self._board = BoardStatus(ready=False)
        self._stopping = False
        self._now_ms = 0
        self._appends: list[Effect] = []
        self._visible: list[Effect] = []
        self._syncs: list[Effect] = []  # one, if something in this step must become durable

    @property
    def running(self) -> str | None:
        """The drop that is at the board."""
        return self._running

    @property
    def waiting(self) -> int:
        """Number of commands that wait for the board."""
        return len(self._waiting)

    @property
    def unacked(self) -> int:
        """Number of results that the frontend has not acknowledged."""
        return len(self._state.unacked)

    @property
    def idle(self) -> bool:
        """Whether every accepted drop has a result."""
        return self._running is None and not self._waiting and not self._interrupted

    @property
    def next_deadline_ms(self) -> int | None:
        """When a `Tick` is due at the latest; None if no time limit runs."""
        times = [waiting.deadline_ms for waiting in self._waiting]
        times += self._interrupted.values()
        if self._epoch is not None and self._state.unacked:
            after = self._settings.resend_after_ms
            times += (self._reported_ms.get(drop, 0) + after for drop in self._state.unacked)
        return min(times, default=None)

    def step(self, event: Event, now_ms: int) -> list[Effect]:
        """Handles one event and returns the effects, to be executed in order.

        Args:
            event: The event.
            now_ms: The time; if it is earlier than in the last step, the last step's time counts.
        """
        assert not self._visible, "a step failed half-way"
        self._now_ms = max(now_ms, self._now_ms)
        match event:
            case Command():
                self._take_command(event)
            case BoardOutcome(drop, cause, evidence) if drop == self._running:
                self._running = None
                self._finish(drop, cause, evidence)
            case BoardOutcome(drop):
                self._disregard(Disregard.OUTCOME_UNMATCHED, drop)
            case Ack():
                self._take_ack(event)
            case BoardStatus():
                self._board = event
            case BoardLateEvidence():
                self._take_late_evidence(event)
            case LinkUp() | LinkDown():
                self._take_link(event)
            case Start():
                self._take_start()
            case Stop():
                self._take_stop()
        self._handle_deadlines()
        self._start_next()
        effects = [*self._appends, *self._syncs, *self._visible]
        self._appends, self._syncs, self._visible = [], [], []
        return effects

    def _take_start(self) -> None:
        for accepted in tuple(self._state.accepted.values()):
            deadline_ms = start_deadline_ms(accepted, self._boot)
            if deadline_ms is None or deadline_ms <= self._now_ms:
                self._finish(accepted.drop, Cause.EXPIRED)
            else:
                self._waiting.append(_Waiting(accepted.drop, accepted.slot, deadline_ms))
        for commanded in self._state.commanded.values():
            known = commanded.sensor_before is not Sensor.UNSPECIFIED
            wait_ms = self._settings.sensor_wait_ms if known else 0
            self._interrupted[commanded.drop] = self._now_ms + wait_ms
        if (last := self._state.unanswered) is not None:
            known_age = last.at_ms is not None and last.boot == self._boot
            age_ms = max(0, self._now_ms - (last.at_ms or 0)) if known_age else 0
            # The first effect of all, since the board may connect while a sync is awaited.
            unknown = self._state.result_of(last.drop)
            cause = unknown.result.cause if unknown else Cause.AGENT_RESTARTED
            recall = Recall(last.drop, last.slot, last.sensor_before, cause, age_ms)
            self._appends.append(recall)

    def _take_command(self, command: Command) -> None:
        drop = command.drop
        if command.epoch != self._epoch:
            self._disregard(Disregard.STALE_EPOCH, drop)
        elif self._state.stage_of(drop) is not DropStage.NONE:
            if known := self._state.result_of(drop):
                self._report(known)
            else:
                self._disregard(Disregard.REPEATED, drop)
        elif len(self._state.unacked) >= self._settings.unacked_limit:
            self._disregard(Disregard.OUTBOX_FULL, drop)
        elif self._stopping:
            self._finish(drop, Cause.BOARD_UNREACHABLE)
        elif len(self._waiting) >= self._settings.queue_limit:
            self._finish(drop, Cause.EXPIRED)
        else:
            ttl_ms = max(0, min(command.ttl_ms, self._settings.ttl_limit_ms))
            slot, received_ms = command.slot, command.received_ms
            self._append(Accepted(drop, slot, ttl_ms, received_ms, self._boot))
            self._waiting.append(_Waiting(drop, slot, received_ms + ttl_ms))

    def _take_ack(self, ack: Ack) -> None:
        known = self._state.unacked.get(ack.drop)
        if known is None or known.result.revision != ack.revision:
            self._disregard(Disregard.ACK_UNMATCHED, ack.drop)
            return
        self._append(Acked(ack.drop, ack.revision))
        self._reported_ms.pop(ack.drop, None)

    def _take_link(self, link: LinkUp | LinkDown) -> None:
        if isinstance(link, LinkDown):
            self._epoch = None
            return
        self._epoch = link.epoch
        for known in self._state.unacked.values():
            self._report(known)
        for drop in link.wanted:
            match self._state.stage_of(drop):
                case DropStage.NONE:
                    self._visible.append(ReportNotReceived(drop))
                case DropStage.ACKED:
                    self._report(self._state.settled[drop])
                case DropStage.ACCEPTED | DropStage.COMMANDED | DropStage.RESULT:
                    pass  # its result is reported later, or was reported just now

    def _take_late_evidence(self, event: BoardLateEvidence) -> None:
        if event.drop in self._interrupted:
            self._finish(event.drop, event.cause, event.evidence)
        elif known := self._state.result_of(event.drop):
            self._revise(known.result, event)
        else:
            self._disregard(Disregard.EVIDENCE_UNUSED, event.drop)

    def _revise(self, result: Result, event: BoardLateEvidence) -> None:
        """Replaces an UNKNOWN result, or adds a contradiction to a decided one."""
        amends = event.outcome is Outcome.UNKNOWN
        limit = AMENDMENTS_MAX if amends else REVISIONS_MAX
        decided = result.outcome is not Outcome.UNKNOWN
        if (decided and event.outcome in (result.outcome, Outcome.UNKNOWN)) or (
            result.revision >= limit
        ):
            self._disregard(Disregard.EVIDENCE_UNUSED, event.drop)
        elif not decided:
            cause = result.cause if amends else event.cause
            self._finish(event.drop, cause, event.evidence, result.revision + 1)
        else:
            contradiction = f"{event.outcome}/{event.cause} after {result.outcome}/{result.cause}"
            evidence = replace(event.evidence, contradiction=contradiction)
            self._finish(event.drop, result.cause, evidence, result.revision + 1)

    def _take_stop(self) -> None:
        self._stopping = True
        for waiting in self._waiting:
            self._finish(waiting.drop, Cause.BOARD_UNREACHABLE)
        self._waiting.clear()
        self._interrupted = dict.fromkeys(self._interrupted, self._now_ms)

    def _handle_deadlines(self) -> None:
        """Acts on all time limits that have passed: of reports, commands and late evidence."""
        if self._epoch is not None:
            before_ms = self._now_ms - self._settings.resend_after_ms
            for drop, known in self._state.unacked.items():
                if self._reported_ms.get(drop, 0) <= before_ms:
                    self._report(known)
        board_away = self._running is None and not self._board.ready
        cause = Cause.BOARD_UNREACHABLE if board_away else Cause.EXPIRED
        for waiting in tuple(self._waiting):
            if waiting.deadline_ms <= self._now_ms:
                self._waiting.remove(waiting)
                self._finish(waiting.drop, cause)
        for drop, deadline_ms in tuple(self._interrupted.items()):
            if deadline_ms <= self._now_ms:
                evidence = Evidence(sensor_before=self._state.commanded[drop].sensor_before)
                self._finish(drop, Cause.AGENT_RESTARTED, evidence)

    def _start_next(self) -> None:
        if self._running is not None or self._stopping or not self._board.ready:
            return
        if not self._waiting:
            return
        waiting = self._waiting.popleft()
        sensor = self._board.sensors.get(waiting.slot, Sensor.UNSPECIFIED)
        self._append(Commanded(waiting.drop, waiting.slot, sensor, self._now_ms, self._boot))
        self._running = waiting.drop
        self._syncs = [Sync()]
        self._visible.append(Dispense(waiting.drop, waiting.slot, waiting.deadline_ms))

    def _finish(
        self, drop: str, cause: Cause, evidence: Evidence = _NO_EVIDENCE, revision: int = 1
    ) -> None:
        """Records a result of a drop and reports it."""
        self._interrupted.pop(drop, None)
        self._append(Result(drop, revision, cause, evidence))
        self._syncs = [Sync()]
        self._report(self._state.unacked[drop])

    def _report(self, known: KnownResult) -> None:
        if self._epoch is None:
            return
        self._reported_ms[known.result.drop] = self._now_ms
        self._visible.append(Report(known.sequence, known.result))

    def _append(self, record: Record) -> None:
        entry = Entry(self._state.sequence + 1, record)
        self._state.apply(entry)
        self._appends.append(Append(entry))

    def _disregard(self, reason: Disregard, drop: str) -> None:
        self._visible.append(Disregarded(reason, drop))
