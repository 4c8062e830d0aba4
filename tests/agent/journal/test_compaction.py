from hypothesis import given
from hypothesis import strategies as st

from drink_agent.domain.evidence import Cause, Evidence, Sensor
from drink_agent.domain.records import Accepted, Acked, Commanded, Entry, Record, Result
from drink_agent.domain.recovery import DropStage, JournalState, replay
from drink_agent.journal.compaction import survivors

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
