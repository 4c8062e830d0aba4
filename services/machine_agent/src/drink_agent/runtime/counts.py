"""Counts what the agent's board does, for the frontend's metrics."""

from bisect import bisect_left

from drink_agent.domain.events import BoardOutcome, BoardStatus
from drink_agent.domain.evidence import Cause
from drink_agent.link.convert import MOTOR_TIMES_S

_ANSWERED = {Cause.BOARD_ACK, Cause.BOARD_ACK_LATE, Cause.BOARD_REFUSED, Cause.BOARD_REFUSED_LATE}
"""Outcomes that the board's answer to the command has decided."""


class BoardCounts:
    """Counters of one board since the agent's start. All times are seconds of one clock.

    Attributes:
        losses: Times that the board stopped being ready.
        timeouts: Commands that it did not answer in time.
        motor_times: Answered commands by their time, as in `AgentStats`.
        motor_seconds: Sum of these times.
    """

    def __init__(self) -> None:
        self.losses = 0
        self.timeouts = 0
        self.motor_times = [0] * (len(MOTOR_TIMES_S) + 1)
        self.motor_seconds = 0.0
        self._ready = False
        self._commanded: tuple[str, float] | None = None

    def status(self, status: BoardStatus) -> None:
        """Takes note of a status of the board."""
        if self._ready and not status.ready:
            self.losses += 1
        self._ready = status.ready

    def commanded(self, drop: str, now: float) -> None:
        """Takes note that the board is commanded now."""
        self._commanded = drop, now

    def outcome(self, outcome: BoardOutcome, now: float) -> None:
        """Takes note of the outcome of the command."""
        if self._commanded is None or self._commanded[0] != outcome.drop:
            return
        seconds = max(0.0, now - self._commanded[1])
        self._commanded = None
        if outcome.cause is Cause.BOARD_SILENT:
            self.timeouts += 1
        elif outcome.cause in _ANSWERED:
            self.motor_times[bisect_left(MOTOR_TIMES_S, seconds)] += 1
            self.motor_seconds += seconds
