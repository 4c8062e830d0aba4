"""Pictures of items. A program of revision 0011 could not delete an item with one."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Adds two tables."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "item_pictures",
        sa.Column("item_number", whole, nullable=False),
        sa.Column("media_type", text, nullable=False),
        sa.Column("width", whole, nullable=False),
        sa.Column("height", whole, nullable=False),
        sa.Column("size", whole, nullable=False),
        sa.Column("etag", text, nullable=False),
        sa.PrimaryKeyConstraint("item_number", name="item_pictures_key"),
        sa.ForeignKeyConstraint(
            ["item_number"], ["items.number"], name="item_pictures_item_number_exists"
        ),
        sa.CheckConstraint(
            "width BETWEEN 1 AND 4096 AND height BETWEEN 1 AND 4096",
            name=op.f("item_pictures_sides"),
        ),
        sa.CheckConstraint("size BETWEEN 1 AND 1048576", name=op.f("item_pictures_size")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "picture_parts",
        sa.Column("item_number", whole, nullable=False),
        sa.Column("part", whole, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("item_number", "part", name="picture_parts_key"),
        sa.ForeignKeyConstraint(
            ["item_number"],
            ["item_pictures.item_number"],
            name="picture_parts_item_number_exists",
        ),
        sa.CheckConstraint(
            "length(content) BETWEEN 1 AND 32768", name=op.f("picture_parts_content")
        ),
        sqlite_strict=True,
    )
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0012', '0012')")
