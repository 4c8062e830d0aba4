"""The table of temperatures, with the same conventions as those in `tables.py`."""

from sqlalchemy import REAL, Column, Double, ForeignKey, Table
from sqlalchemy.types import TypeEngine

from drink_frontend.storage.columns import REMOVABLE, TEXT, check, column, strict
from drink_frontend.storage.tables import metadata

REAL_NUMBER: TypeEngine[float] = Double().with_variant(REAL(), "sqlite")
"""Type of a column of real numbers."""

temperatures = Table(
    "temperatures",
    metadata,
    Column("machine", TEXT, ForeignKey("machines.name"), primary_key=True, nullable=False),
    column("span_ms", key=True),
    column("from_ms", key=True),
    column("low", REAL_NUMBER),
    column("mean", REAL_NUMBER),
    column("high", REAL_NUMBER),
    column("known_ms"),
    check("span", "span_ms > 0 AND from_ms % span_ms = 0"),
    check("known", "known_ms BETWEEN 1 AND span_ms"),
    check("order", "low <= mean AND mean <= high"),
    **strict(REMOVABLE),
)
"""What machines' thermometers showed: a row for each machine and five minutes, later each hour."""
