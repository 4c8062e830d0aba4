"""The system's clocks."""

import time


class SystemClock:
    """Implements `domain.ports.Clock`."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, UTC; may jump."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds; never jumps."""
        return time.monotonic()
