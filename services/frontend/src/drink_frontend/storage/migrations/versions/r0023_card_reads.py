"""Cards that were read for kiosks."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Adds a table. A program of revision 0022 lives beside it: it reads no card for a kiosk."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "card_reads",
        sa.Column("sequence", whole, nullable=False),
        sa.Column("kiosk", whole, nullable=False),
        sa.Column("digest", text, nullable=True),
        sa.Column("kind", text, nullable=False),
        sa.Column("length", whole, nullable=False),
        sa.Column("account", text, nullable=True),
        sa.Column("expires_ms", whole, nullable=False),
        sa.Column("code_digest", text, nullable=True),
        sa.PrimaryKeyConstraint("sequence", name="card_reads_key"),
        sa.ForeignKeyConstraint(["kiosk"], ["kiosks.sequence"], name="card_reads_kiosk_exists"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="card_reads_account_exists"),
        sa.UniqueConstraint("code_digest", name="card_reads_code_digest_once"),
        sa.CheckConstraint("kind IN ('CHIP', 'BARCODE')", name=op.f("card_reads_kind")),
        sa.CheckConstraint(
            "code_digest IS NULL OR digest IS NOT NULL", name=op.f("card_reads_code")
        ),
        sqlite_strict=True,
    )
    op.create_index("card_reads_by_kiosk", "card_reads", ["kiosk"])
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0023', '0022')")
