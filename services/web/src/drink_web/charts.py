"""Bars and columns of numbers, placed for templates that draw them as SVG.

Sizes are percentages of the drawing, so that it fits any window and its text keeps its size.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from drink.v1 import statistics_service_pb2 as pb

TOP, BOTTOM = 14.0, 84.0
"""Percent of the height between which columns stand: above is their number, below their label."""

FILLED = 0.7
"""Part of its place that a column takes."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A row with a bar.

    Attributes:
        label: What it is about.
        numbers: Of the API.
        percent: Length of the bar; the longest has 100.
        path: Of the page about it; empty for none.
    """

    label: str
    numbers: pb.Numbers
    percent: float
    path: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a drawing.

    Attributes:
        label: What it is about.
        mark: Its label in the drawing; empty for none, as there is little room.
        numbers: Of the API.
        x, y, width, height: Percent of the drawing.
        middle: Percent of the drawing's width at which its texts are centred.
        is_highest: Whether it is the first of the highest.
    """

    label: str
    mark: str
    numbers: pb.Numbers
    x: float
    y: float
    width: float
    height: float
    middle: float
    is_highest: bool


def bars(
    rows: Iterable[tuple[str, pb.Numbers, str]],
    most: int | None = None,
    others: Callable[[int], str] = str,
) -> Sequence[Bar]:
    """Bars for what was dispensed, the longest first.

    Args:
        rows: Label, numbers and path of each.
        most: Most rows with a bar of their own, if at least two are left for one together; None
            for all.
        others: The label of the bar of so many others, which comes last.
    """
    ordered = sorted(rows, key=lambda row: (-row[1].dispensed, row[0]))
    if most is not None and len(ordered) >= most + 2:
        rest = [numbers for _, numbers, _ in ordered[most:]]
        together = pb.Numbers(
            dispensed=sum(numbers.dispensed for numbers in rest),
            spent_credits=sum(numbers.spent_credits for numbers in rest),
        )
        ordered = [*ordered[:most], (others(len(rest)), together, "")]
    longest = max((numbers.dispensed for _, numbers, _ in ordered), default=0) or 1
    return [
        Bar(label, numbers, round(100 * numbers.dispensed / longest, 2), path)
        for label, numbers, path in ordered
    ]


def columns(
    labels: Sequence[str], marks: Mapping[int, str], numbers: Mapping[int, pb.Numbers]
) -> Sequence[Column]:
    """Columns for what was dispensed, one for each label.

    Args:
        labels: What each is about.
        marks: Labels in the drawing, by place.
        numbers: By place; places without any are empty.
    """
    none = pb.Numbers()
    found = [numbers.get(place, none) for place in range(len(labels))]
    highest = max((each.dispensed for each in found), default=0)
    first = next((place for place, each in enumerate(found) if each.dispensed == highest), 0)
    room = 100 / max(len(labels), 1)
    made = []
    for place, (label, each) in enumerate(zip(labels, found, strict=True)):
        height = (BOTTOM - TOP) * each.dispensed / (highest or 1)
        made.append(
            Column(
                label,
                marks.get(place, ""),
                each,
                x=round((place + (1 - FILLED) / 2) * room, 2),
                y=round(BOTTOM - height, 2),
                width=round(FILLED * room, 2),
                height=round(height, 2),
                middle=round((place + 0.5) * room, 2),
                is_highest=highest > 0 and place == first,
            )
        )
    return made
