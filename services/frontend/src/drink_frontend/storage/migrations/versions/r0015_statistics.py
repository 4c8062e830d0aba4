"""Sums of drops and credits for statistics, which the service fills from what there is."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

_NUMBERS = (
    *("dispensed", "failed", "cancelled", "unknown"),
    *("refunds", "spent", "held", "refunded"),
)


def upgrade() -> None:
    """Adds three tables. Nothing is counted yet: the service counts while it sells."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "statistics",
        sa.Column("owner", text, nullable=False),
        sa.Column("kind", text, nullable=False),
        sa.Column("period", whole, nullable=False),
        sa.Column("machine", text, nullable=False),
        sa.Column("subject", text, nullable=False),
        *(sa.Column(name, whole, nullable=False) for name in _NUMBERS),
        sa.PrimaryKeyConstraint(
            "owner", "kind", "period", "machine", "subject", name="statistics_key"
        ),
        sa.CheckConstraint(
            "kind IN ('DAY', 'ITEM', 'HOUR', 'ACCOUNT')", name=op.f("statistics_kind")
        ),
        sa.CheckConstraint(
            " AND ".join(f"{name} >= 0" for name in _NUMBERS), name=op.f("statistics_numbers")
        ),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "statistics_unknown",
        sa.Column("drop_id", text, nullable=False),
        sa.PrimaryKeyConstraint("drop_id", name="statistics_unknown_key"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "statistics_progress",
        sa.Column("number", whole, nullable=False),
        sa.Column("phase", text, nullable=False),
        sa.Column("time_zone", text, nullable=False),
        sa.Column("event_sequence", whole, nullable=False),
        sa.Column("drop_sequence", whole, nullable=False),
        sa.PrimaryKeyConstraint("number", name="statistics_progress_key"),
        sa.CheckConstraint("number = 1", name=op.f("statistics_progress_number")),
        sa.CheckConstraint(
            "phase IN ('CLEARING', 'COUNTING', 'FOLLOWING')",
            name=op.f("statistics_progress_phase"),
        ),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO statistics_progress"
        " (number, phase, time_zone, event_sequence, drop_sequence)"
        " SELECT 1, 'COUNTING', '', max(sequence), 0 FROM events"
    )
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0015', '0014')")
