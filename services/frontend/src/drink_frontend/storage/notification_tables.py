"""The tables of notifications, as those in `tables.py`."""

from sqlalchemy import Column, ForeignKey, Table

from drink_frontend.domain.notifications import News
from drink_frontend.storage.columns import (
    EXPIRING,
    REMOVABLE,
    TEXT,
    WHOLE,
    among,
    check,
    column,
    partial,
    strict,
    text_column,
)
from drink_frontend.storage.tables import metadata

channels = Table(
    "channels",
    metadata,
    text_column("name", key=True),
    column("seen_ms"),
    column("failures"),
    check("failures", "failures >= 0"),
    **strict(REMOVABLE),
)
"""Who asks for notifications."""

notifications = Table(
    "notifications",
    metadata,
    column("sequence", key=True),
    text_column("news"),
    Column("alarm", WHOLE, ForeignKey("alarms.sequence")),
    column("at_ms"),
    text_column("channel", null=True),
    text_column("day", null=True),
    check("news", f"news IN {among(*News)}"),
    check("alarm", "(news = 'DIGEST') = (alarm IS NULL)"),
    check("digest", "(news = 'DIGEST') = (channel IS NOT NULL AND day IS NOT NULL)"),
    partial("notifications_digest_once", "channel", "day", where="day IS NOT NULL", unique=True),
    **strict(EXPIRING, by_key=False),
)
"""What there is to tell. Old rows are deleted, never the newest one."""

deliveries = Table(
    "deliveries",
    metadata,
    Column("channel", TEXT, ForeignKey("channels.name"), primary_key=True, nullable=False),
    Column(
        "notification",
        WHOLE,
        ForeignKey("notifications.sequence"),
        primary_key=True,
        nullable=False,
    ),
    column("lease"),
    column("leased_ms"),
    column("ends_ms"),
    column("told"),
    check("lease", "lease >= 0"),
    check("told", "told IN (0, 1)"),
    **strict(REMOVABLE),
)
"""Leases of notifications, and which were told: a row for each that a channel has leased."""
