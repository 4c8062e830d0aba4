import itertools

import pytest

from drink_agent.domain.evidence import Cause, Evidence, Outcome, Sensor
from drink_agent.domain.records import Accepted, Acked, Commanded, Entry, Record, Result
from drink_agent.domain.recovery import (
    FOLLOWS,
    ImpossibleHistoryError,
    Memory,
    Step,
    replay,
    start_deadline_ms,
)

ACCEPTED = Accepted("a", 1, 10_000, 500, "boot")
COMMANDED = Commanded("a", 1, Sensor.STOCKED)
ACKED = Acked("a", 1)


def result(revision: int, drop: str = "a") -> Result:
    evidence = Evidence(contradiction="something")
    return Result(drop, revision, Cause.BOARD_ACK, evidence)


HISTORIES: dict[Step, list[Record]] = {
    Step.NONE: [],
    Step.ACCEPTED: [ACCEPTED],
    Step.COMMANDED: [ACCEPTED, COMMANDED],
    Step.RESULT: [ACCEPTED, COMMANDED, result(1)],
    Step.ACKED: [ACCEPTED, COMMANDED, result(1), ACKED],
}


def memory_of(records: list[Record], remembered_drops: int = 10) -> Memory:
    entries = [Entry(number, record) for number, record in enumerate(records, 1)]
    return replay(entries, remembered_drops)


@pytest.mark.parametrize(("step", "kind"), list(itertools.product(Step, FOLLOWS)))
def test_every_record_after_every_step(step: Step, kind: type[Record]) -> None:
    memory = memory_of(HISTORIES[step])
    assert memory.step_of("a") is step
    revision = 2 if step in (Step.RESULT, Step.ACKED) else 1
    candidates: dict[type[Record], Record] = {
        Accepted: ACCEPTED,
        Commanded: COMMANDED,
        Result: result(revision),
        Acked: ACKED,
    }
    entry = Entry(memory.sequence + 1, candidates[kind])
    allowed: dict[Step, set[type[Record]]] = {
        Step.NONE: {Accepted, Result},
        Step.ACCEPTED: {Commanded, Result},
        Step.COMMANDED: {Result},
        Step.RESULT: {Result, Acked},
        Step.ACKED: {Result},
    }
    if kind not in allowed[step]:
        with pytest.raises(ImpossibleHistoryError):
            memory.apply(entry)
        return
    memory.apply(entry)
    after: dict[type[Record], Step] = {
        Accepted: Step.ACCEPTED,
        Commanded: Step.COMMANDED,
        Result: Step.RESULT,
        Acked: Step.ACKED,
    }
    assert memory.step_of("a") is after[kind]
    assert memory.sequence == entry.sequence


@pytest.mark.parametrize("revision", [0, 1, 3])
def test_a_revision_out_of_order_is_impossible(revision: int) -> None:
    memory = memory_of(HISTORIES[Step.RESULT])
    with pytest.raises(ImpossibleHistoryError):
        memory.apply(Entry(9, result(revision)))


def test_an_acknowledgement_of_another_revision_is_impossible() -> None:
    memory = memory_of(HISTORIES[Step.RESULT])
    with pytest.raises(ImpossibleHistoryError):
        memory.apply(Entry(9, Acked("a", 2)))


def test_numbers_only_grow() -> None:
    memory = memory_of([ACCEPTED])
    with pytest.raises(ImpossibleHistoryError):
        memory.apply(Entry(1, COMMANDED))


def test_a_settled_drop_keeps_its_result_without_evidence() -> None:
    known = memory_of(HISTORIES[Step.ACKED]).settled["a"]
    assert known.sequence == 3
    assert known.result.outcome is Outcome.DISPENSED
    assert known.result.evidence == Evidence()


def test_the_oldest_settled_drops_are_forgotten() -> None:
    records: list[Record] = []
    for drop in "abcd":
        records += [result(1, drop), Acked(drop, 1)]
    memory = memory_of(records, remembered_drops=2)
    assert list(memory.settled) == ["c", "d"]
    assert memory.step_of("a") is Step.NONE


def test_replay_continues_after_the_last_number_ever_written() -> None:
    assert replay([Entry(3, ACCEPTED)], 10, last_sequence=8).sequence == 8


def test_a_deadline_holds_within_one_boot_only() -> None:
    assert start_deadline_ms(ACCEPTED, "boot") == 10_500
    assert start_deadline_ms(ACCEPTED, "another") is None
