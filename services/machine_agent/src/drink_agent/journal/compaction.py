"""Which entries a journal still needs."""

from collections.abc import Sequence
from dataclasses import replace

from drink_agent.domain.evidence import Evidence
from drink_agent.domain.records import Entry, Result
from drink_agent.domain.recovery import Memory, Step, replay


def survivors(
    entries: Sequence[Entry], *, remembered_drops: int, evidence_drops: int
) -> list[Entry]:
    """Returns the entries that replay to the same memory as all of them.

    Of a drop that is not acknowledged everything that counts is kept. Of the newest acknowledged
    ones the last result is, with its evidence for the newest of them. Numbers stay as they are.

    Args:
        entries: A sound journal's, oldest first.
        remembered_drops: Acknowledged drops to keep.
        evidence_drops: Acknowledged drops to keep the evidence of.

    Raises:
        ImpossibleHistoryError: They contradict each other.
    """
    memory = replay(entries, remembered_drops)
    with_evidence = set(tuple(memory.settled)[-evidence_drops:] if evidence_drops else ())
    kept = []
    for entry in entries:
        if not _still_counts(entry, memory):
            continue
        stripped = entry.record.drop in memory.settled and entry.record.drop not in with_evidence
        if stripped and isinstance(entry.record, Result):
            kept.append(replace(entry, record=replace(entry.record, evidence=Evidence())))
        else:
            kept.append(entry)
    return kept


def _still_counts(entry: Entry, memory: Memory) -> bool:
    drop = entry.record.drop
    match memory.step_of(drop):
        case Step.ACCEPTED | Step.COMMANDED:
            return True
        case Step.RESULT:
            return entry.sequence == memory.unacked[drop].sequence
        case Step.ACKED:
            decided = memory.settled[drop].sequence
            return entry.sequence >= decided
        case Step.NONE:
            return False
