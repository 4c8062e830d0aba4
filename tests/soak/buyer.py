"""What all buyers have in common: random slots and delays."""

from scripts.plan import UserPlan
from tests.soak.actor import Actor, Soak
from tests.soak.plan import PLAN, SLOTS

PAUSE_S = 0.25
"""Seconds between two actions of a buyer, on average."""


class Buyer(Actor):
    """One buyer.

    Args:
        soak: The run.
        user: Whose account it uses.
        name: Of the thread, where several use one account.
    """

    def __init__(self, soak: Soak, user: UserPlan, name: str = "") -> None:
        super().__init__(soak, name or user.name, PAUSE_S)
        self.user = user

    def any_slot(self) -> str:
        """A slot such as `d/1`."""
        machine, slot = self.random.choice(PLAN.machines), self.random.choice(SLOTS)
        return f"{machine.name}/{slot.number}"

    def any_delay_s(self) -> int:
        """A delay, mostly none."""
        return self.random.choice((0, 0, 0, 0, 1, 3))
