"""The table of identities: which account belongs to whom at a source of logins."""

from sqlalchemy import Column, ForeignKey, Index, Table, text

from drink_frontend.storage.columns import REMOVABLE, TEXT, check, column, strict, text_column
from drink_frontend.storage.tables import metadata

identities = Table(
    "identities",
    metadata,
    text_column("source", key=True),
    text_column("subject", key=True),
    Column("account", TEXT, ForeignKey("accounts.id"), nullable=False),
    text_column("name", null=True),
    column("created_ms"),
    column("login_ms", null=True),
    column("admin"),
    column("left_ms", null=True),
    text_column("cards"),
    check("admin", "admin IN (0, 1)"),
    Index("identities_by_account", "account"),
    Index("identities_by_name", "source", text("lower(name)")),
    **strict(REMOVABLE),
)
"""An account may have several identities, an identity has one account."""
