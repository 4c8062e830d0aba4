"""Random histories with a crash at any effect: the invariants hold in all of them."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from drink_agent.domain.dispenser import Dispenser, DispenserSettings
from drink_agent.domain.events import (
    Ack,
    Append,
    BoardLateEvidence,
    BoardOutcome,
    BoardStatus,
    Command,
    Dispense,
    Effect,
    Event,
    LinkDown,
    LinkUp,
    Report,
    ReportNotReceived,
    Start,
    Stop,
    Sync,
    Tick,
)
from drink_agent.domain.evidence import Cause, Evidence, Outcome, Sensor
from drink_agent.domain.records import Accepted, Commanded, Entry, Result
from drink_agent.domain.recovery import replay

DROPS = [f"drop-{number}" for number in range(4)]
SETTINGS = DispenserSettings(queue_limit=3, unacked_limit=6, remembered_drops=100)
FINAL_CAUSES = [
    Cause.BOARD_ACK,
    Cause.BOARD_REFUSED,
    Cause.BOARD_UNREACHABLE,
    Cause.BOARD_SILENT,
    Cause.BOARD_LOST,
]


class Machine(RuleBasedStateMachine):
    """One machine with a disk that loses what was not synced, and a motor that counts its runs.

    It holds the dispenser to invariants 6, 7, 8, 11, 15, 16 and 19.
    """

    def __init__(self) -> None:
        super().__init__()
        self.disk: list[Entry] = []
        self.buffer: list[Entry] = []
        self.now_ms = 0
        self.boot = 0
        self.epoch = 0
        self.linked = False
        self.at_board: str | None = None
        self.start_by: dict[str, tuple[int, int]] = {}
        self.comes_back = True
        self.runs: Counter[str] = Counter()
        self.outcomes: dict[str, Outcome] = {}
        self.reported: dict[str, Result] = {}
        self.crashed: set[str] = set()

    # --- the host ---------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        self.start()
        self.link_up([], None)
        self.board_status(True, None)

    def start(self) -> None:
        state = replay(self.disk, SETTINGS.remembered_drops)
        self.dispenser = Dispenser(state, SETTINGS, f"boot-{self.boot}")
        self.linked = False
        self.do(Start())

    def do(self, event: Event, crash_after: int | None = None) -> None:
        effects = self.dispenser.step(event, self.now_ms)
        for number, effect in enumerate(effects):
            if number == crash_after:
                self.crash(torn=False)
                return
            self.perform(effect)

    def perform(self, effect: Effect) -> None:
        match effect:
            case Append(entry):
                assert entry.sequence == len(self.disk) + len(self.buffer) + 1
                self.buffer.append(entry)
                if isinstance(entry.record, Accepted):
                    self.start_by[entry.record.drop] = (
                        self.boot,
                        self.now_ms + entry.record.ttl_ms,
                    )
            case Sync():
                self.disk += self.buffer
                self.buffer = []
            case Dispense(drop, slot):
                assert self.at_board is None, "two commands at the board"
                assert isinstance(self.disk[-1].record, Commanded), "not durable before the motor"
                commanded = Commanded(drop, slot, Sensor.STOCKED, self.now_ms, f"boot-{self.boot}")
                assert self.disk[-1].record == commanded
                boot, deadline_ms = self.start_by[drop]
                assert boot == self.boot, "started after a reboot"
                assert self.now_ms < deadline_ms, "started too late"
                self.runs[drop] += 1
                self.at_board = drop
            case Report(sequence, result):
                assert self.linked, "reported without a link"
                self.take_report(sequence, result)
            case ReportNotReceived(drop):
                assert self.runs[drop] == 0, "denies a drop that ran"
                assert all(entry.record.drop != drop for entry in self.disk + self.buffer)

    def take_report(self, sequence: int, result: Result) -> None:
        durable = [entry for entry in self.disk if entry.sequence == sequence]
        assert durable, "reported before it is durable"
        stored = durable[0].record
        assert isinstance(stored, Result)
        assert (stored.drop, stored.revision) == (result.drop, result.revision)
        assert stored.outcome is result.outcome
        before = self.reported.get(result.drop)
        if before and before.outcome is not Outcome.UNKNOWN:
            assert result.outcome is before.outcome, "a decided outcome was changed"
        self.reported[result.drop] = result
        match result.outcome:
            case Outcome.DISPENSED:
                assert self.runs[result.drop] == 1
            case Outcome.NOT_DISPENSED:
                known = self.outcomes.get(result.drop)
                assert self.runs[result.drop] == 0 or known is Outcome.NOT_DISPENSED
            case Outcome.UNKNOWN:
                silent = self.outcomes.get(result.drop) is Outcome.UNKNOWN
                assert silent or result.drop in self.crashed, "unknown without a cause"

    def crash(self, *, torn: bool) -> None:
        """Ends the process; a power cut may keep all or nothing of what was not synced."""
        if torn:
            self.disk += self.buffer
        self.buffer = []
        self.crashed |= {e.record.drop for e in self.disk if isinstance(e.record, Commanded)}
        self.at_board = None
        self.start()
        if self.comes_back:
            self.link_up(DROPS, None)
            self.board_status(True, None)

    @rule(comes_back=st.booleans())
    def after_the_next_crash(self, comes_back: bool) -> None:
        """Decides whether link and board are connected at once after a crash."""
        self.comes_back = comes_back

    # --- events -----------------------------------------------------------------------

    crash_points = st.sampled_from([None] * 12 + [0, 1, 2, 3, 4])

    @rule(drop=st.sampled_from(DROPS), ttl_ms=st.sampled_from([0, 500, 10_000]), at=crash_points)
    def command(self, drop: str, ttl_ms: int, at: int | None) -> None:
        if self.linked:
            self.do(Command(drop, 1, self.epoch, ttl_ms, self.now_ms), at)

    @rule(drop=st.sampled_from(DROPS))
    def stale_command(self, drop: str) -> None:
        runs = self.runs.total()
        self.do(Command(drop, 1, self.epoch + 1, 10_000, self.now_ms))
        assert self.runs.total() == runs

    @rule(ready=st.sampled_from([True, True, True, False]), at=crash_points)
    def board_status(self, ready: bool, at: int | None) -> None:
        self.do(BoardStatus(ready, {1: Sensor.STOCKED}), at)

    @precondition(lambda self: self.at_board is not None)
    @rule(cause=st.sampled_from(FINAL_CAUSES), at=crash_points)
    def outcome(self, cause: Cause, at: int | None) -> None:
        drop, self.at_board = self.at_board, None
        assert drop is not None
        self.outcomes[drop] = cause.outcome
        self.do(BoardOutcome(drop, cause, Evidence()), at)

    @rule(drop=st.sampled_from(DROPS), ran=st.booleans(), at=crash_points)
    def late_evidence(self, drop: str, ran: bool, at: int | None) -> None:
        if self.outcomes.get(drop) is not Outcome.UNKNOWN:
            return
        cause = Cause.BOARD_ACK_LATE if ran else Cause.BOARD_REFUSED_LATE
        self.outcomes[drop] = cause.outcome
        self.do(BoardLateEvidence(drop, cause, Evidence()), at)

    @rule(data=st.data(), at=crash_points)
    def ack(self, data: st.DataObject, at: int | None) -> None:
        if self.reported:
            result = self.reported[data.draw(st.sampled_from(sorted(self.reported)))]
            self.do(Ack(result.drop, result.revision), at)

    @rule(wanted=st.lists(st.sampled_from(DROPS)), at=crash_points)
    def link_up(self, wanted: list[str], at: int | None) -> None:
        self.epoch += 1
        self.linked = True
        self.do(LinkUp(self.epoch, tuple(wanted)), at)

    @rule()
    def link_down(self) -> None:
        self.linked = False
        self.do(LinkDown())

    @rule(after_ms=st.sampled_from([1, 400, 4_000, 11_000]), at=crash_points)
    def time_passes(self, after_ms: int, at: int | None) -> None:
        self.now_ms += after_ms
        self.do(Tick(), at)

    @rule(way=st.sampled_from(["kill", "kill after the kernel wrote", "power cut", "stop"]))
    def restart(self, way: str) -> None:
        if way == "stop":
            self.do(Stop())
            if self.at_board is not None:
                return
            self.disk += self.buffer
            self.buffer = []
        if way == "power cut":
            self.boot += 1
            self.now_ms = 0
        self.crash(torn=way == "kill after the kernel wrote")

    # --- invariants -------------------------------------------------------------------

    @invariant()
    def no_motor_runs_twice_for_a_drop(self) -> None:
        assert all(count == 1 for count in self.runs.values())

    @invariant()
    def the_journal_replays(self) -> None:
        replay(self.disk + self.buffer, SETTINGS.remembered_drops)

    def teardown(self) -> None:
        """When faults stop, every drop that was commanded reaches a result."""
        if not hasattr(self, "dispenser"):
            return
        while self.at_board is not None:
            self.outcome(Cause.BOARD_ACK, None)
        self.link_up([], None)
        self.now_ms += SETTINGS.ttl_limit_ms
        self.do(Tick())
        assert self.dispenser.idle
        assert all(drop in self.reported for drop in self.runs)


TestCrashes = Machine.TestCase
TestCrashes.settings = settings(stateful_step_count=60)
