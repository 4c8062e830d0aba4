"""Cards with which people log in, several for an account."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Adds a table.

    A program of revision 0005 would leave the cards of its former owner to an account that it opens
    again, so that it must not run beside them.
    """
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "cards",
        sa.Column("digest", text, nullable=False),
        sa.Column("account", text, nullable=False),
        sa.Column("kind", text, nullable=False),
        sa.Column("length", whole, nullable=False),
        sa.Column("name", text, nullable=True),
        sa.Column("created_ms", whole, nullable=False),
        sa.Column("key_id", text, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="cards_key"),
        sa.ForeignKeyConstraint(["account"], ["accounts.name"], name="cards_account_exists"),
        sa.CheckConstraint("kind IN ('CHIP', 'BARCODE')", name=op.f("cards_kind")),
        sa.CheckConstraint("length >= 1", name=op.f("cards_length")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("cards_by_account", "cards", ["account", "created_ms"])
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0006', '0006')")
