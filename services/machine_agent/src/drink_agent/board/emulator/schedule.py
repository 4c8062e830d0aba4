"""When an emulated board acts, and how its output is cut into writes."""

import heapq
import random
from collections.abc import Callable
from enum import Enum, StrEnum, auto
from itertools import pairwise
from typing import Final

_COALESCE_S: Final = 0.04
"""Seconds for which bytes are collected: the delay measured between firmware and server."""

_GAP_S: Final = 0.002
"""Seconds between writes that must arrive separately."""


class Scope(Enum):
    """When a pending action is cancelled."""

    CONNECTION = auto()
    """With the connection."""
    POWER = auto()
    """With the power."""


class Timers:
    """Pending actions, in the order of their times; actions with one time in the order of `add`."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Scope, Callable[[float], None]]] = []
        self._count = 0

    @property
    def next_due(self) -> float | None:
        """When the next action is due; None without one."""
        return self._entries[0][0] if self._entries else None

    def add(self, due: float, scope: Scope, action: Callable[[float], None]) -> None:
        """Adds an action, which is called with its time `due`."""
        self._count += 1
        heapq.heappush(self._entries, (due, self._count, scope, action))

    def run(self, now: float) -> None:
        """Runs all actions that are due, including those that they add."""
        while self._entries and self._entries[0][0] <= now:
            due, _, _, action = heapq.heappop(self._entries)
            action(due)

    def cancel(self, scope: Scope) -> None:
        """Cancels all actions of a scope."""
        self._entries = [entry for entry in self._entries if entry[2] is not scope]
        heapq.heapify(self._entries)


class Cut(StrEnum):
    """Where one write ends and the next one begins."""

    BYTES = "bytes"
    """After each byte, at once, like the firmware."""
    LINES = "lines"
    """After each line, like the Ruby simulator."""
    COALESCED = "coalesced"
    """All output of 40 ms in one write."""
    APART = "apart"
    """After each byte, 2 ms apart, so that each byte arrives alone."""
    RANDOM = "random"
    """At random places, with random gaps."""


class SegmentWriter:
    """Cuts lines into writes, each with its time.

    Args:
        cut: How to cut; may be changed at any time.
        rng: Draws places and gaps.
    """

    def __init__(self, cut: Cut, rng: random.Random) -> None:
        self.cut = cut
        self._rng = rng
        self._queue: list[tuple[float, int, bytes]] = []
        self._count = 0
        self._last_due = 0.0

    @property
    def next_due(self) -> float | None:
        """When the next write is due; None without one."""
        return self._queue[0][0] if self._queue else None

    def clear(self) -> None:
        """Discards all pending writes."""
        self._queue.clear()

    def write(self, line: bytes, now: float) -> None:
        """Adds a line."""
        due = max(now, self._last_due)
        match self.cut:
            case Cut.BYTES | Cut.APART:
                pieces = [line[at : at + 1] for at in range(len(line))]
                gap_s = _GAP_S if self.cut is Cut.APART else 0.0
            case Cut.RANDOM:
                pieces = self._cut_at_random(line)
                gap_s = self._rng.uniform(0.0, _GAP_S)
            case Cut.LINES:
                pieces, gap_s = [line], 0.0
            case Cut.COALESCED:
                due = self._queue[-1][0] if self._queue else now + _COALESCE_S
                pieces, gap_s = [line], 0.0
        for piece in pieces:
            self._count += 1
            heapq.heappush(self._queue, (due, self._count, piece))
            due += gap_s
        self._last_due = due

    def take(self, now: float) -> list[bytes]:
        """Returns the writes that are due."""
        due: list[bytes] = []
        while self._queue and self._queue[0][0] <= now:
            due.append(heapq.heappop(self._queue)[2])
        return [b"".join(due)] if due and self.cut is Cut.COALESCED else due

    def _cut_at_random(self, line: bytes) -> list[bytes]:
        cuts = sorted(self._rng.sample(range(len(line)), self._rng.randint(0, len(line) - 1)))
        bounds = [0, *(cut for cut in cuts if cut), len(line)]
        return [line[start:end] for start, end in pairwise(bounds)]
