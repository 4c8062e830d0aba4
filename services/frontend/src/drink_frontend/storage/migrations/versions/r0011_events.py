"""Events of each commit. A program of revision 0010 would write none, so it cannot work with it."""

import secrets
import time

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Adds the log of events, with one batch of no events to which the first cursors refer."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "events",
        sa.Column("sequence", whole, nullable=False),
        sa.Column("at_ms", whole, nullable=False),
        sa.Column("changes", text, nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="events_key"),
        sqlite_strict=True,
    )
    log = op.create_table(
        "event_log",
        sa.Column("mark", text, nullable=False),
        sa.PrimaryKeyConstraint("mark", name="event_log_key"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    # The number is given: with wal_level=minimal PostgreSQL writes no log of a sequence in the
    # transaction that creates it, and would count the same numbers again after a crash.
    first = sa.text("INSERT INTO events (sequence, at_ms, changes) VALUES (0, :now_ms, '[]')")
    op.get_bind().execute(first, {"now_ms": time.time_ns() // 1_000_000})
    op.get_bind().execute(log.insert(), {"mark": secrets.token_hex(8)})
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0011', '0011')")
