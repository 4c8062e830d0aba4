"""Finds out whether a board is idle, by asking and knowing its own answer when it comes."""

from collections.abc import Collection
from typing import Final

from drink_agent.board.tini import SlotStatus

MAX_INTERVAL_S: Final = 60.0
"""Longest wait between two probes; a board that will not answer is not worth more traffic."""

QUIET_S: Final = 0.1
"""Seconds without a byte from the board before the next question is written. An answer that
belongs to the question before, because a pushed status was taken for it, comes within this time, so
that two lines never lie in the board's buffer together."""

QUIET_LIMIT_S: Final = 0.5
"""Longest wait for that quiet, in seconds; a board that never stops talking is asked after it."""

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

    One question is under way at a time: the next is due when the last was answered and the board
    is quiet, or when the last is given up.

    Args:
        interval_s: Seconds until a question without an answer is given up and the next one is due,
            doubled each time.
        now: Monotonic seconds.
        first_at: Not before when the first question is due; None for at once.
        proofs: Answers that prove a machine of several slots idle.
    """

    def __init__(
        self,
        interval_s: float,
        now: float,
        *,
        first_at: float | None = None,
        proofs: int = FULL_PROOFS,
    ) -> None:
        self.started_at = now
        self.due_at = now if first_at is None else first_at
        self._first_at = self.due_at
        self._quiet_by = self.due_at + QUIET_LIMIT_S
        self._interval_s = interval_s
        self._proofs = proofs
        self._open = False
        self._full_proofs = 0
        self._one_slot_proofs = 0

    def asked(self, now: float) -> None:
        """A request was written."""
        self._open = True
        self.due_at = now + self._interval_s
        self._interval_s = min(self._interval_s * 2, MAX_INTERVAL_S)

    def heard(self, now: float) -> None:
        """Bytes came: if no question is under way, the next one waits until the board is quiet."""
        if not self._open and now + QUIET_S > self._first_at:
            self.due_at = min(now + QUIET_S, self._quiet_by)

    def proves_idle(self, status: SlotStatus, known_slots: Collection[int], now: float) -> bool:
        """Whether this status, with those before it, proves that the board is idle.

        Args:
            status: what the board says.
            known_slots: the slots it has reported on this connection, these included.
            now: monotonic seconds; if this answer counts but is not enough, the next request is
                due as soon as the board is quiet.
        """
        if not self._open:
            return False
        one_slot = len(status.slots) == 1
        if one_slot and status.slots[0][0] == 0:
            return True
        if one_slot and len(known_slots) > 1:
            return False
        self._open = False
        self.due_at = self._first_at = now + QUIET_S
        self._quiet_by = now + QUIET_LIMIT_S
        if one_slot:
            self._one_slot_proofs += 1
        else:
            self._full_proofs += 1
        return self._full_proofs >= self._proofs or self._one_slot_proofs >= ONE_SLOT_PROOFS
