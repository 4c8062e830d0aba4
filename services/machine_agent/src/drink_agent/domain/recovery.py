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

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
        self._check(entry)
        record, drop = entry.record, entry.record.drop
        match record:
            case Accepted():
                self.accepted[drop] = record
            case Commanded():
                del self.accepted[drop]
                self.commanded[drop] = self.unanswered = record
            case Result():
                for stage in (self.accepted, self.commanded, self.unacked, self.settled):
                    stage.pop(drop, None)
                self.unacked[drop] = KnownResult(entry.sequence, record)
                if record.outcome is not Outcome.UNKNOWN:
                    self._answered(drop)
            case Acked():
                known = self.unacked.pop(drop)
                # dataclasses.replace would take a third of the time in which a journal is replayed.
                result = Result(drop, record.revision, known.result.cause, _NO_EVIDENCE)
                self.settled[drop] = KnownResult(known.sequence, result)
                while len(self.settled) > self.remembered_drops:
                    oldest = next(iter(self.settled))
                    del self.settled[oldest]
                    self._answered(oldest)
        self.sequence = entry.sequence

    def _check(self, entry: Entry) -> None:
        """Raises ImpossibleHistoryError if an entry cannot follow the entries before it."""
        number, record = entry.sequence, entry.record
        if number <= self.sequence:
            raise ImpossibleHistoryError(f"record {number} comes after {self.sequence}")
        if self.stage_of(record.drop) not in FOLLOWS[type(record)]:
            raise ImpossibleHistoryError(f"record {number} cannot follow its drop's last one")
        known = self.result_of(record.drop)
        match record:
            case Result(revision=revision):
                if revision < 1 or (known and revision != known.result.revision + 1):
                    raise ImpossibleHistoryError(f"record {number} has a revision out of order")
            case Acked(revision=revision):
                if known and revision != known.result.revision:
                    raise ImpossibleHistoryError(f"record {number} acknowledges another revision")

    def _answered(self, drop: str) -> None:
        """Forgets the unanswered command if it is the drop's: no answer is expected any more."""
        if self.unanswered is not None and self.unanswered.drop == drop:
            self.unanswered = None


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


def survivors(
    entries: Sequence[Entry], *, remembered_drops: int, evidence_drops: int
) -> list[Entry]:
    """Returns the entries that replay to the same memory as all entries.

    All relevant entries are kept of drops that are not acknowledged, and of the last commanded drop
    if its outcome is unknown. Only the last result is kept of the newest acknowledged drops, and
    its evidence only of the newest of these. Entries keep their numbers.

    Args:
        entries: All entries of an intact journal, oldest first.
        remembered_drops: Number of acknowledged drops to keep.
        evidence_drops: Number of acknowledged drops that keep their evidence.

    Raises:
        ImpossibleHistoryError: The entries contradict each other.
    """
    state = replay(entries, remembered_drops)
    with_evidence = set(tuple(state.settled)[-evidence_drops:] if evidence_drops else ())
    # A drop that was forgotten may have been accepted again; only its last acceptance counts.
    accepted_at = {e.record.drop: e.sequence for e in entries if isinstance(e.record, Accepted)}
    kept = []
    for entry in entries:
        if entry.sequence < _first_relevant(entry.record.drop, state, accepted_at):
            continue
        stripped = entry.record.drop in state.settled and entry.record.drop not in with_evidence
        if stripped and isinstance(entry.record, Result):
            kept.append(replace(entry, record=replace(entry.record, evidence=_NO_EVIDENCE)))
        else:
            kept.append(entry)
    return kept


def _first_relevant(drop: str, state: JournalState, accepted_at: Mapping[str, int]) -> float:
    """Returns the number of a drop's first relevant entry; infinity if none is relevant."""
    if state.unanswered is not None and state.unanswered.drop == drop:
        return accepted_at[drop]
    match state.stage_of(drop):
        case DropStage.ACCEPTED | DropStage.COMMANDED:
            return accepted_at[drop]
        case DropStage.RESULT:
            return state.unacked[drop].sequence
        case DropStage.ACKED:
            return state.settled[drop].sequence
        case DropStage.NONE:
            return math.inf


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
