"""Indexes on what administrators gave, by its request, and on accounts without regard to case."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Adds two indexes that a program of revision 0001 or 0002 does not need."""
    grant = sa.text("kind = 'MOVE' AND (debit_account = 'funding' OR credit_account = 'funding')")
    op.create_index(
        "transfers_grants",
        "transfers",
        ["request_id"],
        sqlite_where=grant,
        postgresql_where=grant,
    )
    op.create_index("accounts_by_letters", "accounts", [sa.text("lower(name)")])
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0003', '0001')")
