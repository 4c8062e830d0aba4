"""Logins with OpenID providers."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Adds a table; a program of revision 0021 takes no tokens of providers, and needs none."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "provider_logins",
        sa.Column("assertion", text, nullable=False),
        sa.Column("issuer", text, nullable=False),
        sa.Column("subject", text, nullable=False),
        sa.Column("session", text, nullable=True),
        sa.Column("token", text, nullable=True),
        sa.Column("expires_ms", whole, nullable=False),
        sa.PrimaryKeyConstraint("assertion", name="provider_logins_key"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("provider_logins_by_subject", "provider_logins", ["issuer", "subject"])
    op.create_index("provider_logins_by_session", "provider_logins", ["issuer", "session"])
    op.create_index("provider_logins_by_expiry", "provider_logins", ["expires_ms"])
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0022', '0021')")
