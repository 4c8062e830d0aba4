"""Of each bearer token, by what its owner had logged in, so that it ends with that."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds a column that a program of revision 0001 leaves empty."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.add_column("tokens", sa.Column("made_by", text, nullable=True))
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0004', '0001')")
