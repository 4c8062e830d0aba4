"""Finds out whether a board is idle, by asking and knowing its own answer when it comes."""

from collections.abc import Collection
from typing import Final

from drink_agent.board.tini import SlotStatus

MAX_INTERVAL_S: Final = 60.0
"""Longest wait between two probes; a board that will not answer is not worth more traffic."""

FULL_PROOFS: Final = 2
"""Answered probes that prove a machine of several slots idle: the firmware pushes one full status
of its own accord, when it has found all its slots."""

ONE_SLOT_PROOFS: Final = 3
"""Answered probes that prove a machine of one slot idle: its full status looks like the push of a
changed sensor, and those come more easily, but not three in step with the questions."""


class IdleProbe:
    """Status requests from one moment on, and what their answers prove.

    A board handles what it reads one after the other, so an answer proves that whatever was sent
    before the request is over. But a board also pushes statuses, at any time, even while a motor
    runs: of a slot whose sensor changed, and once of all slots. So several answers are wanted,
    each after a request of its own, and of one slot only where no other is known. The Ruby
    simulator, which answers for a slot 0, pushes nothing.
    """

    def __init__(self, interval_s: float, now: float) -> None:
        self.started_at = now
        self.due_at = now
        self._interval_s = interval_s
        self._open = False
        self._full_proofs = 0
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
        one_slot = len(status.slots) == 1
        if one_slot and status.slots[0][0] == 0:
            return True
        if one_slot and len(known_slots) > 1:
            return False
        self._open = False
        self.due_at = now
        if one_slot:
            self._one_slot_proofs += 1
        else:
            self._full_proofs += 1
        return self._full_proofs >= FULL_PROOFS or self._one_slot_proofs >= ONE_SLOT_PROOFS
