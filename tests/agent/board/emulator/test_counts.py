"""The emulated machine's own counts."""

from pathlib import Path

import pytest

from drink_agent.board.emulator.counts import Counts


def test_cans_and_motor_runs_are_counted_apart() -> None:
    counts = Counts({1: 2})
    counts.motor_started(1)
    counts.motor_started(1)
    counts.can_fell(1)
    assert counts.to_dict() == {"cans": {"1": 1}, "dispensed": {"1": 1}, "motor_runs": 2}
    assert [run["slot"] for run in counts.runs] == [1, 1]


def test_no_can_falls_from_an_empty_slot() -> None:
    with pytest.raises(AssertionError, match="empty"):
        Counts({1: 0}).can_fell(1)


def test_counts_survive_a_restart_and_go_before_the_options(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    counts = Counts({1: 2, 2: 5}, path)
    counts.motor_started(1)
    counts.can_fell(1)
    counts.refill(2, 9)
    again = Counts({1: 100}, path)
    assert again.to_dict() == counts.to_dict()
    assert again.runs == counts.runs


def test_a_state_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text("{}")
    with pytest.raises(ValueError, match=str(path)):
        Counts({}, path)


def test_runs_are_listed_up_to_a_limit_and_counted_beyond() -> None:
    counts = Counts({1: 1})
    for _ in range(1500):
        counts.motor_started(1)
    assert (len(counts.runs), counts.motor_runs) == (1000, 1500)
