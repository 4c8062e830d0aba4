"""The table of results: rows with their ratios, as Markdown, as JSON, and within a page."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

_BY = "make bench"
BEGIN = f"<!-- Written by `{_BY}`. -->"
END = f"<!-- End of what `{_BY}` writes. -->"


class Goal(StrEnum):
    """Which side of the limit is good."""

    AT_LEAST = "at least"
    AT_MOST = "at most"
    NONE = ""
    """Reported beside others, without a goal."""


@dataclass(frozen=True, slots=True)
class Row:
    """One result.

    Attributes:
        what: What was measured.
        ours: The number of the services.
        unit: Of both numbers.
        reference: The number that it is measured against; None where the goal is absolute.
        against: What that is.
        goal: Which side of the limit is good.
        limit: For the ratio to the reference, or for the number itself where there is none.
        note: How it differs from a full run, and what else was seen.
        aim: What the goal's limit may become; None where it is meant to stay.
        limited_by: What keeps the number from being better, shown if the goal is missed.
    """

    what: str
    ours: float
    unit: str
    reference: float | None = None
    against: str = ""
    goal: Goal = Goal.NONE
    limit: float = 0
    note: str = ""
    aim: float | None = None
    limited_by: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours by the reference."""
        return self.ours / self.reference if self.reference else None

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        value = self.ours if self.reference is None else self.ratio
        if value is None or self.goal is Goal.NONE:
            return None
        return value >= self.limit if self.goal is Goal.AT_LEAST else value <= self.limit


def as_json(
    rows: Sequence[Row],
    machine: Mapping[str, str],
    sizes: Mapping[str, object],
    stages_ms: Mapping[str, float],
) -> str:
    """Everything about a run, for programs."""
    results = [asdict(row) | {"ratio": row.ratio, "reached": row.reached} for row in rows]
    everything = {
        "machine": dict(machine),
        "sizes": dict(sizes),
        "rows": results,
        "stages_ms": dict(stages_ms),
    }
    return json.dumps(everything, indent=2) + "\n"


def as_markdown(rows: Sequence[Row]) -> str:
    """The table, for people; and what limits each row that misses its goal."""
    lines = [
        "| what | ours | against | its number | ratio | to reach | |",
        "| --- | ---: | --- | ---: | ---: | --- | --- |",
    ]
    for row in rows:
        goal = f"{row.goal} {_goal_number(row)}" if row.goal else ""
        goal += "" if row.aim is None else f", aim {row.aim:g}"
        mark = {True: "reached", False: "**missed**", None: ""}[row.reached]
        reference = "" if row.reference is None else f"{_number(row.reference)} {row.unit}"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        what = f"{row.what}; {row.note}" if row.note else row.what
        ours = f"{_number(row.ours)} {row.unit}"
        lines.append(
            f"| {what} | {ours} | {row.against} | {reference} | {ratio} | {goal} | {mark} |"
        )
    missed = [row for row in rows if row.reached is False]
    if missed:
        lines += ["", "| what falls short | what limits it |", "| --- | --- |"]
        lines += [f"| {row.what} | {row.limited_by or 'not examined'} |" for row in missed]
    return "\n".join(lines) + "\n"


def facts(machine: Mapping[str, str]) -> str:
    """What the machine is, as Markdown."""
    return "".join(f"- {name}: {value}\n" for name, value in machine.items())


def write_into(page: Path, text: str, by: str = _BY) -> None:
    """Replaces what stands between the markers of a page.

    Args:
        page: The page.
        text: What is to stand there.
        by: The command that writes it, as the markers name it.

    Raises:
        ValueError: the page does not have both.
    """
    first, last = (mark.replace(_BY, by) for mark in (BEGIN, END))
    before, begin, rest = page.read_text(encoding="utf-8").partition(first)
    _, end, after = rest.partition(last)
    if not (begin and end):
        raise ValueError(f"{page} does not say where the results go")
    page.write_text(f"{before}{first}\n\n{text.strip()}\n\n{last}{after}", encoding="utf-8")


def _goal_number(row: Row) -> str:
    return f"{row.limit:g}" if row.reference is not None else f"{row.limit:g} {row.unit}"


def _number(value: float) -> str:
    """Three digits that matter, thousands apart."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
