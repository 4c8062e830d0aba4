import io
import json

import pytest
from rich.console import Console

from drink_cli.output import Output


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


def test_a_narrow_terminal_keeps_what_is_copied_in_one_line() -> None:
    output, text = _people(width=60)
    drop = "01M8KBKH0H7BRYWEC9YZ3MWP89"

    output.rows(
        [{"why": "the board reported late that it ran the motor", "drop": drop}],
        {"why": "WHY", "drop": "DROP"},
        "",
    )

    assert drop in text.getvalue()


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
