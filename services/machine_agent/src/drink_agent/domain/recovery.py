"""What the journal's records say about each drop: the memory of the dispenser.

The last record of a drop decides and nothing else does:

| last record | meaning | after a restart |
| --- | --- | --- |
| none | never heard of it | the frontend is told so |
| ACCEPTED | the board was not touched | run it, or NOT_DISPENSED/EXPIRED |
| COMMANDED | the motor may have run | UNKNOWN/AGENT_RESTARTED |
| RESULT | done, not acknowledged | report it until it is |
| ACKED | settled | answer a repeat with the same result |

The running dispenser keeps its durable state in the same `Memory` and changes it by the
same `apply`, so that what it believes before a crash and what it reads after one agree.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from drink_agent.domain.evidence import Evidence, Outcome
from drink_agent.domain.records import Accepted, Acked, Commanded, Entry, Result

_NO_EVIDENCE = Evidence()


class ImpossibleHistoryError(Exception):
    """The records, each sound by itself, cannot have been written in this order."""


class Step(StrEnum):
    """The last record of a drop."""

    NONE = "none"
    ACCEPTED = "accepted"
    COMMANDED = "commanded"
    RESULT = "result"
    ACKED = "acked"


FOLLOWS: dict[type[Accepted | Commanded | Result | Acked], frozenset[Step]] = {
    Accepted: frozenset({Step.NONE}),
    Commanded: frozenset({Step.ACCEPTED}),
    Result: frozenset({Step.NONE, Step.ACCEPTED, Step.COMMANDED, Step.RESULT, Step.ACKED}),
    Acked: frozenset({Step.RESULT}),
}
"""After which last records of a drop a record may be written. RESULT after NONE is a refusal."""


@dataclass(frozen=True, slots=True)
class KnownResult:
    """A drop's newest result and the number of its record."""

    sequence: int
    """Number of the record in the journal."""
    result: Result
    """The result; without its evidence once it is acknowledged."""


@dataclass(slots=True)
class Memory:
    """The last record of every remembered drop."""

    remembered_drops: int
    """Acknowledged drops to remember, newest first; the older ones are forgotten."""
    sequence: int = 0
    """Number of the last record."""
    accepted: dict[str, Accepted] = field(default_factory=dict)
    """Drops whose last record is ACCEPTED, oldest first."""
    commanded: dict[str, Commanded] = field(default_factory=dict)
    """Drops whose last record is COMMANDED."""
    unanswered: Commanded | None = None
    """The last motor command, as long as no outcome of it is known; None if one is. Whatever the
    board answers before it is commanded again can only be the answer to this one."""
    unacked: dict[str, KnownResult] = field(default_factory=dict)
    """Drops whose last record is RESULT, oldest first."""
    settled: dict[str, KnownResult] = field(default_factory=dict)
    """Drops whose last record is ACKED, oldest first."""

    def step_of(self, drop: str) -> Step:
        """Returns the last record of the drop."""
        if drop in self.unacked:
            return Step.RESULT
        if drop in self.settled:
            return Step.ACKED
        if drop in self.commanded:
            return Step.COMMANDED
        return Step.ACCEPTED if drop in self.accepted else Step.NONE

    def result_of(self, drop: str) -> KnownResult | None:
        """Returns the newest result of the drop, if it has one."""
        return self.unacked.get(drop) or self.settled.get(drop)

    def apply(self, entry: Entry) -> None:
        """Takes the next record.

        Raises:
            ImpossibleHistoryError: It cannot follow the ones before it.
        """
        record = entry.record
        if entry.sequence <= self.sequence:
            raise ImpossibleHistoryError(f"record {entry.sequence} comes after {self.sequence}")
        if self.step_of(record.drop) not in FOLLOWS[type(record)]:
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
                self._take_result(entry.sequence, record)
            case Acked():
                self._take_ack(entry.sequence, record)
        self.sequence = entry.sequence

    def _take_result(self, sequence: int, result: Result) -> None:
        known = self.result_of(result.drop)
        if result.revision < 1 or (known and result.revision != known.result.revision + 1):
            raise ImpossibleHistoryError(f"record {sequence} has a revision out of order")
        for held in (self.accepted, self.commanded, self.unacked, self.settled):
            held.pop(result.drop, None)
        if result.outcome is not Outcome.UNKNOWN:
            self._answered(result.drop)
        self.unacked[result.drop] = KnownResult(sequence, result)

    def _take_ack(self, sequence: int, ack: Acked) -> None:
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
        """There is nothing more to be heard of a drop, or nobody would know it."""
        if self.unanswered is not None and self.unanswered.drop == drop:
            self.unanswered = None


def _without_evidence(known: KnownResult) -> KnownResult:
    # dataclasses.replace would take a third of the time that a long journal is replayed in.
    result = known.result
    stripped = Result(result.drop, result.revision, result.outcome, result.cause, _NO_EVIDENCE)
    return KnownResult(known.sequence, stripped)


def replay(entries: Iterable[Entry], remembered_drops: int, last_sequence: int = 0) -> Memory:
    """Reads a journal's records back.

    Args:
        entries: All that are left, oldest first.
        remembered_drops: Acknowledged drops to remember.
        last_sequence: Number of the last record ever written, if that one is not left.

    Raises:
        ImpossibleHistoryError: They contradict each other.
    """
    memory = Memory(remembered_drops)
    for entry in entries:
        memory.apply(entry)
    memory.sequence = max(memory.sequence, last_sequence)
    return memory


def start_deadline_ms(accepted: Accepted, boot: str) -> int | None:
    """Returns until when an accepted command may be started, on the clock of this boot.

    Args:
        accepted: The record, perhaps of an earlier run of the agent.
        boot: The kernel's boot id now.

    Returns:
        Milliseconds since boot; None if the host was restarted in between, since then
        nobody can tell how long ago the command was received.
    """
    return accepted.received_ms + accepted.ttl_ms if accepted.boot == boot else None
