"""A clock that moves only when a test says so; implements the frontend's `domain.ports.Clock`."""

import asyncio


class FakeClock:
    """Wall time and monotonic time, moved together or apart.

    Attributes:
        wall_ms: Milliseconds since the epoch.
        seconds: Monotonic seconds.
    """

    def __init__(self, wall_ms: int = 1_800_000_000_000, seconds: float = 1_000.0) -> None:
        self.wall_ms = wall_ms
        self.seconds = seconds
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic(self) -> float:
        return self.seconds

    def pass_s(self, seconds: float) -> None:
        """Lets time pass, as it does."""
        self.seconds += seconds
        self.wall_ms += round(seconds * 1000)
        for due, sleeper in self._sleepers:
            if due <= self.seconds and not sleeper.done():
                sleeper.set_result(None)

    async def sleep(self, seconds: float) -> None:
        """Waits until so much time has passed."""
        sleeper = asyncio.get_running_loop().create_future()
        entry = (self.seconds + seconds, sleeper)
        self._sleepers.append(entry)
        try:
            await sleeper
        finally:
            self._sleepers.remove(entry)

    @property
    def waits(self) -> list[float]:
        """Seconds that each of those who sleep has left, the shortest first."""
        return sorted(due - self.seconds for due, _ in self._sleepers)

    def jump_s(self, seconds: float) -> None:
        """Sets the wall clock forward, or back if negative; no time passes."""
        self.wall_ms += round(seconds * 1000)
