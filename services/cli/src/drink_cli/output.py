"""Results on the standard output: tables and sentences for people, JSON for programs."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
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

FREE_TEXTS = {"item", "why", "what", "machine", "location"}
"""Columns that may take several lines where the terminal is narrow."""


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
                value is left out.
            empty: The sentence for no rows.
        """
        if self.is_json:
            _print_json(rows)
            return
        if not rows:
            self.say(empty)
            return
        shown = [
            field for field in columns if any(row.get(field) not in (None, "") for row in rows)
        ]
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for field in shown:
            is_number = any(isinstance(row.get(field), int | float) for row in rows)
            table.add_column(
                columns[field],
                justify="right" if is_number else "left",
                overflow="fold",
                # What is copied into the next command must not be broken into lines.
                no_wrap=field not in FREE_TEXTS,
            )
        for row in rows:
            table.add_row(*(_cell(row.get(field)) for field in shown))
        self.console.print(table)

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
        self.console.print(Text(printable(sentence)), soft_wrap=True)


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
