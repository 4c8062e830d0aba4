"""The table of what is done to the database at times, as those in `tables.py`."""

from sqlalchemy import Table

from drink_frontend.domain.upkeep import Task
from drink_frontend.storage.columns import KEPT, among, check, column, strict, text_column
from drink_frontend.storage.tables import FACTS_MAX, metadata

upkeep = Table(
    "upkeep",
    metadata,
    text_column("task", key=True),
    column("done_ms"),
    column("problems"),
    text_column("facts"),
    check("task", f"task IN {among(*Task)}"),
    check("problems", "problems >= 0"),
    check("facts", f"length(facts) <= {FACTS_MAX}"),
    **strict(KEPT),
)
"""When the books were checked last, and when a backup was made: a row for each."""
