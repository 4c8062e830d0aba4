"""The tables of the pictures of items, with the same conventions as those in `tables.py`."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)

from drink_frontend.domain.pictures import PART_BYTES, PICTURE_BYTES_MAX, PICTURE_SIDE_MAX
from drink_frontend.storage.tables import metadata

_WHOLE = BigInteger().with_variant(Integer(), "sqlite")
_TEXT = Text().with_variant(Text(collation="C"), "postgresql")

item_pictures = Table(
    "item_pictures",
    metadata,
    Column("item_number", _WHOLE, ForeignKey("items.number"), primary_key=True, nullable=False),
    Column("media_type", _TEXT, nullable=False),
    Column("width", _WHOLE, nullable=False),
    Column("height", _WHOLE, nullable=False),
    Column("size", _WHOLE, nullable=False),
    Column("etag", _TEXT, nullable=False),
    CheckConstraint(
        text(f"width BETWEEN 1 AND {PICTURE_SIDE_MAX} AND height BETWEEN 1 AND {PICTURE_SIDE_MAX}"),
        name="sides",
    ),
    CheckConstraint(text(f"size BETWEEN 1 AND {PICTURE_BYTES_MAX}"), name="size"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
"""What is known of the picture of an item: a row for each item with one."""

picture_parts = Table(
    "picture_parts",
    metadata,
    Column(
        "item_number",
        _WHOLE,
        ForeignKey("item_pictures.item_number"),
        primary_key=True,
        nullable=False,
    ),
    Column("part", _WHOLE, primary_key=True, nullable=False),
    Column("content", LargeBinary, nullable=False),
    CheckConstraint(text(f"length(content) BETWEEN 1 AND {PART_BYTES}"), name="content"),
    sqlite_strict=True,
)
"""The bytes of pictures in parts, numbered from 0, so that nobody needs a whole one in memory."""
