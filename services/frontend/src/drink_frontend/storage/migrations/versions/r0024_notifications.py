"""Notifications of alarms, their leases, and tokens that may only lease them."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Adds three tables, and a scope; a program of revision 0023 would not add to them."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "channels",
        sa.Column("name", text, nullable=False),
        sa.Column("seen_ms", whole, nullable=False),
        sa.Column("failures", whole, nullable=False),
        sa.PrimaryKeyConstraint("name", name="channels_key"),
        sa.CheckConstraint("failures >= 0", name=op.f("channels_failures")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "notifications",
        sa.Column("sequence", whole, nullable=False),
        sa.Column("news", text, nullable=False),
        sa.Column("alarm", whole, nullable=True),
        sa.Column("at_ms", whole, nullable=False),
        sa.Column("channel", text, nullable=True),
        sa.Column("day", text, nullable=True),
        sa.PrimaryKeyConstraint("sequence", name="notifications_key"),
        sa.ForeignKeyConstraint(["alarm"], ["alarms.sequence"], name="notifications_alarm_exists"),
        sa.CheckConstraint(
            "news IN ('OPENED', 'CLOSED', 'DIGEST')", name=op.f("notifications_news")
        ),
        sa.CheckConstraint("(news = 'DIGEST') = (alarm IS NULL)", name=op.f("notifications_alarm")),
        sa.CheckConstraint(
            "(news = 'DIGEST') = (channel IS NOT NULL AND day IS NOT NULL)",
            name=op.f("notifications_digest"),
        ),
        sqlite_strict=True,
    )
    is_digest = sa.text("day IS NOT NULL")
    op.create_index(
        "notifications_digest_once",
        "notifications",
        ["channel", "day"],
        unique=True,
        sqlite_where=is_digest,
        postgresql_where=is_digest,
    )
    op.create_table(
        "deliveries",
        sa.Column("channel", text, nullable=False),
        sa.Column("notification", whole, nullable=False),
        sa.Column("lease", whole, nullable=False),
        sa.Column("leased_ms", whole, nullable=False),
        sa.Column("ends_ms", whole, nullable=False),
        sa.Column("told", whole, nullable=False),
        sa.PrimaryKeyConstraint("channel", "notification", name="deliveries_key"),
        sa.ForeignKeyConstraint(["channel"], ["channels.name"], name="deliveries_channel_exists"),
        sa.ForeignKeyConstraint(
            ["notification"], ["notifications.sequence"], name="deliveries_notification_exists"
        ),
        sa.CheckConstraint("lease >= 0", name=op.f("deliveries_lease")),
        sa.CheckConstraint("told IN (0, 1)", name=op.f("deliveries_told")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    if op.get_bind().dialect.name == "sqlite":
        # SQLite can change no constraint.
        for statement in _REBUILD:
            op.execute(statement)
    else:
        op.drop_constraint(op.f("scoped_tokens_scope"), "scoped_tokens")
        op.create_check_constraint(
            op.f("scoped_tokens_scope"), "scoped_tokens", "scope IN ('DROP', 'READ', 'NOTIFY')"
        )
    # Who begins to listen is told of the alarms that are open.
    op.execute(
        "INSERT INTO notifications (news, alarm, at_ms)"
        " SELECT 'OPENED', sequence, opened_ms FROM alarms"
        " WHERE closed_ms IS NULL ORDER BY sequence"
    )
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0024', '0024')")


_REBUILD = (
    """CREATE TABLE scoped_tokens_new (
    digest TEXT NOT NULL,
    account TEXT NOT NULL,
    expires_ms INTEGER NOT NULL,
    made_by TEXT NOT NULL,
    name TEXT,
    created_ms INTEGER NOT NULL,
    used_ms INTEGER,
    scope TEXT NOT NULL,
    CONSTRAINT scoped_tokens_key PRIMARY KEY (digest),
    CONSTRAINT scoped_tokens_account_exists FOREIGN KEY(account) REFERENCES accounts (id),
    CONSTRAINT scoped_tokens_scope CHECK (scope IN ('DROP', 'READ', 'NOTIFY'))
) WITHOUT ROWID, STRICT""",
    """INSERT INTO scoped_tokens_new SELECT digest, account, expires_ms, made_by, name, created_ms,
    used_ms, scope FROM scoped_tokens""",
    "DROP TABLE scoped_tokens",
    "ALTER TABLE scoped_tokens_new RENAME TO scoped_tokens",
    "CREATE INDEX scoped_tokens_by_account ON scoped_tokens (account, expires_ms)",
)
