"""Identities of accounts at sources of logins."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Adds a table.

    A program of revision 0018 would leave the identities of its former owner to an account that it
    erases or opens again, so that it must not run beside them.
    """
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "identities",
        sa.Column("source", text, nullable=False),
        sa.Column("subject", text, nullable=False),
        sa.Column("account", text, nullable=False),
        sa.Column("name", text, nullable=True),
        sa.Column("created_ms", whole, nullable=False),
        sa.Column("login_ms", whole, nullable=True),
        sa.Column("admin", whole, nullable=False),
        sa.Column("left_ms", whole, nullable=True),
        sa.Column("cards", text, nullable=False),
        sa.PrimaryKeyConstraint("source", "subject", name="identities_key"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="identities_account_exists"),
        sa.CheckConstraint("admin IN (0, 1)", name=op.f("identities_admin")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("identities_by_account", "identities", ["account"])
    op.create_index("identities_by_name", "identities", ["source", sa.text("lower(name)")])
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0019', '0019')")
