import pytest

from drink.v1 import statistics_service_pb2 as pb
from drink_web.charts import BOTTOM, TOP, bars, columns


def numbers(dispensed: int) -> pb.Numbers:
    return pb.Numbers(dispensed=dispensed)


def test_the_longest_bar_is_first_and_the_others_are_parts_of_it() -> None:
    made = bars([("Tea", numbers(1), ""), ("Mate", numbers(4), "/m"), ("Coke", numbers(1), "")])
    assert [(bar.label, bar.percent, bar.path) for bar in made] == [
        ("Mate", 100.0, "/m"),
        ("Coke", 25.0, ""),
        ("Tea", 25.0, ""),
    ]


def test_rows_that_are_too_many_share_the_last_bar() -> None:
    rows = [(name, numbers(count), "") for name, count in (("a", 4), ("b", 3), ("c", 3), ("d", 2))]

    def label(count: int) -> str:
        return f"{count} others"

    assert [(bar.label, bar.percent) for bar in bars(rows, 2, label)] == [
        ("a", 80.0),
        ("b", 60.0),
        # Together they are more than the longest one.
        ("2 others", 100.0),
    ]
    # One that is left has a bar of its own.
    assert [bar.label for bar in bars(rows, 3, label)] == ["a", "b", "c", "d"]


def test_bars_of_nothing_have_no_length() -> None:
    assert bars([]) == []
    assert [bar.percent for bar in bars([("Tea", numbers(0), "")])] == [0.0]


def test_columns_stand_on_one_line_inside_the_drawing() -> None:
    made = columns(["a", "b", "c"], {0: "A"}, {0: numbers(5), 2: numbers(10)})
    assert [column.mark for column in made] == ["A", "", ""]
    assert [column.is_highest for column in made] == [False, False, True]
    assert [column.height for column in made] == [(BOTTOM - TOP) / 2, 0.0, BOTTOM - TOP]
    for place, column in enumerate(made):
        assert column.y + column.height == pytest.approx(BOTTOM)
        assert place / 3 * 100 < column.x < column.middle < column.x + column.width
        assert column.x + column.width < (place + 1) / 3 * 100


def test_the_first_of_several_highest_is_marked() -> None:
    made = columns(["a", "b"], {}, {0: numbers(2), 1: numbers(2)})
    assert [column.is_highest for column in made] == [True, False]


def test_no_column_is_the_highest_of_nothing() -> None:
    assert not any(column.is_highest for column in columns(["a", "b"], {}, {}))
    assert columns([], {}, {}) == []
