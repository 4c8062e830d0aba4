"""How an emulated board's bytes are cut into writes."""

import heapq
import random
from enum import StrEnum
from itertools import pairwise
from typing import Final

_COALESCE_S: Final = 0.04
"""Seconds that bytes wait for company: the delay measured between firmware and server."""

_GAP_S: Final = 0.002
"""Seconds between the writes that shall arrive apart."""


class Cut(StrEnum):
    """Where one write ends and the next begins."""

    BYTES = "bytes"
    """After each byte, at once; the firmware's way."""
    LINES = "lines"
    """After each line; the Ruby simulator's way."""
    COALESCED = "coalesced"
    """All that is said within 40 ms goes in one write."""
    APART = "apart"
    """After each byte, 2 ms apart, so that each arrives alone."""
    RANDOM = "random"
    """By chance, with gaps by chance."""


class SegmentWriter:
    """Takes lines and gives writes, each when it is due."""

    def __init__(self, cut: Cut, rng: random.Random) -> None:
        self.cut = cut
        """May be changed at any time."""
        self._rng = rng
        self._queue: list[tuple[float, int, bytes]] = []
        self._count = 0
        self._last_due = 0.0

    @property
    def next_due(self) -> float | None:
        """When the next write is due."""
        return self._queue[0][0] if self._queue else None

    def clear(self) -> None:
        """Forgets what has not been written."""
        self._queue.clear()

    def write(self, line: bytes, now: float) -> None:
        """Takes a line."""
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
        """The writes that are due."""
        due: list[bytes] = []
        while self._queue and self._queue[0][0] <= now:
            due.append(heapq.heappop(self._queue)[2])
        return [b"".join(due)] if due and self.cut is Cut.COALESCED else due

    def _cut_at_random(self, line: bytes) -> list[bytes]:
        cuts = sorted(self._rng.sample(range(len(line)), self._rng.randint(0, len(line) - 1)))
        bounds = [0, *(cut for cut in cuts if cut), len(line)]
        return [line[start:end] for start, end in pairwise(bounds)]
