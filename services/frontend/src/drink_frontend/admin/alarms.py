"""Alarms: what an operator should examine, who examines it, and its end."""

import json
from typing import Annotated

import typer

from drink_frontend.admin.command import moment, operator, recorded, run
from drink_frontend.domain.alarms import Alarm, AlarmState

ROWS_MAX = 1_000
"""Most alarms a command shows."""

alarm = typer.Typer(help="One alarm.", no_args_is_help=True)

Number = Annotated[int, typer.Argument(min=1, help="The alarm's number, as `alarms` shows it.")]


def alarms(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=ROWS_MAX, help="At most this many.")] = 50,
    *,
    closed: Annotated[bool, typer.Option("--closed", help="Closed ones instead.")] = False,
) -> None:
    """Show the alarms that are not closed: unknown drops, contradictions, floods."""
    states = (AlarmState.CLOSED,) if closed else ()
    found = run(context, lambda drink: drink.alarms.list(states, limit=limit))
    for each in reversed(found):
        _show(each)
    if not found:
        typer.echo("Nothing to look at.")


@alarm.command()
@recorded
def acknowledge(context: typer.Context, number: Number) -> None:
    """Say that you examine an alarm; who did so first stays."""
    _show(run(context, lambda drink: drink.alarms.acknowledge(operator(), number)))


@alarm.command()
@recorded
def close(
    context: typer.Context,
    number: Number,
    why: Annotated[str, typer.Option(help="What you found, for the audit log.")] = "",
) -> None:
    """Close an alarm whose cause is gone. One about an unknown drop ends with `drops resolve`."""
    _show(run(context, lambda drink: drink.alarms.close(operator(), number, why)))


def _show(each: Alarm) -> None:
    parts = [moment(each.last_ms), each.severity, each.kind, each.subject]
    if "price" in each.facts:
        parts.append(f"{each.facts['price']} credits held")
    if each.count > 1:
        parts.append(f"{each.count} times since {moment(each.opened_ms)}")
    parts.append(json.dumps(each.facts, ensure_ascii=False))
    if each.acknowledged_by is not None:
        parts.append(f"acknowledged by {each.acknowledged_by}")
    if each.closed_by is not None:
        parts.append(f"closed by {each.closed_by}")
    typer.echo(f"{each.sequence:>4}  " + "  ".join(parts))
