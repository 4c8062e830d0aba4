import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from drink_cli.output import Output
from drink_cli.text import printable


def _people(width: int = 80, *, terminal: bool = False) -> tuple[Output, io.StringIO]:
    text = io.StringIO()
    console = Console(file=text, width=width, force_terminal=terminal, highlight=False)
    return Output(is_json=False, console=console), text


def test_rows_are_a_table_with_numbers_at_the_right() -> None:
    output, text = _people()

    output.rows(
        [{"item": "Coke", "price": 5}, {"item": "Mountain Dew", "price": 100}],
        {"item": "ITEM", "price": "PRICE"},
        "nothing",
    )

    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    assert lines == ["ITEM          PRICE", "Coke              5", "Mountain Dew    100"]


def test_a_column_without_a_value_is_left_out() -> None:
    output, text = _people()

    output.rows([{"item": "Coke", "why": ""}], {"item": "ITEM", "why": "WHY"}, "nothing")

    assert "WHY" not in text.getvalue()


def test_no_rows_are_a_sentence() -> None:
    output, text = _people()

    output.rows([], {"item": "ITEM"}, "nothing here")

    assert text.getvalue() == "nothing here\n"


def test_names_with_markup_are_shown_as_they_are() -> None:
    output, text = _people()

    output.rows([{"item": "[red]Coke[/red] :beer:"}], {"item": "ITEM"}, "")
    output.say("[bold]x")

    assert "[red]Coke[/red] :beer:" in text.getvalue()
    assert "[bold]x" in text.getvalue()


def test_control_bytes_never_reach_the_terminal() -> None:
    output, text = _people(terminal=True)

    output.rows([{"item": "a\x1b]0;title\x07b"}], {"item": "ITEM"}, "")
    output.say("c\x1b[31md")

    assert "\x1b]0" not in text.getvalue()
    assert "c\x1b[31m" not in text.getvalue()


ROWS = [
    {"item": "Coke", "price": 5, "why": "", "drop": "01M8KBKH0H7BRYWEC9YZ3MWP89"},
    {"item": "Club-Mate", "price": 50, "why": "it hangs", "drop": "01M8KBKH0H7BRYWEC9YZ3MWP8A"},
]
COLUMNS = {"item": "ITEM", "price": "PRICE", "why": "WHY", "drop": "DROP"}


def _lines(width: int, *, terminal: bool) -> list[str]:
    output, text = _people(width=width, terminal=terminal)
    output.rows(ROWS, COLUMNS, "")
    return re.sub(r"\x1b\[[0-9;]*m", "", text.getvalue()).splitlines()


def test_what_a_terminal_is_too_narrow_for_stands_below_each_row() -> None:
    assert _lines(50, terminal=True) == [
        "ITEM       PRICE  WHY",
        "Coke           5",
        "    DROP 01M8KBKH0H7BRYWEC9YZ3MWP89",
        "Club-Mate     50  it hangs",
        "    DROP 01M8KBKH0H7BRYWEC9YZ3MWP8A",
    ]
    assert _lines(20, terminal=True) == [
        "ITEM       PRICE",
        "Coke           5",
        "    DROP 01M8KBKH0H7BRYWEC9YZ3MWP89",
        "Club-Mate     50",
        "    WHY it hangs",
        "    DROP 01M8KBKH0H7BRYWEC9YZ3MWP8A",
    ]


@pytest.mark.parametrize("width", [1, 80, 200])
def test_a_file_gets_a_line_for_each_row(width: int) -> None:
    lines = _lines(width, terminal=False)

    assert lines[0] == "ITEM       PRICE  WHY       DROP"
    assert [len(line.split()) for line in lines[1:]] == [3, 5]


@given(
    st.lists(
        st.fixed_dictionaries({name: st.text(max_size=30) for name in COLUMNS}),
        min_size=1,
        max_size=4,
    ),
    st.integers(20, 200),
)
def test_no_fact_is_cut_off_at_any_width(rows: list[dict[str, str]], width: int) -> None:
    output, text = _people(width=width, terminal=True)

    output.rows(rows, COLUMNS, "nothing")

    for row in rows:
        for value in row.values():
            assert printable(value).strip() in text.getvalue()


def test_a_sentence_is_broken_between_words_on_a_terminal_only() -> None:
    sentence = "Please do not buy again for it: somebody looks"
    terminal, shown = _people(width=20, terminal=True)
    file, written = _people(width=20)

    terminal.say(sentence)
    file.say(sentence)

    assert [line.strip() for line in shown.getvalue().splitlines()] == [
        "Please do not buy", "again for it:", "somebody looks",
    ]  # fmt: skip
    assert written.getvalue() == sentence + "\n"


def test_programs_get_json(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(is_json=True)

    output.rows([{"item": "Süß", "price": 5}], {"item": "ITEM"}, "nothing")

    assert json.loads(capsys.readouterr().out) == [{"item": "Süß", "price": 5}]


def test_programs_get_a_line_for_each_event(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(is_json=True)

    output.event({"a": 1}, "one")
    output.event({"a": 2}, "two")

    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"a": 1},
        {"a": 2},
    ]


def test_only_a_terminal_is_drawn_over() -> None:
    assert _people(terminal=True)[0].is_live
    assert not _people()[0].is_live
    assert not Output(is_json=True).is_live
