"""Converts between drink.v1 messages and the domain's items."""

from drink.v1 import item_service_pb2 as pb
from drink_frontend.domain.items import Item
from drink_frontend.domain.pictures import Picture
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
        picture=None if item.picture is None else picture_message(item.picture),
    )


def picture_message(picture: Picture) -> pb.Picture:
    """What is known of a picture as a drink.v1 message."""
    return pb.Picture(
        media_type=picture.media_type,
        width=picture.width,
        height=picture.height,
        size=picture.size,
        etag=picture.etag,
    )
