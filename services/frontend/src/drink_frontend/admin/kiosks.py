"""Kiosks: pairing them with machines, and their end."""

from typing import Annotated

import typer

from drink_frontend.admin.command import moment, operator, recorded, run, table

kiosks = typer.Typer(help="Kiosks at machines.", no_args_is_help=True)


@kiosks.command("list")
def list_kiosks(context: typer.Context) -> None:
    """Show the kiosks that are paired or may be, the oldest first."""
    rows: list[tuple[object, ...]] = [
        (each.sequence, each.machine, moment(each.paired_ms), each.name)
        for each in run(context, lambda drink: drink.accounts.kiosks.list())
    ]
    table(("kiosk", "machine", "paired", "name"), rows)


@kiosks.command()
@recorded
def pair(
    context: typer.Context,
    machine: Annotated[str, typer.Argument(help="The machine at which it sells.")],
    *,
    name: Annotated[str, typer.Option(help="What to call the kiosk in lists.")] = "",
) -> None:
    """Make a kiosk; prints the code to type in at it."""
    kiosk, code = run(context, lambda drink: drink.accounts.kiosks.pair(operator(), machine, name))
    typer.echo(f"kiosk {kiosk.sequence}: pairing code {code} until {moment(kiosk.code_expires_ms)}")


@kiosks.command()
@recorded
def unpair(
    context: typer.Context,
    kiosk: Annotated[int, typer.Argument(min=1, help="Its number, as `kiosks list` shows it.")],
) -> None:
    """End a kiosk, such as a stolen one, and every login that was made at it."""
    run(context, lambda drink: drink.accounts.kiosks.unpair(operator(), kiosk))
