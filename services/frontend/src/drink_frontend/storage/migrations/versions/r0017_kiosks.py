"""Kiosks, and the tokens of who has logged in at one."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Adds two tables.

    A program of revision 0016 could not remove an account's cards with the logins that they made,
    so that it must not run beside them.
    """
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "kiosks",
        sa.Column("sequence", whole, nullable=False),
        sa.Column("machine", text, nullable=False),
        sa.Column("name", text, nullable=True),
        sa.Column("created_ms", whole, nullable=False),
        sa.Column("code_digest", text, nullable=True),
        sa.Column("code_expires_ms", whole, nullable=False),
        sa.Column("token_digest", text, nullable=True),
        sa.Column("paired_ms", whole, nullable=True),
        sa.Column("ended_ms", whole, nullable=True),
        sa.PrimaryKeyConstraint("sequence", name="kiosks_key"),
        sa.ForeignKeyConstraint(["machine"], ["machines.name"], name="kiosks_machine_exists"),
        sa.UniqueConstraint("code_digest", name="kiosks_code_digest_once"),
        sa.UniqueConstraint("token_digest", name="kiosks_token_digest_once"),
        sa.CheckConstraint(
            "code_digest IS NULL OR (paired_ms IS NULL AND ended_ms IS NULL)",
            name=op.f("kiosks_code"),
        ),
        sa.CheckConstraint(
            "(token_digest IS NOT NULL) = (paired_ms IS NOT NULL AND ended_ms IS NULL)",
            name=op.f("kiosks_token"),
        ),
        sqlite_strict=True,
    )
    op.create_table(
        "kiosk_tokens",
        sa.Column("digest", text, nullable=False),
        sa.Column("account", text, nullable=False),
        sa.Column("kiosk", whole, nullable=False),
        sa.Column("buys_until_ms", whole, nullable=False),
        sa.Column("expires_ms", whole, nullable=False),
        sa.Column("made_by", text, nullable=False),
        sa.Column("name", text, nullable=True),
        sa.Column("created_ms", whole, nullable=False),
        sa.Column("used_ms", whole, nullable=True),
        sa.PrimaryKeyConstraint("digest", name="kiosk_tokens_key"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="kiosk_tokens_account_exists"),
        sa.ForeignKeyConstraint(["kiosk"], ["kiosks.sequence"], name="kiosk_tokens_kiosk_exists"),
        sa.CheckConstraint(
            "created_ms <= buys_until_ms AND buys_until_ms <= expires_ms",
            name=op.f("kiosk_tokens_times"),
        ),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("kiosk_tokens_by_account", "kiosk_tokens", ["account", "expires_ms"])
    op.create_index("kiosk_tokens_by_kiosk", "kiosk_tokens", ["kiosk"])
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0017', '0017')")
