import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink_web.curves import HEIGHT, WIDTH, Part, curve, steps


def part(number: int, mean: float, spread: float = 1.0) -> Part:
    return Part(number * 100, 100, mean - spread, mean, mean + spread)


def test_a_line_goes_through_the_middle_of_each_part() -> None:
    drawn = curve([part(0, 2, 0), part(1, 4, 0)], 0, 200)
    assert drawn.line == "M0 100.0L250 100.0L750 0.0L1000 0.0"
    assert (drawn.bottom, drawn.top) == (2, 4)


def test_a_band_goes_from_the_lowest_to_the_highest_and_back() -> None:
    drawn = curve([part(0, 3)], 0, 100)
    assert drawn.band == "M0 0.0L500 0.0L1000 0.0L1000 100.0L500 100.0L0 100.0Z"
    assert (drawn.low, drawn.high) == (2, 4)


def test_where_nothing_is_known_the_line_is_broken() -> None:
    drawn = curve([part(0, 3), part(2, 3), part(3, 3)], 0, 400)
    assert drawn.line.count("M") == 2
    assert drawn.band.count("Z") == 2


def test_noise_is_no_mountain() -> None:
    drawn = curve([part(0, 4.0, 0), part(1, 4.1, 0)], 0, 200)
    assert drawn.top - drawn.bottom == pytest.approx(2)


def test_what_begins_before_the_drawing_is_cut() -> None:
    assert curve([part(0, 3)], 50, 100).line.startswith("M0 ")


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(-55, 125)), min_size=1))
def test_every_point_lies_in_the_drawing(found: list[tuple[int, float]]) -> None:
    parts = [part(number, mean) for number, mean in sorted(dict(found).items())]
    drawn = curve(parts, 0, 5_000)
    points = drawn.line.replace("M", " ").replace("L", " ").split()
    assert all(0 <= float(x) <= WIDTH for x in points[::2])
    assert all(-0.1 <= float(y) <= HEIGHT + 0.1 for y in points[1::2])


def test_a_number_stays_until_it_changes() -> None:
    drawn = steps([(25, 4), (50, 3)], 2, 0, 100)
    assert drawn.line == "M0 50.0H250V0.0H500V25.0H1000"
    assert drawn.top == 4


def test_a_slot_that_was_always_empty_is_drawn_at_the_bottom() -> None:
    assert steps([(25, 0)], 0, 0, 100).line == "M0 100.0H250V100.0H1000"
