"""The dispenser: every state of a drop with every event."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest

from drink_agent.domain.dispenser import REVISIONS_MAX, Dispenser, DispenserSettings
from drink_agent.domain.events import (
    Ack,
    Append,
    BoardLateEvidence,
    BoardOutcome,
    BoardStatus,
    Command,
    Dispense,
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
    Tick,
)
from drink_agent.domain.evidence import Cause, Evidence, Outcome, Sensor
from drink_agent.domain.records import Accepted, Acked, Commanded, Entry, Record, Result
from drink_agent.domain.recovery import DropStage, JournalState, replay

READY = BoardStatus(ready=True, sensors={1: Sensor.STOCKED, 2: Sensor.EMPTY})
AWAY = BoardStatus(ready=False)
SMALL = DispenserSettings(queue_limit=2, unacked_limit=3)


class Bench:
    """A dispenser with its effects as short words, and its journal."""

    def __init__(
        self,
        *events: Event,
        settings: DispenserSettings = SMALL,
        records: tuple[Record, ...] = (),
        boot: str = "boot",
    ) -> None:
        self.records = list(records)
        self.first = records
        self.settings = settings
        entries = [Entry(number, record) for number, record in enumerate(records, 1)]
        state = replay(entries, settings.remembered_drops)
        self.dispenser = Dispenser(state, settings, boot)
        self.now_ms = 1000
        self.step(Start())
        for event in events:
            self.step(event)

    def step(self, event: Event, *, after_ms: int = 0) -> list[Effect]:
        self.now_ms += after_ms
        if isinstance(event, Command):
            event = replace(event, received_ms=self.now_ms)
        effects = self.dispenser.step(event, self.now_ms)
        self.records += [each.entry.record for each in effects if isinstance(each, Append)]
        return effects

    def again(self) -> list[Effect]:
        """Returns the first effects of a restarted agent."""
        entries = [Entry(number, record) for number, record in enumerate(self.first, 1)]
        state = replay(entries, self.settings.remembered_drops)
        return Dispenser(state, self.settings, "boot").step(Start(), 1000)

    def words(self, event: Event, *, after_ms: int = 0) -> list[str]:
        return [word(effect) for effect in self.step(event, after_ms=after_ms)]


def word(effect: Effect) -> str:
    match effect:
        case Append(Entry(_, Accepted() | Commanded() as record)):
            return f"{record.KIND} {record.drop}"
        case Append(Entry(_, Acked() as record)):
            return f"acked {record.drop}/{record.revision}"
        case Append(Entry(_, Result() as record)):
            return f"result {record.drop}/{record.revision} {record.outcome} {record.cause}"
        case Sync():
            return "sync"
        case Recall(drop, slot, sensor, cause, age_ms):
            return f"recall {drop} in {slot}, {sensor}, {cause}, {age_ms} ms ago"
        case Dispense(drop, slot):
            return f"run {drop} in {slot}"
        case Report(_, result):
            return f"report {result.drop}/{result.revision}"
        case ReportNotReceived(drop):
            return f"not received {drop}"
        case Disregarded(reason, drop):
            return f"disregard {drop} {reason}"
    raise AssertionError(effect)


def command(drop: str = "a", *, slot: int = 1, epoch: int = 1, ttl_ms: int = 10_000) -> Command:
    return Command(drop, slot, epoch, ttl_ms, received_ms=0)


def ended(drop: str = "a", cause: Cause = Cause.BOARD_ACK) -> BoardOutcome:
    return BoardOutcome(drop, cause, Evidence())


def late(drop: str = "a", cause: Cause = Cause.BOARD_ACK_LATE) -> BoardLateEvidence:
    return BoardLateEvidence(drop, cause, Evidence())


# --- one drop, step by step -----------------------------------------------------------


def test_a_drop_is_durable_before_the_motor_and_before_the_report() -> None:
    bench = Bench(LinkUp(1), READY)
    assert bench.words(command()) == ["accepted a", "commanded a", "sync", "run a in 1"]
    assert bench.words(ended()) == ["result a/1 DISPENSED BOARD_ACK", "sync", "report a/1"]
    assert bench.words(Ack("a", 1)) == ["acked a/1"]
    assert bench.dispenser.idle
    assert bench.dispenser.unacked == 0


def test_the_sensor_before_the_command_is_written_down() -> None:
    bench = Bench(LinkUp(1), READY, command(slot=2))
    [*_, commanded] = bench.records
    assert isinstance(commanded, Commanded)
    assert commanded.sensor_before is Sensor.EMPTY


def test_a_result_shares_its_sync_with_the_next_command() -> None:
    bench = Bench(LinkUp(1), READY, command("a"), command("b"))
    expected = ["result a/1 DISPENSED BOARD_ACK", "commanded b", "sync", "report a/1", "run b in 1"]
    assert bench.words(ended("a")) == expected


def test_commands_run_in_the_order_they_came_one_at_a_time() -> None:
    bench = Bench(LinkUp(1), AWAY, command("a"), command("b"))
    assert bench.words(READY) == ["commanded a", "sync", "run a in 1"]
    assert bench.words(Tick()) == []
    assert "run b in 1" in bench.words(ended("a"))


def test_numbers_of_entries_count_up_without_gaps() -> None:
    bench = Bench(LinkUp(1), READY)
    effects = bench.step(command()) + bench.step(ended()) + bench.step(Ack("a", 1))
    numbers = [effect.entry.sequence for effect in effects if isinstance(effect, Append)]
    assert numbers == [1, 2, 3, 4]
    assert [e.sequence for e in effects if isinstance(e, Report)] == [3]


# --- every state of a drop against every event -------------------------------------------

STATES: dict[str, Callable[[], Bench]] = {
    "none": lambda: Bench(LinkUp(1), READY),
    "waiting": lambda: Bench(LinkUp(1), AWAY, command()),
    "running": lambda: Bench(LinkUp(1), READY, command()),
    "interrupted": lambda: Bench(
        LinkUp(1),
        records=(Accepted("a", 1, 10_000, 500, "boot"), Commanded("a", 1, Sensor.STOCKED)),
    ),
    "dispensed": lambda: Bench(LinkUp(1), READY, command(), ended()),
    "unknown": lambda: Bench(LinkUp(1), READY, command(), ended(cause=Cause.BOARD_SILENT)),
    "settled": lambda: Bench(LinkUp(1), READY, command(), ended(), Ack("a", 1)),
    "settled unknown": lambda: Bench(
        LinkUp(1), READY, command(), ended(cause=Cause.BOARD_SILENT), Ack("a", 1)
    ),
}

EVENTS: dict[str, tuple[Event, int]] = {
    "command": (command(), 0),
    "stale command": (command(epoch=9), 0),
    "ack": (Ack("a", 1), 0),
    "ack of another revision": (Ack("a", 2), 0),
    "link that wants it": (LinkUp(2, ("a",)), 0),
    "link": (LinkUp(2), 0),
    "link down": (LinkDown(), 0),
    "board ready": (READY, 0),
    "board away": (AWAY, 0),
    "outcome": (ended(), 0),
    "late evidence": (late(), 0),
    "late refusal": (late(cause=Cause.BOARD_REFUSED_LATE), 0),
    "late nothing": (late(cause=Cause.BOARD_SILENT), 0),
    "tick": (Tick(), 0),
    "tick after 11 s": (Tick(), 11_000),
    "stop": (Stop(), 0),
}

SETTLED_LATE = ["result a/2 DISPENSED BOARD_ACK_LATE", "sync", "report a/2"]
SETTLED_REFUSED = ["result a/2 NOT_DISPENSED BOARD_REFUSED_LATE", "sync", "report a/2"]
AMENDED = ["result a/2 UNKNOWN BOARD_SILENT", "sync", "report a/2"]
CONTRADICTED = ["result a/2 DISPENSED BOARD_ACK", "sync", "report a/2"]
RESTARTED = ["result a/1 UNKNOWN AGENT_RESTARTED", "sync", "report a/1"]
UNUSED = ["disregard a evidence_unused"]
NO_ACK = ["disregard a ack_unmatched"]

USUAL = {
    "stale command": ["disregard a stale_epoch"],
    "ack": NO_ACK,
    "ack of another revision": NO_ACK,
    "outcome": ["disregard a outcome_unmatched"],
    "late evidence": UNUSED,
    "late refusal": UNUSED,
    "late nothing": UNUSED,
}
"""What events do in each state, unless TABLE has something else; all others do nothing."""
REPORTED = {event: ["report a/1"] for event in ("command", "link that wants it")}
UNACKED = REPORTED | {event: ["report a/1"] for event in ("link", "tick after 11 s")}
AMENDABLE = {
    "late evidence": SETTLED_LATE,
    "late refusal": SETTLED_REFUSED,
    "late nothing": AMENDED,
}

TABLE: dict[str, dict[str, list[str]]] = {
    "none": {
        "command": ["accepted a", "commanded a", "sync", "run a in 1"],
        "link that wants it": ["not received a"],
    },
    "waiting": {
        "command": ["disregard a repeated"],
        "board ready": ["commanded a", "sync", "run a in 1"],
        "tick after 11 s": ["result a/1 NOT_DISPENSED BOARD_UNREACHABLE", "sync", "report a/1"],
        "stop": ["result a/1 NOT_DISPENSED BOARD_UNREACHABLE", "sync", "report a/1"],
    },
    "running": {
        "command": ["disregard a repeated"],
        "outcome": ["result a/1 DISPENSED BOARD_ACK", "sync", "report a/1"],
    },
    "interrupted": {
        "command": ["disregard a repeated"],
        "late evidence": ["result a/1 DISPENSED BOARD_ACK_LATE", "sync", "report a/1"],
        "late refusal": ["result a/1 NOT_DISPENSED BOARD_REFUSED_LATE", "sync", "report a/1"],
        "late nothing": ["result a/1 UNKNOWN BOARD_SILENT", "sync", "report a/1"],
        "stop": RESTARTED,
    },
    "dispensed": UNACKED | {"ack": ["acked a/1"], "late refusal": CONTRADICTED},
    "unknown": UNACKED | AMENDABLE | {"ack": ["acked a/1"]},
    "settled": REPORTED | {"late refusal": CONTRADICTED},
    "settled unknown": REPORTED | AMENDABLE,
}


@pytest.mark.parametrize(("state", "name"), list(itertools.product(STATES, EVENTS)))
def test_every_event_in_every_state(state: str, name: str) -> None:
    bench = STATES[state]()
    event, after_ms = EVENTS[name]
    assert bench.words(event, after_ms=after_ms) == (USUAL | TABLE[state]).get(name, [])


# --- time, limits, links --------------------------------------------------------------------


def test_fault_29_a_command_grows_old_while_it_is_queued() -> None:
    """Invariant 16: the time to live counts from receipt; the loop may wait for a slow disk."""
    dispenser = Bench(LinkUp(1), READY).dispenser
    fresh = dispenser.step(Command("a", 1, 1, ttl_ms=10_000, received_ms=2_000), 9_500)
    assert fresh[-1] == Dispense("a", 1, start_by_ms=12_000)
    dispenser.step(ended("a"), 9_600)
    overdue = dispenser.step(Command("b", 1, 1, ttl_ms=10_000, received_ms=2_000), 12_000)
    assert [word(effect) for effect in overdue] == [
        "accepted b",
        "result b/1 NOT_DISPENSED EXPIRED",
        "sync",
        "report b/1",
    ]


def test_fault_16_a_command_behind_another_expires() -> None:
    bench = Bench(LinkUp(1), READY, command("a"), command("b", ttl_ms=5000))
    assert bench.dispenser.next_deadline_ms == 6000
    expected = ["result b/1 NOT_DISPENSED EXPIRED", "sync", "report b/1"]
    assert bench.words(Tick(), after_ms=5000) == expected


def test_fault_16_a_command_without_time_left_never_starts() -> None:
    bench = Bench(LinkUp(1), READY)
    expected = ["accepted a", "result a/1 NOT_DISPENSED EXPIRED", "sync", "report a/1"]
    assert bench.words(command(ttl_ms=0)) == expected


def test_fault_16_an_expiry_wins_over_a_board_that_comes_back_at_the_same_moment() -> None:
    bench = Bench(LinkUp(1), AWAY, command())
    assert "run a in 1" not in bench.words(READY, after_ms=10_000)


def test_a_time_to_live_has_a_limit() -> None:
    bench = Bench(LinkUp(1), AWAY, command(ttl_ms=2**62))
    assert bench.dispenser.next_deadline_ms == 1000 + SMALL.ttl_limit_ms


def test_fault_51_a_clock_that_goes_back_changes_nothing() -> None:
    bench = Bench(LinkUp(1), AWAY, command())
    bench.step(Tick(), after_ms=10_000)
    assert bench.dispenser.step(Tick(), 0) == []
    assert bench.dispenser.idle


def test_a_full_queue_refuses() -> None:
    bench = Bench(LinkUp(1), AWAY, command("a"), command("b"))
    assert bench.words(command("c")) == ["result c/1 NOT_DISPENSED EXPIRED", "sync", "report c/1"]


def test_a_frontend_that_acknowledges_nothing_gets_no_more_drops() -> None:
    bench = Bench(LinkUp(1), READY)
    for drop in "abc":
        bench.step(command(drop))
        bench.step(ended(drop))
    assert bench.words(command("d")) == ["disregard d outbox_full"]
    assert bench.words(LinkUp(2, ("d",)))[-1] == "not received d"


def test_a_stopping_agent_refuses_commands() -> None:
    bench = Bench(LinkUp(1), READY, Stop())
    assert bench.words(command())[0] == "result a/1 NOT_DISPENSED BOARD_UNREACHABLE"


def test_a_stopping_agent_starts_nothing_after_the_drop_at_the_board() -> None:
    bench = Bench(LinkUp(1), READY, command("a"), command("b"), Stop())
    assert bench.words(ended("a")) == ["result a/1 DISPENSED BOARD_ACK", "sync", "report a/1"]
    assert bench.dispenser.idle


def test_fault_12_results_are_reported_again_on_the_next_link() -> None:
    bench = Bench(LinkUp(1), READY, command(), LinkDown())
    assert bench.words(ended()) == ["result a/1 DISPENSED BOARD_ACK", "sync"]
    assert bench.words(Tick(), after_ms=60_000) == []
    assert bench.words(LinkUp(2)) == ["report a/1"]


def test_fault_13_a_result_whose_ack_was_lost_is_reported_again() -> None:
    bench = Bench(LinkUp(1), READY, command(), ended())
    deadline_ms = bench.dispenser.next_deadline_ms
    assert deadline_ms == bench.now_ms + SMALL.resend_after_ms
    assert bench.words(Tick(), after_ms=SMALL.resend_after_ms - 1) == []
    assert bench.words(Tick(), after_ms=1) == ["report a/1"]
    assert bench.words(Tick(), after_ms=1) == []


def test_fault_17_a_command_of_an_older_link_is_not_obeyed() -> None:
    bench = Bench(LinkUp(1), READY, LinkUp(2))
    assert bench.words(command(epoch=1)) == ["disregard a stale_epoch"]
    assert bench.words(LinkDown()) == []
    assert bench.words(command(epoch=2)) == ["disregard a stale_epoch"]


def test_fault_36_a_frontend_from_a_backup_gets_an_acknowledged_result_again() -> None:
    bench = Bench(LinkUp(1), READY, command(), ended(), Ack("a", 1), LinkDown())
    assert bench.words(LinkUp(1, ("a", "z"))) == ["report a/1", "not received z"]


def test_a_late_revision_waits_for_its_own_ack() -> None:
    bench = STATES["unknown"]()
    bench.step(late())
    assert bench.words(Ack("a", 1)) == ["disregard a ack_unmatched"]
    assert bench.words(Ack("a", 2)) == ["acked a/2"]


def test_fault_41_late_evidence_settles_the_silent_drop_and_not_the_running_one() -> None:
    bench = Bench(LinkUp(1), READY, command("a"), ended("a", Cause.BOARD_SILENT), command("b"))
    assert bench.words(late("a")) == SETTLED_LATE
    assert bench.dispenser.running == "b"


def test_fault_48_evidence_against_a_decided_outcome_is_kept_beside_it() -> None:
    bench = STATES["dispensed"]()
    bench.step(late(cause=Cause.BOARD_REFUSED_LATE))
    revised = bench.records[-1]
    assert isinstance(revised, Result)
    assert revised.outcome is Outcome.DISPENSED
    assert "BOARD_REFUSED_LATE" in revised.evidence.contradiction


def test_a_babbling_board_does_not_fill_the_journal() -> None:
    bench = STATES["dispensed"]()
    for _ in range(100):
        bench.step(late(cause=Cause.BOARD_REFUSED_LATE))
    last = bench.records[-1]
    assert isinstance(last, Result)
    assert last.revision == REVISIONS_MAX


# --- after a restart ------------------------------------------------------------------------


def test_after_a_restart_an_accepted_drop_runs_if_it_has_time_left() -> None:
    bench = Bench(LinkUp(1), records=(Accepted("a", 1, 10_000, 900, "boot"),))
    assert bench.words(READY) == ["commanded a", "sync", "run a in 1"]


@pytest.mark.parametrize(("received_ms", "boot"), [(-9_000, "boot"), (900, "another")])
def test_after_a_restart_an_accepted_drop_may_have_expired(received_ms: int, boot: str) -> None:
    bench = Bench(records=(Accepted("a", 1, 10_000, received_ms, "boot"),), boot=boot)
    assert bench.records[-1] == Result("a", 1, Cause.EXPIRED, Evidence())


def test_after_a_restart_a_commanded_drop_without_a_sensor_is_unknown_at_once() -> None:
    bench = Bench(
        records=(
            Accepted("a", 1, 10_000, 900, "boot"),
            Commanded("a", 1, Sensor.UNSPECIFIED, 900, "boot"),
        )
    )
    assert isinstance(bench.records[-1], Result)
    assert bench.dispenser.idle


def test_a_link_hears_nothing_of_an_interrupted_drop_until_it_is_decided() -> None:
    bench = STATES["interrupted"]()
    assert bench.words(LinkUp(2, ("a",))) == []


@pytest.mark.parametrize("name", list(DispenserSettings.__slots__))
def test_limits_are_positive(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        DispenserSettings(**{name: 0})


def test_the_memory_is_what_replaying_the_journal_gives() -> None:
    bench = Bench(LinkUp(1), READY, command("a"), command("b"), ended("a"), Ack("a", 1))
    entries = [Entry(number, record) for number, record in enumerate(bench.records, 1)]
    replayed = replay(entries, SMALL.remembered_drops)
    assert isinstance(replayed, JournalState)
    assert replayed == bench.dispenser._state
    assert replayed.stage_of("b") is DropStage.COMMANDED
