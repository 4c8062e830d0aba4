"""Selects the entries that a journal still needs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from drink_agent.domain.evidence import Evidence
from drink_agent.domain.records import Accepted, Entry, Result
from drink_agent.domain.recovery import DropStage, JournalState, replay


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
            kept.append(replace(entry, record=replace(entry.record, evidence=Evidence())))
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
