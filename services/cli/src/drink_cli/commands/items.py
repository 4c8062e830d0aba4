"""The command that shows items; everybody may use it."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from drink.v1 import item_service_pb2 as pb
from drink_cli.context import command, shared
from drink_cli.text import iso_time, short

COLUMNS = {"item": "ITEM", "name": "NAME", "price": "PRICE", "barcode": "BARCODE"}


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


def item_facts(item: pb.Item) -> Mapping[str, Any]:
    """An item as JSON values."""
    return {
        "item": short(item.name),
        "name": item.display_name,
        "price": item.price,
        "barcode": item.barcode,
        "updated": iso_time(item.update_time),
    }
