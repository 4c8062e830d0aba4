"""Temperatures of machines through time."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Adds a table that older programs do not know, and need not know."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "temperatures",
        sa.Column("machine", text, nullable=False),
        sa.Column("span_ms", whole, nullable=False),
        sa.Column("from_ms", whole, nullable=False),
        sa.Column("low", sa.Double().with_variant(sa.REAL(), "sqlite"), nullable=False),
        sa.Column("mean", sa.Double().with_variant(sa.REAL(), "sqlite"), nullable=False),
        sa.Column("high", sa.Double().with_variant(sa.REAL(), "sqlite"), nullable=False),
        sa.Column("known_ms", whole, nullable=False),
        sa.PrimaryKeyConstraint("machine", "span_ms", "from_ms", name="temperatures_key"),
        sa.ForeignKeyConstraint(["machine"], ["machines.name"], name="temperatures_machine_exists"),
        sa.CheckConstraint("span_ms > 0 AND from_ms % span_ms = 0", name=op.f("temperatures_span")),
        sa.CheckConstraint("known_ms BETWEEN 1 AND span_ms", name=op.f("temperatures_known")),
        sa.CheckConstraint("low <= mean AND mean <= high", name=op.f("temperatures_order")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0021', '0020')")
