"""Bytes that sessions hold, in all: commands that wait and replies that nobody has read."""

from typing import Protocol

RELIEF = 0.75
"""Part of the limit that is left in use after sessions were cut off, so that the next look at all
of them comes only after a quarter of the limit has been filled again."""


class Holder(Protocol):
    """A connection, as far as its bytes are concerned."""

    @property
    def known(self) -> bool:
        """Whether somebody has logged in on it."""

    @property
    def held(self) -> int:
        """Bytes that it holds right now."""

    def cut_off(self) -> None:
        """It holds too much."""


class Buffers:
    """Keeps what all connections hold together within a limit.

    What a connection holds is told when it grows and looked up when it counts, since it shrinks
    without anybody being told.

    Args:
        bytes_max: Most bytes in all.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._held: dict[Holder, int] = {}
        self._total = 0

    def note(self, holder: Holder, size: int) -> None:
        """A connection holds so many bytes; cuts off those that hold most if it is too much."""
        self._total += size - self._held.get(holder, 0)
        if size:
            self._held[holder] = size
        else:
            self._held.pop(holder, None)
        if self._total > self._bytes_max:
            self._look_up()
            if self._total > self._bytes_max:
                self._relieve()

    def forget(self, holder: Holder) -> None:
        """The connection has gone."""
        self._total -= self._held.pop(holder, 0)

    def _look_up(self) -> None:
        sizes = ((holder, holder.held) for holder in self._held)
        self._held = {holder: size for holder, size in sizes if size}
        self._total = sum(self._held.values())

    def _relieve(self) -> None:
        # Those who have not logged in first, and of them those who hold most.
        for holder in sorted(self._held, key=lambda each: (each.known, -self._held[each])):
            if self._total <= self._bytes_max * RELIEF:
                return
            self.forget(holder)
            holder.cut_off()
