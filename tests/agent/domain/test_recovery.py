import itertools

import pytest

from drink_agent.domain.evidence import Cause, Evidence, Outcome, Sensor
from drink_agent.domain.records import Accepted, Acked, Commanded, Entry, Record, Result
from drink_agent.domain.recovery import (
    FOLLOWS,
    DropStage,
    ImpossibleHistoryError,
    JournalState,
    replay,
    start_deadline_ms,
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
