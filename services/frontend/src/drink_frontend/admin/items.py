"""Items that slots sell."""

from pathlib import Path
from typing import Annotated

import typer

from drink_frontend.admin.command import operator, recorded, run, table
from drink_frontend.domain.items import ITEMS_MAX
from drink_frontend.domain.pictures import PICTURE_BYTES_MAX

items = typer.Typer(help="Items that slots sell.", no_args_is_help=True)

Number = Annotated[int, typer.Argument(help="The item's number, as `item list` shows it.")]


@items.command("list")
def list_items(context: typer.Context) -> None:
    """Show every item, in order of their numbers."""
    found = run(context, lambda drink: drink.items.list(limit=ITEMS_MAX))
    rows: list[tuple[object, ...]] = [
        (each.number, each.name, each.price, each.barcode) for each in found
    ]
    table(("number", "name", "price", "barcode"), rows)


@items.command()
@recorded
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What people call it.")],
    *,
    price: Annotated[int, typer.Option(help="In credits.")],
    number: Annotated[
        int | None, typer.Option(help="Its number; the next one if left out.")
    ] = None,
    barcode: Annotated[str, typer.Option(help="The barcode on it.")] = "",
) -> None:
    """Make an item; prints its number."""
    made = run(
        context,
        lambda drink: drink.items.create(operator(), name, price, number=number, barcode=barcode),
    )
    typer.echo(made.number)


@items.command()
@recorded
def change(
    context: typer.Context,
    number: Number,
    *,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    price: Annotated[int | None, typer.Option(help="In credits.")] = None,
    barcode: Annotated[
        str | None, typer.Option(help="The barcode on it; an empty one removes it.")
    ] = None,
) -> None:
    """Change what is given, of every slot that sells the item too; drops keep their price."""
    run(
        context,
        lambda drink: drink.items.change(
            operator(), number, name=name, price=price, barcode=barcode
        ),
    )


@items.command()
@recorded
def delete(context: typer.Context, number: Number) -> None:
    """Delete an item that no slot sells."""
    run(context, lambda drink: drink.items.delete(operator(), number))


@items.command()
@recorded
def picture(
    context: typer.Context,
    number: Number,
    file: Annotated[
        Path | None, typer.Argument(help="PNG, JPEG or WebP, 1 MiB at most; none removes it.")
    ] = None,
) -> None:
    """Give an item another picture, or remove it."""
    content = b""
    if file is not None:
        try:
            with file.open("rb") as opened:
                content = opened.read(PICTURE_BYTES_MAX + 1)
        except OSError as error:
            typer.echo(f"{file}: {error.strerror}", err=True)
            raise typer.Exit(1) from None
        if not content:
            typer.echo(f"{file} is empty", err=True)
            raise typer.Exit(1)
    run(context, lambda drink: drink.items.set_picture(operator(), number, content))
