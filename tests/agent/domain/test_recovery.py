import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink_agent.domain.evidence import Cause, Evidence, Outcome, Sensor
from drink_agent.domain.records import Accepted, Acked, Commanded, Entry, Record, Result
from drink_agent.domain.recovery import (
    FOLLOWS,
    DropStage,
    ImpossibleHistoryError,
    JournalState,
    replay,
    start_deadline_ms,
    survivors,
)

ACCEPTED = Accepted("a", 1, 10_000, 500, "boot")
COMMANDED = Commanded("a", 1, Sensor.STOCKED)
ACKED = Acked("a", 1)


def result(revision: int, drop: str = "a") -> Result:
    evidence = Evidence(contradiction="something")
    return Result(drop, revision, Cause.BOARD_ACK, evidence)


HISTORIES: dict[DropStage, list[Record]] = {
    DropStage.NONE: [],
    DropStage.ACCEPTED: [ACCEPTED],
    DropStage.COMMANDED: [ACCEPTED, COMMANDED],
    DropStage.RESULT: [ACCEPTED, COMMANDED, result(1)],
    DropStage.ACKED: [ACCEPTED, COMMANDED, result(1), ACKED],
}


def memory_of(records: list[Record], remembered_drops: int = 10) -> JournalState:
    entries = [Entry(number, record) for number, record in enumerate(records, 1)]
    return replay(entries, remembered_drops)


@pytest.mark.parametrize(("step", "kind"), list(itertools.product(DropStage, FOLLOWS)))
def test_every_record_after_every_step(step: DropStage, kind: type[Record]) -> None:
    state = memory_of(HISTORIES[step])
    assert state.stage_of("a") is step
    revision = 2 if step in (DropStage.RESULT, DropStage.ACKED) else 1
    candidates: dict[type[Record], Record] = {
        Accepted: ACCEPTED,
        Commanded: COMMANDED,
        Result: result(revision),
        Acked: ACKED,
    }
    entry = Entry(state.sequence + 1, candidates[kind])
    allowed: dict[DropStage, set[type[Record]]] = {
        DropStage.NONE: {Accepted, Result},
        DropStage.ACCEPTED: {Commanded, Result},
        DropStage.COMMANDED: {Result},
        DropStage.RESULT: {Result, Acked},
        DropStage.ACKED: {Result},
    }
    if kind not in allowed[step]:
        with pytest.raises(ImpossibleHistoryError):
            state.apply(entry)
        return
    state.apply(entry)
    after: dict[type[Record], DropStage] = {
        Accepted: DropStage.ACCEPTED,
        Commanded: DropStage.COMMANDED,
        Result: DropStage.RESULT,
        Acked: DropStage.ACKED,
    }
    assert state.stage_of("a") is after[kind]
    assert state.sequence == entry.sequence


@pytest.mark.parametrize("revision", [0, 1, 3])
def test_a_revision_out_of_order_is_impossible(revision: int) -> None:
    state = memory_of(HISTORIES[DropStage.RESULT])
    with pytest.raises(ImpossibleHistoryError):
        state.apply(Entry(9, result(revision)))


def test_an_acknowledgement_of_another_revision_is_impossible() -> None:
    state = memory_of(HISTORIES[DropStage.RESULT])
    with pytest.raises(ImpossibleHistoryError):
        state.apply(Entry(9, Acked("a", 2)))


def test_numbers_only_grow() -> None:
    state = memory_of([ACCEPTED])
    with pytest.raises(ImpossibleHistoryError):
        state.apply(Entry(1, COMMANDED))


def test_a_settled_drop_keeps_its_result_without_evidence() -> None:
    known = memory_of(HISTORIES[DropStage.ACKED]).settled["a"]
    assert known.sequence == 3
    assert known.result.outcome is Outcome.DISPENSED
    assert known.result.evidence == Evidence()


def test_the_oldest_settled_drops_are_forgotten() -> None:
    records: list[Record] = []
    for drop in "abcd":
        records += [result(1, drop), Acked(drop, 1)]
    state = memory_of(records, remembered_drops=2)
    assert list(state.settled) == ["c", "d"]
    assert state.stage_of("a") is DropStage.NONE


def test_replay_continues_after_the_last_number_ever_written() -> None:
    assert replay([Entry(3, ACCEPTED)], 10, last_sequence=8).sequence == 8


def test_a_deadline_holds_within_one_boot_only() -> None:
    assert start_deadline_ms(ACCEPTED, "boot") == 10_500
    assert start_deadline_ms(ACCEPTED, "another") is None


# --- what a compaction keeps ---

EVIDENCE = Evidence(contradiction="kept")


def next_records(state: JournalState, drop: str) -> list[Record]:
    known = state.result_of(drop)
    revision = known.result.revision + 1 if known else 1
    result = Result(drop, revision, Cause.BOARD_SILENT, EVIDENCE)
    match state.stage_of(drop):
        case DropStage.NONE:
            return [Accepted(drop, 1, 1000, 0, "boot"), result]
        case DropStage.ACCEPTED if state.commanded:
            return [result]  # one command is at the board at a time
        case DropStage.ACCEPTED:
            return [Commanded(drop, 1, Sensor.STOCKED), result]
        case DropStage.COMMANDED | DropStage.ACKED:
            return [result]
        case DropStage.RESULT:
            return [Acked(drop, revision - 1), result]


@given(st.data(), st.integers(1, 4), st.integers(0, 4))
def test_survivors_replay_to_the_same_memory(
    data: st.DataObject, remembered_drops: int, evidence_drops: int
) -> None:
    entries: list[Entry] = []
    state = replay(entries, remembered_drops)
    for _ in range(data.draw(st.integers(0, 40))):
        drop = data.draw(st.sampled_from("abcdefg"))
        record = data.draw(st.sampled_from(next_records(state, drop)))
        entry = Entry(state.sequence + 1, record)
        state.apply(entry)
        entries.append(entry)

    kept = survivors(entries, remembered_drops=remembered_drops, evidence_drops=evidence_drops)
    assert replay(kept, remembered_drops, state.sequence) == state
    again = survivors(kept, remembered_drops=remembered_drops, evidence_drops=evidence_drops)
    assert again == kept
    with_evidence = {
        entry.record.drop
        for entry in kept
        if isinstance(entry.record, Result) and entry.record.evidence == EVIDENCE
    }
    newest = list(state.settled)[max(0, len(state.settled) - evidence_drops) :]
    assert with_evidence == set(state.unacked) | set(newest)


def test_an_acknowledged_drop_leaves_its_result_and_its_acknowledgement() -> None:
    records: list[Record] = [
        Accepted("a", 1, 1000, 0, "boot"),
        Commanded("a", 1, Sensor.STOCKED),
        Result("a", 1, Cause.BOARD_SILENT, EVIDENCE),
        Acked("a", 1),
        Result("a", 2, Cause.BOARD_ACK_LATE, EVIDENCE),
        Acked("a", 2),
    ]
    entries = [Entry(number, record) for number, record in enumerate(records, 1)]
    kept = survivors(entries, remembered_drops=9, evidence_drops=9)
    assert [entry.sequence for entry in kept] == [5, 6]


def test_fault_59_a_command_that_may_still_be_answered_is_kept() -> None:
    records: list[Record] = [
        Accepted("a", 7, 1000, 0, "boot"),
        Commanded("a", 7, Sensor.STOCKED),
        Result("a", 1, Cause.BOARD_SILENT, EVIDENCE),
        Acked("a", 1),
    ]
    entries = [Entry(number, record) for number, record in enumerate(records, 1)]
    kept = survivors(entries, remembered_drops=9, evidence_drops=0)
    assert [entry.sequence for entry in kept] == [1, 2, 3, 4]
    unanswered = replay(kept, 9).unanswered
    assert unanswered is not None
    assert unanswered.slot == 7
