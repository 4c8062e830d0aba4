"""Where the services are killed in the course of a purchase, and the outcome that must follow.

A drop may end UNKNOWN only where the board had to be told of it and the agent's memory of the
answer was lost; the tables are as narrow as the protocol permits.
"""

import os
from collections.abc import Iterable

import pytest

from tests.crash.scenario import DISPENSED, INTERRUPTED, NEVER_RAN, Outcome

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "1"))
"""How often each crash is tried. Above 1 every combination is tried too, not only a sample."""

THOROUGH = ROUNDS > 1

UNSYNCED = ("during-", "before-sync", "after-sync", "after-commit", "after-write")
"""Beginnings of the points at which a power cut can lose more than a kill of the process."""


def unsynced_points(points: Iterable[str]) -> list[str]:
    """The points where a power cut matters most; all of them in a thorough run."""
    return [point for point in points if THOROUGH or point.startswith(UNSYNCED)]


def sample(points: Iterable[str]) -> list[object]:
    """Every third point; the others are slow, unless the run is thorough.

    For what is tried beside a purchase: each kind of step is killed there in every run.
    """
    return [
        point if THOROUGH or number % 3 == 0 else pytest.param(point, marks=pytest.mark.slow)
        for number, point in enumerate(points)
    ]


def commit(step: str) -> tuple[str, ...]:
    """The frontend's points in and around a commit."""
    places = ("before-commit", "during-commit", "before-sync", "after-commit")
    return tuple(f"{place}-{step}" for place in places)


def written(records: str) -> tuple[str, ...]:
    """The agent's points in and around the writing of records."""
    places = ("before-write", "during-write", "before-sync", "after-sync")
    return tuple(f"{place}-{records}" for place in places)


def around(what: str) -> tuple[str, str]:
    """The points before and after something."""
    return f"before-{what}", f"after-{what}"


RESERVING = (
    "insert-drops",
    "insert-transfers",
    "update-drops",
    "update-slots",
    "update-accounts",
    "insert-audit",
    "insert-events",
)
SETTLING = (
    "update-drops",
    "insert-transfers",
    "update-slots",
    "update-accounts",
    "insert-stock_movements",
    "update-machines",
    "insert-audit",
    "insert-events",
)
"""The phases in which a turn is stored that reserves and dispatches a drop, or settles it."""

FRONTEND_BUYING = (
    *commit("reserved"),
    *commit("dispatched"),
    *around("send-dispense"),
    *commit("dispensed"),
    *around("send-resultack"),
    *around("reply-drop"),
)
"""All steps of the frontend for a drop. Wherever it is killed, the can falls once and is paid."""

FRONTEND_TURNS = (
    "after-load-order",
    "after-decide-reserved",
    *(f"after-{phase}-reserved" for phase in RESERVING),
    "after-load-result",
    "after-decide-dispensed",
    *(f"after-{phase}-dispensed" for phase in SETTLING),
)
"""All steps inside the two turns of a drop, of which the database knows nothing afterwards."""

DIVIDED = ("divided-reserved",)
"""A batch with an order was refused by the database, and is undone and divided."""

CHECKPOINT = ("during-checkpoint", *around("sync-checkpoint"))
"""SQLite copies its write-ahead log into the database."""

FRONTEND_OTHER = (
    *commit("scheduled"),
    *commit("released"),
    *commit("cancelled"),
    *around("reply-cancel"),
    *commit("status"),
    *commit("link-opened"),
    *around("send-welcome"),
    *commit("returned"),
    *commit("not-dispensed"),
    *commit("unknown"),
    *commit("still-unknown"),
    *commit("resolved"),
    *commit("withdrawn"),
    *commit("credits"),
    *around("reply-credits"),
    *around("reply-session"),
    *commit("counted"),
    *commit("cleared"),
    *CHECKPOINT,
)
"""All other steps of the frontend with drops, credits, links and statistics."""

AGENT_BUYING: dict[str, Outcome] = {
    # The journal knows nothing of the drop, so the agent proves that it was not received.
    **dict.fromkeys(around("append-accepted"), DISPENSED),
    **dict.fromkeys(around("append-commanded"), DISPENSED),
    "before-write-commanded": DISPENSED,
    "during-write-commanded": DISPENSED,
    # The journal says that the motor may have run.
    "before-sync-commanded": NEVER_RAN,
    "after-sync-commanded": NEVER_RAN,
    "before-write-board": NEVER_RAN,
    "during-write-board-1": NEVER_RAN,
    "during-write-board-2": NEVER_RAN,
    "after-write-board": INTERRUPTED,
    **dict.fromkeys(around("append-result"), INTERRUPTED),
    "before-write-result": INTERRUPTED,
    "during-write-result": INTERRUPTED,
    # The journal has the result.
    "before-sync-result": DISPENSED,
    "after-sync-result": DISPENSED,
    **dict.fromkeys(around("send-result"), DISPENSED),
    **dict.fromkeys(around("append-acked"), DISPENSED),
    **dict.fromkeys(written("acked"), DISPENSED),
}
"""All steps of the agent for a drop, and the drop's outcome when the agent is killed there."""

AGENT_BUYING_UNSYNCED: dict[str, Outcome] = {
    **AGENT_BUYING,
    # Written, and lost with the power: as if it had not been written.
    "before-sync-commanded": DISPENSED,
    "before-sync-result": INTERRUPTED,
}
"""The same when the host loses its power and all unsynced data."""

CREATE = (
    "before-open",
    *written("create"),
    "before-rename-create",
    *around("sync-create-folder"),
    "after-open",
)
"""The agent's first start, when it makes its journal."""

REPAIR = ("before-truncate-repair", *around("sync-repair"))
"""A torn record is cut off."""

REPLAY = (*around("open"), *around("replay"), "during-replay", *around("send-hello"))
"""Every start of an agent that has a journal."""

COMPACT = (
    *around("compact"),
    *written("compact"),
    "before-rename-compact",
    *around("sync-compact-folder"),
)
"""The compaction of a journal."""

AGENT_OTHER = (*CREATE, *REPAIR, *REPLAY, *COMPACT, *around("send-not-received"))
"""All else that the agent does with its journal and its link."""

LEAVE_NOTHING = tuple(
    point
    for message in ("heartbeat", "board-status", "agent-stats", "card-read", "goodbye")
    for point in around(f"send-{message}")
)
"""Points that are no steps: what is said there is kept nowhere."""
