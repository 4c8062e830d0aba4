"""The command that shows what a machine's thermometer showed."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from drink.v1 import machine_service_pb2 as pb
from drink_cli.context import command, shared
from drink_cli.text import iso_time, local_time, short

COLUMNS_MAX = 72
"""Columns of the widest graph, which fits into a terminal of 80."""

HEIGHT = 6
"""Lines of the graph."""

STEPS_S = (300, 900, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400)
"""Times that a column of the graph stands for, in seconds; all can be asked for."""

HOURS_MAX = COLUMNS_MAX * 24
"""Hours of the longest graph: a column for each day."""

BLOCKS = " ▁▂▃▄▅▆▇█"
"""Characters for eighths of a line, from none to all."""


@command
def temperatures(
    context: typer.Context,
    machine: Annotated[str, typer.Argument(help="The machine.")],
    *,
    hours: Annotated[
        int, typer.Option(min=1, max=HOURS_MAX, help="Of so many hours until now.")
    ] = 24,
) -> None:
    """Show how warm a machine was: a small graph, or all numbers with --json."""
    options = shared(context)
    step_s = next(step_s for step_s in STEPS_S if hours * 3_600 <= step_s * COLUMNS_MAX)
    begin = datetime.now(UTC) - timedelta(hours=hours)
    request = pb.ListTemperaturesRequest(
        machine=f"machines/{machine}",
        start_time=Timestamp(seconds=int(begin.timestamp())),
        step=Duration(seconds=step_s),
    )
    with options.api() as api:
        found = api.rows(api.machines.ListTemperatures, request, "temperatures", public=True)
    if options.output.is_json:
        options.output.rows([_facts(each) for each in found], {}, "")
    elif not found:
        options.output.say("no temperature is known of that time")
    else:
        for line in graph(found, request.start_time.seconds, hours * 3_600, step_s):
            options.output.say(line)


def graph(
    found: Sequence[pb.Temperature], begin_s: int, length_s: int, step_s: int
) -> Sequence[str]:
    """The mean of each step as a column, with an axis of degrees and one of time.

    Args:
        found: At least one temperature, in their order.
        begin_s: Begin of the time, in seconds since 1970.
        length_s: Its length.
        step_s: Length of a step.
    """
    first_s = begin_s // step_s * step_s
    width = (begin_s + length_s - first_s) // step_s + 1
    columns: list[float | None] = [None] * width
    for each in found:
        place = (each.start_time.seconds - first_s) // step_s
        # What is kept by the hour stands for all of its hour.
        for column in range(place, place + max(1, each.step.seconds // step_s)):
            if 0 <= column < width:
                columns[column] = each.mean_celsius
    low, high = min(each.min_celsius for each in found), max(each.max_celsius for each in found)
    known_s = sum(each.known_duration.seconds for each in found) or 1
    mean = sum(each.mean_celsius * each.known_duration.seconds for each in found) / known_s
    # A thermometer that stands still is a line in the middle, and noise is no mountain.
    bottom, top = (low + high) / 2 - 1, (low + high) / 2 + 1
    bottom, top = min(low, bottom), max(high, top)
    labels = {0: f"{top:.1f}", HEIGHT - 1: f"{bottom:.1f}"}
    margin = max(map(len, labels.values()))
    lines = [f"{mean:.1f} °C on average, {low:.1f} °C at least, {high:.1f} °C at most"]
    for line in range(HEIGHT):
        cells = "".join(_block(each, bottom, top, HEIGHT - 1 - line) for each in columns).rstrip()
        lines.append(f"{labels.get(line, ''):>{margin}} │{cells}")
    begin, end = (
        local_time(Timestamp(seconds=seconds))[:-3] for seconds in (first_s, begin_s + length_s)
    )
    lines.append(f"{'':>{margin}} └{'─' * width}")
    lines.append(f"{'':>{margin}}  {begin}{end:>{max(width - len(begin), len(end) + 1)}}")
    return lines


def _block(celsius: float | None, bottom: float, top: float, line: int) -> str:
    """What a column shows in a line, counted from below."""
    if celsius is None:
        return " "
    # At least an eighth, so that the coldest is told from what is not known.
    eighths = max(1, round((celsius - bottom) / (top - bottom) * HEIGHT * 8))
    return BLOCKS[min(8, max(0, eighths - line * 8))]


def _facts(temperature: pb.Temperature) -> dict[str, Any]:
    return {
        "machine": short(temperature.machine),
        "start_time": iso_time(temperature.start_time),
        "step_seconds": temperature.step.seconds,
        "min_celsius": temperature.min_celsius,
        "mean_celsius": temperature.mean_celsius,
        "max_celsius": temperature.max_celsius,
        "known_seconds": temperature.known_duration.seconds,
    }
