import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.table import BEGIN, END, Goal, Row, as_json, as_markdown, write_into

ROW = Row("drops per second", 900, "/s", 1_500, "durable relay", Goal.AT_LEAST, 0.6)


@pytest.mark.parametrize(
    ("row", "ratio", "reached"),
    [
        (ROW, 0.6, True),
        (replace(ROW, ours=899), 899 / 1_500, False),
        (replace(ROW, goal=Goal.AT_MOST, ours=900), 0.6, True),
        (replace(ROW, goal=Goal.AT_MOST, ours=901), 901 / 1_500, False),
        (replace(ROW, goal=Goal.NONE), 0.6, None),
        (Row("start", 1.5, "s", goal=Goal.AT_MOST, limit=2), None, True),
        (Row("start", 2.5, "s", goal=Goal.AT_MOST, limit=2), None, False),
        (replace(ROW, reference=0), None, None),
    ],
)
def test_a_row_knows_its_ratio_and_whether_its_goal_is_reached(
    row: Row, ratio: float | None, reached: bool | None
) -> None:
    assert row.ratio == ratio
    assert row.reached is reached


def test_the_table_for_people() -> None:
    rows = [
        replace(ROW, ours=1_234.5, note="a note"),
        Row("start", 2.5, "s", goal=Goal.AT_MOST, limit=2, aim=1, limited_by="imports"),
        Row("stop", 2.5, "s", goal=Goal.AT_MOST, limit=2),
    ]
    _, _, first, second, _, blank, _, _, *limits = as_markdown(rows).splitlines()
    assert first == (
        "| drops per second; a note | 1,234 /s | durable relay | 1,500 /s | 0.82"
        " | at least 0.6 | reached |"
    )
    assert second == "| start | 2.5 s |  |  |  | at most 2 s, aim 1 | **missed** |"
    assert not blank
    assert limits == ["| start | imports |", "| stop | not examined |"]


def test_a_table_without_a_miss_says_nothing_of_limits() -> None:
    assert len(as_markdown([ROW, replace(ROW, goal=Goal.NONE)]).splitlines()) == 4


def test_the_table_for_programs() -> None:
    told = json.loads(as_json([ROW], {"CPU": "2 cores"}, {"rounds": 3}, {"ask": 1.5}))
    assert told["machine"] == {"CPU": "2 cores"}
    assert told["sizes"] == {"rounds": 3}
    assert told["stages_ms"] == {"ask": 1.5}
    (row,) = told["rows"]
    assert (row["ours"], row["reference"], row["ratio"], row["reached"]) == (900, 1_500, 0.6, True)


def test_results_replace_what_stands_between_the_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_into(page, "new\n")
    write_into(page, "newer\n")
    assert page.read_text() == f"before\n{BEGIN}\n\nnewer\n\n{END}\nafter\n"


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END} {BEGIN}"])
def test_a_page_without_markers_stays_as_it_is(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(ValueError, match="does not say where"):
        write_into(page, "new")
    assert page.read_text() == text
