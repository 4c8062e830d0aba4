"""The tables of statistics, with the same conventions as those in `tables.py`."""

from sqlalchemy import Table

from drink_frontend.domain.statistics import NAMES, Kind, Phase
from drink_frontend.storage.columns import (
    KEPT,
    REMOVABLE,
    among,
    check,
    column,
    strict,
    text_column,
)
from drink_frontend.storage.tables import metadata

statistics = Table(
    "statistics",
    metadata,
    text_column("owner", key=True),
    text_column("kind", key=True),
    column("period", key=True),
    text_column("machine", key=True),
    text_column("subject", key=True),
    *(column(name) for name in NAMES),
    check("kind", f"kind IN {among(*Kind)}"),
    check("numbers", " AND ".join(f"{name} >= 0" for name in NAMES)),
    **strict(REMOVABLE),
)
"""Sums of drops and credits for each day and month. No foreign keys: rows stay what they are
whatever becomes of machines, items and accounts."""

statistics_unknown = Table(
    "statistics_unknown",
    metadata,
    text_column("drop_id", key=True),
    **strict(REMOVABLE),
)
"""The drops that count as UNKNOWN in the sums."""

statistics_progress = Table(
    "statistics_progress",
    metadata,
    column("number", key=True),
    text_column("phase"),
    text_column("time_zone"),
    column("event_sequence"),
    column("drop_sequence"),
    check("number", "number = 1"),
    check("phase", f"phase IN {among(*Phase)}"),
    **strict(KEPT),
)
"""One row: how far the sums are."""
