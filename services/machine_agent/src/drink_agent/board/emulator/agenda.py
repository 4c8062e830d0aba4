"""What is to happen later."""

import heapq
from collections.abc import Callable
from enum import Enum, auto


class Scope(Enum):
    """How long something still has a reason to happen."""

    CONNECTION = auto()
    """Until the connection is lost."""
    POWER = auto()
    """Until the power is lost."""


class Agenda:
    """Actions with their times, in order of time and then of being added."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Scope, Callable[[float], None]]] = []
        self._count = 0

    @property
    def next_due(self) -> float | None:
        """When the next action is due."""
        return self._entries[0][0] if self._entries else None

    def add(self, due: float, scope: Scope, action: Callable[[float], None]) -> None:
        """Will call the action with its time."""
        self._count += 1
        heapq.heappush(self._entries, (due, self._count, scope, action))

    def run(self, now: float) -> None:
        """Does what is due, including what that adds."""
        while self._entries and self._entries[0][0] <= now:
            due, _, _, action = heapq.heappop(self._entries)
            action(due)

    def drop(self, scope: Scope) -> None:
        """Forgets the actions of a scope."""
        self._entries = [entry for entry in self._entries if entry[2] is not scope]
        heapq.heapify(self._entries)
