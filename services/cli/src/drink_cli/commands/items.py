"""Commands that show items; everybody may use them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from drink.v1 import item_service_pb2 as pb
from drink_cli.context import command, shared
from drink_cli.errors import CommandError, Exit
from drink_cli.text import iso_time, short

COLUMNS = {
    "item": "ITEM",
    "name": "NAME",
    "price": "PRICE",
    "barcode": "BARCODE",
    "picture": "PICTURE",
}


@command
def items(
    context: typer.Context,
    *,
    barcode: Annotated[str, typer.Option(help="The one with this barcode only.")] = "",
) -> None:
    """Show the items that machines sell, with their prices."""
    options = shared(context)
    request = pb.ListItemsRequest(barcode=barcode)
    with options.api() as api:
        found = api.rows(api.items.ListItems, request, "items", public=True)
    rows = [item_facts(each) for each in found]
    options.output.rows(rows, COLUMNS, "there are no items")


@command
def picture(
    context: typer.Context,
    item: Annotated[str, typer.Argument(metavar="ITEM", help="Its number, as `items` says.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file for it.")],
) -> None:
    """Save the picture of an item in a file."""
    options = shared(context)
    request = pb.GetItemPictureRequest(name=f"items/{short(item)}")
    with options.api() as api:
        content = b"".join(
            each.chunk for each in api.watch(api.items.GetItemPicture, request, public=True)
        )
    try:
        with file.open("xb") as made:
            made.write(content)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}", Exit.USAGE) from None
    options.output.result({"file": str(file)}, f"the picture is in {file}")


def picture_words(item: pb.Item) -> str:
    """Format and size of an item's picture in words; empty without one."""
    shown = item.picture
    kind = shown.media_type.removeprefix("image/").upper()
    return f"{kind} {shown.width}x{shown.height}" if item.HasField("picture") else ""


def item_facts(item: pb.Item) -> Mapping[str, Any]:
    """An item as JSON values."""
    return {
        "item": short(item.name),
        "name": item.display_name,
        "price": item.price,
        "barcode": item.barcode,
        "picture": picture_words(item),
        "updated": iso_time(item.update_time),
    }
