"""The tables of kiosks, of the cards read for them, and of the logins made at them."""

from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint

from drink_frontend.domain.cards import CardKind
from drink_frontend.storage.columns import (
    KEPT,
    REMOVABLE,
    TEXT,
    WHOLE,
    among,
    check,
    column,
    strict,
    text_column,
)
from drink_frontend.storage.tables import metadata

kiosks = Table(
    "kiosks",
    metadata,
    column("sequence", key=True),
    Column("machine", TEXT, ForeignKey("machines.name"), nullable=False),
    text_column("name", null=True),
    column("created_ms"),
    text_column("code_digest", null=True),
    column("code_expires_ms"),
    text_column("token_digest", null=True),
    column("paired_ms", null=True),
    column("ended_ms", null=True),
    UniqueConstraint("code_digest"),
    UniqueConstraint("token_digest"),
    check("code", "code_digest IS NULL OR (paired_ms IS NULL AND ended_ms IS NULL)"),
    check("token", "(token_digest IS NOT NULL) = (paired_ms IS NOT NULL AND ended_ms IS NULL)"),
    **strict(KEPT, by_key=False),
)
"""Screens beside machines, with their credentials; those that ended are kept for the audit log."""

kiosk_tokens = Table(
    "kiosk_tokens",
    metadata,
    text_column("digest", key=True),
    Column("account", TEXT, ForeignKey("accounts.id"), nullable=False),
    Column("kiosk", WHOLE, ForeignKey("kiosks.sequence"), nullable=False),
    column("buys_until_ms"),
    column("expires_ms"),
    text_column("made_by"),
    text_column("name", null=True),
    column("created_ms"),
    column("used_ms", null=True),
    check("times", "created_ms <= buys_until_ms AND buys_until_ms <= expires_ms"),
    Index("kiosk_tokens_by_account", "account", "expires_ms"),
    Index("kiosk_tokens_by_kiosk", "kiosk"),
    **strict(REMOVABLE),
)
"""Bearer tokens that only drop, at one machine. A program that does not know this table refuses
them; it would take those of another table for tokens that drop everywhere."""

card_reads = Table(
    "card_reads",
    metadata,
    column("sequence", key=True),
    Column("kiosk", WHOLE, ForeignKey("kiosks.sequence"), nullable=False),
    text_column("digest", null=True),
    text_column("kind"),
    column("length"),
    Column("account", TEXT, ForeignKey("accounts.id"), nullable=True),
    column("expires_ms"),
    text_column("code_digest", null=True),
    UniqueConstraint("code_digest"),
    check("kind", f"kind IN {among(*CardKind)}"),
    check("code", "code_digest IS NULL OR digest IS NOT NULL"),
    Index("card_reads_by_kiosk", "kiosk"),
    **strict(REMOVABLE, by_key=False),
)
"""Cards that were read for kiosks, for seconds or minutes; never their numbers."""
