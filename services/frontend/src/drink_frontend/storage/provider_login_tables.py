"""The table of logins with OpenID providers."""

from sqlalchemy import Index, Table

from drink_frontend.storage.columns import REMOVABLE, column, strict, text_column
from drink_frontend.storage.tables import metadata

provider_logins = Table(
    "provider_logins",
    metadata,
    text_column("assertion", key=True),
    text_column("issuer"),
    text_column("subject"),
    text_column("session", null=True),
    text_column("token", null=True),
    column("expires_ms"),
    Index("provider_logins_by_subject", "issuer", "subject"),
    Index("provider_logins_by_session", "issuer", "session"),
    Index("provider_logins_by_expiry", "expires_ms"),
    **strict(REMOVABLE),
)
"""Rows are removed once they have expired. Of the tokens there are digests only."""
