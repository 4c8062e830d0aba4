"""Alarms, the login method of each token, and indexes on grants and on names in any case."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds a table, a column and two indexes; a program of revision 0001 can run without them."""
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
    op.add_column("tokens", sa.Column("made_by", text, nullable=True))
    grant = sa.text("kind = 'MOVE' AND (debit_account = 'funding' OR credit_account = 'funding')")
    op.create_index(
        "transfers_grants",
        "transfers",
        ["request_id"],
        sqlite_where=grant,
        postgresql_where=grant,
    )
    op.create_index("accounts_by_letters", "accounts", [sa.text("lower(name)")])
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0002', '0001')")
