"""Indexes for lists of drops by machine, slot, item and time."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_INDEXES = {
    "drops_by_machine": ["machine", "created_ms", "sequence", "slot"],
    "drops_by_item": ["item", "created_ms", "sequence"],
    "drops_by_creation": ["created_ms", "sequence"],
}


def upgrade() -> None:
    """Adds indexes only; a program of revision 0007 can run with them."""
    for name, columns in _INDEXES.items():
        where = sa.text("sequence > 0")
        op.create_index(name, "drops", columns, sqlite_where=where, postgresql_where=where)
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0008', '0007')")
