"""The state of each drop according to the journal: the durable state of the dispenser.

Only the last record of a drop counts:

| last record | meaning | after a restart |
| --- | --- | --- |
| none | the drop is unknown | report that it was not received |
| ACCEPTED | nothing was written to the board | run it, or NOT_DISPENSED/EXPIRED |
| COMMANDED | the motor may have run | UNKNOWN/AGENT_RESTARTED |
| RESULT | done, not acknowledged | report it until it is |
| ACKED | settled | answer a repeated command with the same result |

The running dispenser changes the same `JournalState` by the same `apply`. So the state before a
crash and the state that is read after it agree.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from drink_agent.domain.evidence import Evidence, Outcome
from drink_agent.domain.records import Accepted, Acked, Commanded, Entry, Result

_NO_EVIDENCE = Evidence()


class ImpossibleHistoryError(Exception):
    """The records are valid, but cannot have been written in this order."""


class DropStage(StrEnum):
    """The kind of a drop's last record."""

    NONE = "none"
    ACCEPTED = "accepted"
    COMMANDED = "commanded"
    RESULT = "result"
    ACKED = "acked"


FOLLOWS: dict[type[Accepted | Commanded | Result | Acked], frozenset[DropStage]] = {
    Accepted: frozenset({DropStage.NONE}),
    Commanded: frozenset({DropStage.ACCEPTED}),
    Result: frozenset(DropStage),
    Acked: frozenset({DropStage.RESULT}),
}
"""The last records of a drop that a record may follow. RESULT after NONE is a refusal."""


@dataclass(frozen=True, slots=True)
class KnownResult:
    """A drop's newest result and the number of its entry."""

    sequence: int
    """Number of the entry in the journal."""
    result: Result
    """The result, without its evidence once it is acknowledged."""


@dataclass(slots=True)
class JournalState:
    """The last record of every drop that is kept."""

    remembered_drops: int
    """How many acknowledged drops are kept; the oldest ones are forgotten first."""
    sequence: int = 0
    """Number of the last entry."""
    accepted: dict[str, Accepted] = field(default_factory=dict)
    """Drops whose last record is ACCEPTED, oldest first."""
    commanded: dict[str, Commanded] = field(default_factory=dict)
    """Drops whose last record is COMMANDED."""
    unanswered: Commanded | None = None
    """The last motor command, as long as its outcome is unknown; None otherwise. Whatever the board
    answers before its next command can only be the answer to this one."""
    unacked: dict[str, KnownResult] = field(default_factory=dict)
    """Drops whose last record is RESULT, oldest first."""
    settled: dict[str, KnownResult] = field(default_factory=dict)
    """Drops whose last record is ACKED, oldest first."""

    def stage_of(self, drop: str) -> DropStage:
        """Returns the stage of a drop."""
        if drop in self.unacked:
            return DropStage.RESULT
        if drop in self.settled:
            return DropStage.ACKED
        if drop in self.commanded:
            return DropStage.COMMANDED
        return DropStage.ACCEPTED if drop in self.accepted else DropStage.NONE

    def result_of(self, drop: str) -> KnownResult | None:
        """Returns the newest result of a drop, if it has one."""
        return self.unacked.get(drop) or self.settled.get(drop)

    def apply(self, entry: Entry) -> None:
        """Applies the next entry.

        Raises:
            ImpossibleHistoryError: It cannot follow the entries before it.
        """
        record = entry.record
        if entry.sequence <= self.sequence:
            raise ImpossibleHistoryError(f"record {entry.sequence} comes after {self.sequence}")
        if self.stage_of(record.drop) not in FOLLOWS[type(record)]:
            raise ImpossibleHistoryError(
                f"record {entry.sequence} cannot follow its drop's last one"
            )
        match record:
            case Accepted():
                self.accepted[record.drop] = record
            case Commanded():
                del self.accepted[record.drop]
                self.commanded[record.drop] = self.unanswered = record
            case Result():
                self._apply_result(entry.sequence, record)
            case Acked():
                self._apply_ack(entry.sequence, record)
        self.sequence = entry.sequence

    def _apply_result(self, sequence: int, result: Result) -> None:
        known = self.result_of(result.drop)
        if result.revision < 1 or (known and result.revision != known.result.revision + 1):
            raise ImpossibleHistoryError(f"record {sequence} has a revision out of order")
        for held in (self.accepted, self.commanded, self.unacked, self.settled):
            held.pop(result.drop, None)
        if result.outcome is not Outcome.UNKNOWN:
            self._answered(result.drop)
        self.unacked[result.drop] = KnownResult(sequence, result)

    def _apply_ack(self, sequence: int, ack: Acked) -> None:
        known = self.unacked[ack.drop]
        if ack.revision != known.result.revision:
            raise ImpossibleHistoryError(f"record {sequence} acknowledges another revision")
        del self.unacked[ack.drop]
        self.settled[ack.drop] = _without_evidence(known)
        while len(self.settled) > self.remembered_drops:
            oldest = next(iter(self.settled))
            del self.settled[oldest]
            self._answered(oldest)

    def _answered(self, drop: str) -> None:
        """Forgets the unanswered command if it is the drop's: no answer is expected any more."""
        if self.unanswered is not None and self.unanswered.drop == drop:
            self.unanswered = None


def _without_evidence(known: KnownResult) -> KnownResult:
    # dataclasses.replace would take a third of the time in which a long journal is replayed.
    result = known.result
    stripped = Result(result.drop, result.revision, result.cause, _NO_EVIDENCE)
    return KnownResult(known.sequence, stripped)


def replay(entries: Iterable[Entry], remembered_drops: int, last_sequence: int = 0) -> JournalState:
    """Applies all entries of a journal.

    Args:
        entries: The journal's entries, oldest first.
        remembered_drops: How many acknowledged drops are kept.
        last_sequence: Number of the last entry ever written, which a compaction may have removed.

    Raises:
        ImpossibleHistoryError: The entries contradict each other.
    """
    state = JournalState(remembered_drops)
    for entry in entries:
        state.apply(entry)
    state.sequence = max(state.sequence, last_sequence)
    return state


def start_deadline_ms(accepted: Accepted, boot: str) -> int | None:
    """Returns the time until which an accepted command may be started, on the clock of this boot.

    Args:
        accepted: The record, perhaps of an earlier run of the agent.
        boot: The kernel's present boot id.

    Returns:
        Milliseconds since boot; None if the host has rebooted since, because the age of the command
        is then unknown.
    """
    return accepted.received_ms + accepted.ttl_ms if accepted.boot == boot else None
