"""Times of a machine's reach and temperature, and versions of its agent and board."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Adds columns without values.

    A program of revision 0013 would leave the time of a reach that it changes, so that it must not
    run beside them.
    """
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    for name in ("reach_ms", "temperature_ms"):
        op.add_column("machines", sa.Column(name, whole, nullable=True))
    for name in ("agent_version", "firmware_version"):
        op.add_column("machines", sa.Column(name, text, nullable=True))
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0014', '0014')")
