"""What an agent reports about itself."""

from dataclasses import dataclass

MOTOR_TIMES_S = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0)
"""Limits of `AgentStats.motor_times` in seconds; the protocol of the link sets them."""


@dataclass(frozen=True, slots=True)
class AgentStats:
    """Counters and sizes of an agent; what counts is counted from its start."""

    uptime_s: int = 0
    links_lost: int = 0
    board_losses: int = 0
    board_connects: int = 0
    board_timeouts: int = 0
    motor_times: tuple[int, ...] = (0,) * (len(MOTOR_TIMES_S) + 1)
    """Answered commands by their time: one number for each of `MOTOR_TIMES_S`, and the rest."""
    motor_seconds: float = 0.0
    """Sum of these times."""
    journal_bytes: int = 0
    disk_free_bytes: int = 0
    disk_bytes: int = 0
    memory_bytes: int = 0
    """0 if the agent does not know it."""

    @property
    def disk_free(self) -> float | None:
        """Share of the disk that is free, 0 to 1; None if the agent has not told it."""
        return self.disk_free_bytes / self.disk_bytes if self.disk_bytes else None
