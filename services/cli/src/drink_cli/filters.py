"""Options that select drops and entries, the same for every command that lists them."""

from datetime import datetime
from typing import Annotated, Any

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from drink_cli.errors import CommandError, Exit
from drink_cli.purchase import slot_name

At = Annotated[
    str | None,
    typer.Option(metavar="PLACE", help="At this machine or slot only, such as d or d/1."),
]
Item = Annotated[str | None, typer.Option(help="Of this item only, as it was called then.")]
Since = Annotated[
    datetime | None, typer.Option(help="Of this local time or later only, such as 2026-11-29.")
]
Before = Annotated[datetime | None, typer.Option(help="Before this local time only.")]


def drop_filters(
    at: str | None, item: str | None, since: datetime | None, before: datetime | None
) -> dict[str, Any]:
    """The fields of a ListDropsRequest for these options.

    Raises:
        CommandError: an option says nothing that can be selected.
    """
    if item == "":
        raise CommandError("--item needs a name", Exit.USAGE)
    fields: dict[str, Any] = {"item": item or "", **time_range(since, before)}
    if at is not None:
        fields["place"] = slot_name(at) if "/" in at else f"machines/{at}"
    return fields


def time_range(since: datetime | None, before: datetime | None) -> dict[str, Any]:
    """The fields `start_time` and `end_time` of a request, as far as they are given.

    Raises:
        CommandError: a time is too far away.
    """
    given = {"start_time": since, "end_time": before}
    return {field: _stamp(time) for field, time in given.items() if time is not None}


def _stamp(time: datetime) -> Timestamp:
    stamp = Timestamp()
    try:
        stamp.FromDatetime(time.astimezone())
    except (OverflowError, ValueError):
        raise CommandError(f"too far away: {time}", Exit.USAGE) from None
    return stamp
