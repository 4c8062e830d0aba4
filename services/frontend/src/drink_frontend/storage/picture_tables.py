"""The tables of the pictures of items, with the same conventions as those in `tables.py`."""

from sqlalchemy import Column, ForeignKey, LargeBinary, Table

from drink_frontend.domain.pictures import PART_BYTES, PICTURE_BYTES_MAX, PICTURE_SIDE_MAX
from drink_frontend.storage.columns import (
    REMOVABLE,
    WHOLE,
    check,
    column,
    strict,
    text_column,
)
from drink_frontend.storage.tables import metadata

item_pictures = Table(
    "item_pictures",
    metadata,
    Column("item_number", WHOLE, ForeignKey("items.number"), primary_key=True, nullable=False),
    text_column("media_type"),
    column("width"),
    column("height"),
    column("size"),
    text_column("etag"),
    check(
        "sides",
        f"width BETWEEN 1 AND {PICTURE_SIDE_MAX} AND height BETWEEN 1 AND {PICTURE_SIDE_MAX}",
    ),
    check("size", f"size BETWEEN 1 AND {PICTURE_BYTES_MAX}"),
    **strict(REMOVABLE),
)
"""What is known of the picture of an item: a row for each item with one."""

picture_parts = Table(
    "picture_parts",
    metadata,
    Column(
        "item_number",
        WHOLE,
        ForeignKey("item_pictures.item_number"),
        primary_key=True,
        nullable=False,
    ),
    column("part", key=True),
    column("content", LargeBinary()),
    check("content", f"length(content) BETWEEN 1 AND {PART_BYTES}"),
    **strict(REMOVABLE, by_key=False),
)
"""The bytes of pictures in parts, numbered from 0, so that nobody needs a whole one in memory."""
