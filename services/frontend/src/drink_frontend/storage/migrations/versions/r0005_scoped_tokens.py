"""Bearer tokens with some rights only, and names and times of all bearer tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Adds a table and columns without values; a program of revision 0004 can run without them."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column("tokens", sa.Column("name", text, nullable=True))
    op.add_column("tokens", sa.Column("created_ms", whole, nullable=True))
    op.add_column("tokens", sa.Column("used_ms", whole, nullable=True))
    op.create_table(
        "scoped_tokens",
        sa.Column("digest", text, nullable=False),
        sa.Column("account", text, nullable=False),
        sa.Column("expires_ms", whole, nullable=False),
        sa.Column("made_by", text, nullable=False),
        sa.Column("name", text, nullable=True),
        sa.Column("created_ms", whole, nullable=False),
        sa.Column("used_ms", whole, nullable=True),
        sa.Column("scope", text, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="scoped_tokens_key"),
        sa.ForeignKeyConstraint(
            ["account"], ["accounts.name"], name="scoped_tokens_account_exists"
        ),
        sa.CheckConstraint("scope IN ('DROP', 'READ')", name=op.f("scoped_tokens_scope")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("scoped_tokens_by_account", "scoped_tokens", ["account", "expires_ms"])
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0005', '0004')")
