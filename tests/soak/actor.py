"""What buyers and fault injectors have in common: a thread that acts at random times."""

import random
import threading
from dataclasses import dataclass

from tests.soak.history import History
from tests.soak.soak_system import SoakSystem


@dataclass(frozen=True)
class Soak:
    """What all threads of a soak run share.

    Attributes:
        system: The system under soak.
        history: Records requests, answers and faults.
        seed: Of all random choices.
        pause_s: Seconds between two faults of a kind at one place, on average.
        stop: Set when the threads shall end.
    """

    system: SoakSystem
    history: History
    seed: str
    pause_s: float
    stop: threading.Event


class Actor(threading.Thread):
    """Acts at random times until the run is stopped.

    Args:
        soak: The run.
        name: Of the thread; with the run's seed it decides its random choices.
        pause_s: Seconds between two actions, on average.

    Attributes:
        failure: The error that ended the thread, if any.
    """

    def __init__(self, soak: Soak, name: str, pause_s: float) -> None:
        super().__init__(name=name, daemon=True)
        self.system, self.history = soak.system, soak.history
        self.random = random.Random(f"{soak.seed}/{name}")
        self.failure: Exception | None = None
        self._pause_s = pause_s
        self._stop_event = soak.stop

    def run(self) -> None:
        """Acts until the run is stopped."""
        try:
            while not self.idle(self.random.expovariate(1 / self._pause_s)):
                self.act()
        except Exception as error:  # `run_soak` reports it
            self.failure = error

    def act(self) -> None:
        """Does one thing."""
        raise NotImplementedError

    def idle(self, seconds: float) -> bool:
        """Waits; True once the run is stopped."""
        return self._stop_event.wait(seconds)

    def close(self) -> None:
        """Closes what it has open."""
