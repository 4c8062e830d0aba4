"""Which entries a journal still needs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from drink_agent.domain.evidence import Evidence
from drink_agent.domain.records import Accepted, Entry, Result
from drink_agent.domain.recovery import Memory, Step, replay


def survivors(
    entries: Sequence[Entry], *, remembered_drops: int, evidence_drops: int
) -> list[Entry]:
    """Returns the entries that replay to the same memory as all of them.

    Of a drop that is not acknowledged everything that counts is kept, and of the last one that was
    commanded, if its outcome is not known. Of the newest acknowledged ones the last result is, with
    its evidence for the newest of them. Numbers stay as they are.

    Args:
        entries: A sound journal's, oldest first.
        remembered_drops: Acknowledged drops to keep.
        evidence_drops: Acknowledged drops to keep the evidence of.

    Raises:
        ImpossibleHistoryError: They contradict each other.
    """
    memory = replay(entries, remembered_drops)
    with_evidence = set(tuple(memory.settled)[-evidence_drops:] if evidence_drops else ())
    # A drop that was forgotten may have come again; only its last life counts.
    accepted_at = {e.record.drop: e.sequence for e in entries if isinstance(e.record, Accepted)}
    kept = []
    for entry in entries:
        if entry.sequence < _first_that_counts(entry.record.drop, memory, accepted_at):
            continue
        stripped = entry.record.drop in memory.settled and entry.record.drop not in with_evidence
        if stripped and isinstance(entry.record, Result):
            kept.append(replace(entry, record=replace(entry.record, evidence=Evidence())))
        else:
            kept.append(entry)
    return kept


def _first_that_counts(drop: str, memory: Memory, accepted_at: Mapping[str, int]) -> float:
    if memory.unanswered is not None and memory.unanswered.drop == drop:
        return accepted_at[drop]
    match memory.step_of(drop):
        case Step.ACCEPTED | Step.COMMANDED:
            return accepted_at[drop]
        case Step.RESULT:
            return memory.unacked[drop].sequence
        case Step.ACKED:
            return memory.settled[drop].sequence
        case Step.NONE:
            return math.inf
