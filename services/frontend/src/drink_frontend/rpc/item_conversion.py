"""Converts between drink.v1 messages and the domain's items."""

from drink.v1 import item_service_pb2 as pb
from drink_frontend.domain.items import Item
from drink_frontend.rpc.conversion import item_name, timestamp


def item_message(item: Item) -> pb.Item:
    """An item as a drink.v1 message."""
    return pb.Item(
        name=item_name(item.number),
        display_name=item.name,
        barcode=item.barcode or "",
        price=item.price,
        create_time=timestamp(item.created_ms),
        update_time=timestamp(item.updated_ms),
    )
