"""How thorough a run is: `make test` tries each crash once, `make crash` all of them many times."""

import os
from collections.abc import Iterable

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "1"))
"""How often each crash is tried. Above 1 every combination is tried too, and not a sample."""

THOROUGH = ROUNDS > 1

UNSYNCED = ("during-", "before-sync", "after-sync", "after-commit", "after-write")
"""How the points begin at which a power cut can take more with it than a mere death."""


def unsynced_points(points: Iterable[str]) -> list[str]:
    """Of points for power cuts, the ones that say most; all of them in a thorough run."""
    return [point for point in points if THOROUGH or point.startswith(UNSYNCED)]
