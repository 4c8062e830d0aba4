"""What to call the owners of accounts."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Adds a column without values.

    A program of revision 0017 would leave the value when it erases an account, so that it must not
    run beside it.
    """
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.add_column("accounts", sa.Column("display_name", text, nullable=True))
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0018', '0018')")
