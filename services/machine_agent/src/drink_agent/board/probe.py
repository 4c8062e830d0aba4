"""Finds out whether a board is idle, by asking and knowing its own answer when it comes."""

from collections.abc import Collection
from typing import Final

from drink_agent.board.tini import SlotStatus

MAX_INTERVAL_S: Final = 60.0
"""Longest wait between two probes; a board that will not answer is not worth more traffic."""

ONE_SLOT_PROOFS: Final = 3
"""Answered probes that prove a machine of one slot idle."""


class IdleProbe:
    """Status requests from one moment on, and what their answers prove.

    A board handles what it reads one after the other, so an answer proves that whatever was sent
    before the request is over. But a board also pushes the status of a slot whose sensor changed,
    at any time, even while a motor runs. A status of several slots cannot be such a push, nor can
    one of a slot 0, which is how the Ruby simulator answers. Where a machine has one slot only,
    several answered probes in a row have to do.
    """

    def __init__(self, interval_s: float, now: float) -> None:
        self.started_at = now
        self.due_at = now
        self._interval_s = interval_s
        self._open = False
        self._one_slot_proofs = 0

    def asked(self, now: float) -> None:
        """A request was written."""
        self._open = True
        self.due_at = now + self._interval_s
        self._interval_s = min(self._interval_s * 2, MAX_INTERVAL_S)

    def proves_idle(self, status: SlotStatus, known_slots: Collection[int], now: float) -> bool:
        """Whether this status, with those before it, proves that the board is idle.

        Args:
            status: what the board says.
            known_slots: the slots it has reported on this connection, these included.
            now: monotonic seconds; the next request is due at once if this answer counts but is
                not enough.
        """
        if not self._open:
            return False
        if len(status.slots) != 1 or status.slots[0][0] == 0:
            return True
        if len(known_slots) != 1:
            return False
        self._one_slot_proofs += 1
        self._open = False
        self.due_at = now
        return self._one_slot_proofs == ONE_SLOT_PROOFS
