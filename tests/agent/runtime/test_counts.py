import pytest

from drink_agent.domain.events import BoardOutcome, BoardStatus
from drink_agent.domain.evidence import Cause, Evidence
from drink_agent.link.convert import MOTOR_TIMES_S
from drink_agent.runtime.counts import BoardCounts


def after(cause: Cause, seconds: float) -> BoardCounts:
    """The counters after one command."""
    counts = BoardCounts()
    counts.commanded("a", 100.0)
    counts.outcome(BoardOutcome("a", cause, Evidence()), 100.0 + seconds)
    return counts


@pytest.mark.parametrize(("seconds", "place"), [(0.0, 0), (0.5, 0), (0.51, 1), (10, 7), (11, 8)])
def test_an_answer_is_counted_by_its_time(seconds: float, place: int) -> None:
    counts = after(Cause.BOARD_ACK, seconds)
    assert counts.motor_times == [int(at == place) for at in range(len(MOTOR_TIMES_S) + 1)]
    assert counts.motor_seconds == pytest.approx(seconds)
    assert counts.timeouts == 0


def test_silence_is_counted_and_is_no_time_of_a_motor() -> None:
    counts = after(Cause.BOARD_SILENT, 10.0)
    assert (counts.timeouts, sum(counts.motor_times)) == (1, 0)


@pytest.mark.parametrize("cause", [Cause.BOARD_UNREACHABLE, Cause.BOARD_LOST, Cause.DECLARED])
def test_what_the_board_did_not_answer_is_no_time_of_a_motor(cause: Cause) -> None:
    counts = after(cause, 1.0)
    assert (counts.timeouts, sum(counts.motor_times)) == (0, 0)


def test_a_clock_that_goes_back_counts_as_no_time() -> None:
    assert after(Cause.BOARD_ACK, -5.0).motor_seconds == 0


def test_an_outcome_of_another_command_is_not_counted() -> None:
    counts = after(Cause.BOARD_ACK, 1.0)
    for drop in ("a", "b"):
        counts.outcome(BoardOutcome(drop, Cause.BOARD_ACK, Evidence()), 102.0)
    assert sum(counts.motor_times) == 1


def test_each_end_of_readiness_is_counted_once() -> None:
    counts = BoardCounts()
    for ready in (False, True, True, False, False, True, False):
        counts.status(BoardStatus(ready=ready))
    assert counts.losses == 2
