"""A credit limit for each account. A program of revision 0003 cannot work with it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds a column, and a trigger in place of the constraint that let no balance be negative."""
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    limit = sa.Column("credit_limit", whole, nullable=False, server_default=sa.text("0"))
    is_limit = "credit_limit BETWEEN 0 AND 1000000"
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_accounts()
        op.execute(
            f"CREATE TRIGGER accounts_available BEFORE UPDATE OF {_TOTALS} ON accounts"
            f" WHEN {_IS_BELOW} BEGIN SELECT RAISE(ABORT, 'accounts_available'); END"
        )
    else:
        op.add_column("accounts", limit)
        op.drop_constraint(op.f("accounts_available"), "accounts")
        op.create_check_constraint(op.f("accounts_limit"), "accounts", is_limit)
        op.execute(
            f"CREATE TRIGGER accounts_available BEFORE UPDATE OF {_TOTALS} ON accounts"
            f" FOR EACH ROW WHEN ({_IS_BELOW}) EXECUTE FUNCTION refuse()"
        )
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0004', '0004')")


def _rebuild_accounts() -> None:
    """Copies the table, since SQLite can remove no constraint."""
    for statement in _REBUILD:
        op.execute(statement)


_TOTALS = "debits_pending, debits_posted, credits_posted"
_IS_BELOW = (
    "NEW.kind <> 'FUNDING'"
    " AND NEW.credits_posted - NEW.debits_posted - NEW.debits_pending < -NEW.credit_limit"
    " AND NEW.credits_posted - NEW.debits_posted - NEW.debits_pending"
    " < OLD.credits_posted - OLD.debits_posted - OLD.debits_pending"
)
_REBUILD = (
    """CREATE TABLE accounts_new (
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    admin INTEGER NOT NULL,
    closed INTEGER NOT NULL,
    password_hash TEXT,
    ibutton_digest TEXT,
    created_ms INTEGER NOT NULL,
    debits_pending INTEGER NOT NULL,
    debits_posted INTEGER NOT NULL,
    credits_pending INTEGER NOT NULL,
    credits_posted INTEGER NOT NULL,
    credit_limit INTEGER DEFAULT 0 NOT NULL,
    CONSTRAINT accounts_key PRIMARY KEY (name),
    CONSTRAINT accounts_ibutton_digest_once UNIQUE (ibutton_digest),
    CONSTRAINT accounts_kind CHECK (kind IN ('USER', 'FUNDING', 'SALES')),
    CONSTRAINT accounts_flags CHECK (admin IN (0, 1) AND closed IN (0, 1)),
    CONSTRAINT accounts_totals CHECK (debits_pending >= 0 AND debits_posted >= 0 AND
        credits_pending >= 0 AND credits_posted >= 0),
    CONSTRAINT accounts_limit CHECK (credit_limit BETWEEN 0 AND 1000000)
) WITHOUT ROWID, STRICT""",
    """INSERT INTO accounts_new SELECT name, kind, admin, closed, password_hash, ibutton_digest,
    created_ms, debits_pending, debits_posted, credits_pending, credits_posted, 0 FROM accounts""",
    "DROP TABLE accounts",
    "ALTER TABLE accounts_new RENAME TO accounts",
    "CREATE INDEX accounts_by_letters ON accounts (lower(name))",
)
