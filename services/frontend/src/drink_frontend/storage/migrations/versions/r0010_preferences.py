"""Preferences of accounts."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Adds a table.

    A program of revision 0009 would leave the preferences of its former owner to an account that it
    opens again, so that it must not run beside them.
    """
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "preferences",
        sa.Column("account", text, nullable=False),
        sa.Column("favourites", text, nullable=False),
        sa.Column("ranked", whole, nullable=False),
        sa.Column("language", text, nullable=False),
        sa.PrimaryKeyConstraint("account", name="preferences_key"),
        sa.ForeignKeyConstraint(["account"], ["accounts.name"], name="preferences_account_exists"),
        sa.CheckConstraint("ranked IN (0, 1)", name=op.f("preferences_ranked")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0010', '0010')")
