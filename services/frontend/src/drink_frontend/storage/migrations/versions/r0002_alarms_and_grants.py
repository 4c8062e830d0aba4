"""Alarms: how often something happened at a machine that is not kept each time."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds a table that a program of revision 0001 does not need."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "alarms",
        sa.Column("machine", text, nullable=False),
        sa.Column("kind", text, nullable=False),
        sa.Column("first_ms", whole, nullable=False),
        sa.Column("last_ms", whole, nullable=False),
        sa.Column("count", whole, nullable=False),
        sa.Column("facts", text, nullable=False),
        sa.PrimaryKeyConstraint("machine", "kind", name="alarms_key"),
        sa.ForeignKeyConstraint(["machine"], ["machines.name"], name="alarms_machine_exists"),
        sa.CheckConstraint("count >= 1", name=op.f("alarms_count")),
        sa.CheckConstraint("length(facts) <= 65536", name=op.f("alarms_facts")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0002', '0001')")
