"""Results on the standard output: tables and sentences for people, JSON for programs."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from drink_cli.text import printable

STYLES = {
    "ready": "green",
    "dispensed": "green",
    "offline": "red",
    "board down": "red",
    "unknown": "bold yellow",
    "not dispensed": "yellow",
    "sold out": "red",
    "out of service": "red",
}
"""Colours of words. Each word says by itself what its colour repeats."""

GAP = "  "
"""Between columns, and between the facts below a row."""

INDENT = "    "
"""Before the facts below a row."""


class _Console(Console):
    """A console that leaves it to the command what happens when nobody reads any more."""

    def on_broken_pipe(self) -> None:
        """See `Console`, which would end the program with a code that means something else."""
        raise BrokenPipeError


class Output:
    """Where a command's results go.

    Args:
        is_json: Whether they are for a program.
        console: Where people read; made by default, with colours on a terminal only and none if
            `NO_COLOR` is set.
    """

    def __init__(self, *, is_json: bool, console: Console | None = None) -> None:
        self.is_json = is_json
        self.console = console or _Console(highlight=False, markup=False, emoji=False)

    @property
    def is_live(self) -> bool:
        """Whether a line may be drawn over: a person looks at a terminal."""
        return not self.is_json and self.console.is_terminal

    def rows(
        self, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], empty: str
    ) -> None:
        """Shows rows: a table of some of their fields, or a JSON array of all.

        Args:
            rows: Each a mapping of JSON values.
            columns: Heading by field, in order; numbers stand at the right. A column without a
                value is left out. Those that a terminal is too narrow for stand below each row.
            empty: The sentence for no rows.
        """
        if self.is_json:
            _print_json(rows)
            return
        if not rows:
            self.say(empty)
            return
        table = _Table(rows, columns)
        width = self.console.width if self.console.is_terminal else None
        for line in table.lines(width):
            self.console.print(line, soft_wrap=True)

    def result(self, facts: Mapping[str, Any], sentence: str) -> None:
        """Shows one result: a sentence, or a JSON object."""
        if self.is_json:
            _print_json(facts)
        else:
            self.say(sentence)

    def event(self, facts: Mapping[str, Any], sentence: str) -> None:
        """Shows one of many results that come one after the other: a line of each."""
        if self.is_json:
            sys.stdout.write(json.dumps(facts, ensure_ascii=False) + "\n")
            sys.stdout.flush()
        else:
            self.say(sentence)

    def say(self, sentence: str) -> None:
        """A sentence for a person."""
        # A terminal breaks lines between words; a program gets the sentence in one line.
        self.console.print(Text(printable(sentence)), soft_wrap=not self.console.is_terminal)


class _Table:
    """Rows as lines of a table.

    Args:
        rows: Each a mapping of JSON values.
        columns: Heading by field.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
        shown = [
            field for field in columns if any(row.get(field) not in (None, "") for row in rows)
        ]
        self._headings = [Text(columns[field], style="bold") for field in shown]
        self._rows = [[_cell(row.get(field)) for field in shown] for row in rows]
        self._is_number = [
            any(isinstance(row.get(field), int | float) for row in rows) for field in shown
        ]
        self._widths = [
            max(text.cell_len for text in column)
            for column in zip(self._headings, *self._rows, strict=True)
        ]

    def lines(self, width: int | None) -> Iterator[Text]:
        """The lines: the headings, and each row with what did not fit in below it.

        Args:
            width: Columns of the terminal; None for a table as wide as it needs.
        """
        first = self._fitting(width)
        yield self._line(self._headings[:first])
        for row in self._rows:
            yield self._line(row[:first])
            yield from self._below(row, first, width or 0)

    def _fitting(self, width: int | None) -> int:
        """How many columns the terminal has room for; at least one."""
        if width is None:
            return len(self._widths)
        used, first = -len(GAP), 0
        for column in self._widths:
            used += len(GAP) + column
            if used > width:
                break
            first += 1
        return max(first, 1)

    def _line(self, cells: Sequence[Text]) -> Text:
        line = Text()
        for cell, width, is_number in zip(cells, self._widths, self._is_number, strict=False):
            room = " " * (width - cell.cell_len)
            line.append(GAP if line else "")
            line.append(room if is_number else "").append_text(cell)
            line.append("" if is_number else room)
        line.rstrip()
        return line

    def _below(self, row: Sequence[Text], first: int, width: int) -> Iterator[Text]:
        """The facts that do not stand in the row, as many in a line as it has room for."""
        line = Text(INDENT)
        for heading, cell in zip(self._headings[first:], row[first:], strict=True):
            if not cell:
                continue
            fact = Text.assemble(heading, " ", cell)
            if line.cell_len + len(GAP) + fact.cell_len > width and line.cell_len > len(INDENT):
                yield line
                line = Text(INDENT)
            line.append(GAP if line.cell_len > len(INDENT) else "").append_text(fact)
        if line.cell_len > len(INDENT):
            yield line


def _cell(value: Any) -> Text:
    if value is None:
        return Text("")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    text = printable(str(value))
    return Text(text, style=STYLES.get(text, ""))


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()
