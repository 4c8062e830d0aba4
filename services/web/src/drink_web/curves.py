"""Lines through time, placed for templates that draw them as SVG.

A drawing is WIDTH by HEIGHT units and is stretched to its place; its texts stand beside it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 1_000, 100
"""Units of a large drawing."""

SPARK_WIDTH, SPARK_HEIGHT = 72, 18
"""Units of a small one, which are pixels."""

RANGE_C = 2.0
"""Least degrees from the bottom of a drawing to its top: noise is no mountain."""


@dataclass(frozen=True, slots=True)
class Part:
    """What was measured in a part of time.

    Attributes:
        begin_s: Begin of the part, in seconds since 1970.
        length_s: Its length.
        low: The lowest.
        mean: The mean.
        high: The highest.
    """

    begin_s: int
    length_s: int
    low: float
    mean: float
    high: float


@dataclass(frozen=True, slots=True)
class Curve:
    """A drawing.

    Attributes:
        line: Path of the means.
        band: Path of the area from the lowest to the highest.
        bottom: What is at the bottom.
        top: What is at the top.
        low: The lowest of all.
        high: The highest of all.
    """

    line: str
    band: str
    bottom: float
    top: float
    low: float
    high: float


def curve(
    parts: Sequence[Part],
    begin_s: int,
    end_s: int,
    *,
    width: int = WIDTH,
    height: int = HEIGHT,
) -> Curve:
    """Draws parts of time; where nothing is known the line is broken.

    Args:
        parts: At least one, in their order.
        begin_s: Begin of the drawing.
        end_s: Its end.
        width: Units of the drawing.
        height: Units of the drawing.
    """
    low, high = min(part.low for part in parts), max(part.high for part in parts)
    middle = (low + high) / 2
    bottom, top = min(low, middle - RANGE_C / 2), max(high, middle + RANGE_C / 2)

    def x(seconds: float) -> str:
        return f"{min(max((seconds - begin_s) / (end_s - begin_s), 0), 1) * width:.0f}"

    def y(value: float) -> str:
        return f"{(top - value) / (top - bottom) * height:.1f}"

    runs = _runs(parts)
    return Curve(
        line="".join("M" + "L".join(_edge(run, lambda part: part.mean, x, y)) for run in runs),
        band="".join(
            "M"
            + "L".join(
                [
                    *_edge(run, lambda part: part.high, x, y),
                    *reversed(_edge(run, lambda part: part.low, x, y)),
                ]
            )
            + "Z"
            for run in runs
        ),
        bottom=bottom,
        top=top,
        low=low,
        high=high,
    )


def _runs(parts: Sequence[Part]) -> Sequence[Sequence[Part]]:
    """The parts that follow each other without a gap."""
    runs: list[list[Part]] = []
    for part in parts:
        if runs and part.begin_s <= runs[-1][-1].begin_s + runs[-1][-1].length_s:
            runs[-1].append(part)
        else:
            runs.append([part])
    return runs


def _edge(
    run: Sequence[Part],
    value: Callable[[Part], float],
    x: Callable[[float], str],
    y: Callable[[float], str],
) -> list[str]:
    """Points of a line from the begin of the first part to the end of the last one."""
    first, last = run[0], run[-1]
    return [
        f"{x(first.begin_s)} {y(value(first))}",
        *(f"{x(part.begin_s + part.length_s / 2)} {y(value(part))}" for part in run),
        f"{x(last.begin_s + last.length_s)} {y(value(last))}",
    ]


@dataclass(frozen=True, slots=True)
class Steps:
    """A drawing of a number that changes at once.

    Attributes:
        line: Its path.
        top: The number at the top; at the bottom is 0.
    """

    line: str
    top: int


def steps(changes: Sequence[tuple[int, int]], before: int, begin_s: int, end_s: int) -> Steps:
    """Draws a number that stays until it changes.

    Args:
        changes: Times in seconds since 1970, and the number from then on, in their order.
        before: The number at the begin.
        begin_s: Begin of the drawing.
        end_s: Its end.
    """
    top = max(1, before, *(number for _, number in changes))

    def y(number: int) -> str:
        return f"{(top - number) / top * HEIGHT:.1f}"

    path = [f"M0 {y(before)}"]
    for at_s, number in changes:
        x = min(max((at_s - begin_s) / (end_s - begin_s), 0), 1) * WIDTH
        path.append(f"H{x:.0f}V{y(number)}")
    return Steps("".join([*path, f"H{WIDTH}"]), top)
