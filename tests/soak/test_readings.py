"""Which balances may have been read at which time."""

import pytest

from tests.soak.history import Reading
from tests.soak.readings import Mark, impossible_readings
from tests.support.oracle import Totals

TOTALS = [Totals(), Totals(0, 0, 0, 100), Totals(50, 0, 0, 100), Totals(0, 50, 0, 100)]
"""Nothing, a gift, a hold, its payment."""

MARKS = [Mark(1, 0, 5), Mark(2, 10, 20), Mark(3, 10, 30)]
"""The gift was known at 5; the drop was asked for at 10, accepted by 20 and paid by 30."""


@pytest.mark.parametrize(
    ("reading", "possible"),
    [
        (Reading("a", 6, 8, 100, 0), True),
        (Reading("a", 6, 8, 0, 0), False),
        (Reading("a", 6, 9, 50, 50), False),
        (Reading("a", 6, 12, 50, 50), True),
        (Reading("a", 21, 25, 50, 50), True),
        (Reading("a", 21, 25, 100, 0), False),
        (Reading("a", 21, 25, 50), True),
        (Reading("a", 31, 35, 50, 50), False),
        (Reading("a", 31, 35, 50, 0), True),
        (Reading("a", 31, 35, 51), False),
    ],
)
def test_a_reading_shows_one_moment_between_question_and_answer(
    reading: Reading, possible: bool
) -> None:
    assert bool(list(impossible_readings(TOTALS, MARKS, [reading]))) is not possible


def test_nobody_looks_back_in_time() -> None:
    marks = [Mark(1, 0, 5), Mark(2, 10, None), Mark(3, 10, None)]
    new, old = Reading("a", 12, 14, 50, 0), Reading("a", 15, 16, 50, 50)
    assert list(impossible_readings(TOTALS, marks, [old])) == []
    assert list(impossible_readings(TOTALS, marks, [new, old])) == [old]


def test_readings_at_the_same_time_may_differ() -> None:
    marks = [Mark(1, 0, 5), Mark(2, 10, None), Mark(3, 10, None)]
    both = [Reading("a", 12, 16, 50, 0), Reading("a", 15, 16, 50, 50)]
    assert list(impossible_readings(TOTALS, marks, both)) == []
