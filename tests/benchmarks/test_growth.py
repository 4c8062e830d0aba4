from pathlib import Path

from benchmarks.rows_growth import write_journal
from drink_agent.domain.recovery import replay
from drink_agent.journal.file import Journal, read


def test_a_written_journal_is_one_that_an_agent_takes(tmp_path: Path) -> None:
    path = tmp_path / "agent.journal"
    write_journal(path, 41)
    journal, entries = Journal.open(path)
    journal.close()
    assert len(entries) == read(path).last_sequence == 41
    state = replay(entries, 100, 41)
    assert not state.unacked
    assert len(state.commanded) <= 1
