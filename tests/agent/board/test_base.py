"""What all drivers do alike."""

import pytest

from drink_agent.board.base import is_power_of_ten
from drink_agent.board.port import StatusChanged
from tests.fakes.board_bench import dispensing_bench, ready_bench, tini_bench


def test_a_disconnected_driver_waits_for_nothing() -> None:
    board = tini_bench()
    assert board.driver.next_deadline is None
    board.pass_s(10_000)
    assert board.effects == []


def test_a_changed_status_comes_after_what_changed_it() -> None:
    board = dispensing_bench()
    board.pass_s(10)
    assert isinstance(board.effects[-1], StatusChanged)
    assert board.effects.index(board.ended[0]) < len(board.effects) - 1


def test_the_status_is_what_the_last_event_said() -> None:
    board = ready_bench()
    board.lose()
    assert board.driver.status == board.statuses[-1]


@pytest.mark.parametrize(
    ("number", "is_one"),
    [(1, True), (2, False), (10, True), (11, False), (100, True), (200, False)],
)
def test_powers_of_ten(number: int, is_one: bool) -> None:
    assert is_power_of_ten(number) is is_one
