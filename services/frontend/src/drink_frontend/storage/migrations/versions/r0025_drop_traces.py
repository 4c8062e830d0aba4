"""Traces of drops."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"

_TRIGGER = "drops_order_never_changes"
_MADE = {
    "sqlite": "SELECT sql FROM sqlite_master WHERE name = :name",
    "postgresql": "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = :name",
}


def upgrade() -> None:
    """Adds a column without values, which never changes either.

    A program of revision 0024 may run beside it: it places drops without a trace.
    """
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.add_column("drops", sa.Column("traceparent", text, nullable=True))
    connection = op.get_bind()
    engine = connection.dialect.name
    made = str(connection.scalar(sa.text(_MADE[engine]), {"name": _TRIGGER}))
    op.execute(f"DROP TRIGGER {_TRIGGER}{' ON drops' if engine == 'postgresql' else ''}")
    op.execute(made.replace("not_before_ms ON", "not_before_ms, traceparent ON"))
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0025', '0024')")
