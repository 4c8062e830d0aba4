"""Proves that a tini-board is idle, by status requests and their answers."""

from collections.abc import Collection
from typing import Final

from drink_agent.board.drivers.tini_codec import SlotStatus

MAX_INTERVAL_S: Final = 60.0
"""Longest wait in seconds between two status requests to a board that does not answer."""

QUIET_S: Final = 0.1
"""Seconds without a byte from the board before the next request is written. If a pushed status was
taken for the answer to a request, the real answer comes within this time. So two lines are never in
the board's buffer together."""

QUIET_LIMIT_S: Final = 0.5
"""Longest wait in seconds for that quiet; then a board that never stops sending is asked."""

FULL_PROOFS: Final = 2
"""Answered requests that prove a board of several slots idle: the firmware pushes one full status
without a request, when it has found all its slots."""

ONE_SLOT_PROOFS: Final = 3
"""Answered requests that prove a board of one slot idle. Its full status looks like the pushed
status of a changed sensor, which is more frequent, but not three times right after a request."""


class IdleProbe:
    """Schedules status requests and counts their answers.

    A board handles the lines that it reads in order, so an answer proves that everything written
    before the request is done. But a board also pushes statuses at any time, even while a motor
    runs: of a slot whose sensor changed, and once of all slots. So several answers are required,
    each after its own request, and a status of one slot counts only if no other slot is known. The
    Ruby simulator, which reports a slot 0, pushes nothing.

    At most one request is open. The next one is due when the last one was answered and the board
    is quiet, or when the last one has timed out.

    Args:
        interval_s: Seconds until a request without an answer times out and the next one is due,
            doubled each time.
        now: Monotonic seconds.
        first_at: Earliest time of the first request; None for at once.
        proofs: Answers that prove a board of several slots idle.
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
        """Takes note that a request was written."""
        self._open = True
        self.due_at = now + self._interval_s
        self._interval_s = min(self._interval_s * 2, MAX_INTERVAL_S)

    def received(self, now: float) -> None:
        """Takes note of received bytes: without an open request, the next one waits for quiet."""
        if not self._open and now + QUIET_S > self._first_at:
            self.due_at = min(now + QUIET_S, self._quiet_by)

    def proves_idle(self, status: SlotStatus, known_slots: Collection[int], now: float) -> bool:
        """Returns whether this status, with those before it, proves that the board is idle.

        Args:
            status: The status.
            known_slots: The slots that the board has reported on this connection, including these.
            now: Monotonic seconds. If the answer counts but is not enough, the next request is due
                as soon as the board is quiet.
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
