"""What all buyers have in common: a thread, choices of their own, a history."""

import random
import threading

from scripts.plan import UserPlan
from tests.soak.history import History
from tests.soak.plan import PLAN, SLOTS


class Buyer(threading.Thread):
    """One buyer, in a thread.

    Args:
        user: Who it is.
        seed: Of its choices.
        history: What was asked and answered.
        stop: Set when it is enough.
    """

    def __init__(self, user: UserPlan, seed: str, history: History, stop: threading.Event) -> None:
        super().__init__(name=user.name, daemon=True)
        self.user = user
        self.random = random.Random(f"{seed}/{user.name}")
        self.history = history
        self.failure: Exception | None = None
        """What went wrong here, if anything did."""
        self.stop_event = stop

    def run(self) -> None:
        """Buys until it is enough."""
        try:
            while not self.stop_event.wait(self.random.expovariate(4)):
                self.act()
        except Exception as error:  # whoever waits for this thread raises it
            self.failure = error

    def act(self) -> None:
        """Does one thing."""
        raise NotImplementedError

    def close(self) -> None:
        """Ends what it has open."""

    def any_slot(self) -> str:
        """A slot such as `d/1`."""
        machine, slot = self.random.choice(PLAN.machines), self.random.choice(SLOTS)
        return f"{machine.name}/{slot.number}"

    def any_delay_s(self) -> int:
        """Mostly none."""
        return self.random.choice((0, 0, 0, 0, 1, 3))
