"""When an agent dials again after its link has ended, and which frontend it dials.

No ending of a link ends the agent. It is the only agent at its machine, and what is refused today,
such as a disabled machine or an unknown token, may be allowed tomorrow.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final

from drink_agent.backoff import Backoff
from drink_agent.link.settings import LinkSettings

STANDBY_GROWTH: Final = 2.0
"""Factor between two waits of an agent whose link is taken by another agent."""

STANDBY_GROWTH_WITHOUT_BOARD: Final = 8.0
"""The same factor for an agent whose board does not answer, because it has no use for the link."""

UNCONTESTED_WAITS: Final = 5.0
"""A link that lasted this many times as long as the wait before it was not contested in that time.
Of two agents that both have a board, each keeps the link for as long as the other waits, which is
at most four times its own wait."""


class Retry(StrEnum):
    """When to dial again."""

    IMMEDIATE = "immediate"
    """At once, at another frontend: this one shuts down in good order."""
    BACKOFF = "backoff"
    """At another frontend if there is one, else after the usual back-off."""
    SLOW = "slow"
    """After the long wait and an error in the log: a person has to act."""
    STANDBY = "standby"
    """After waits that grow: another agent has the machine's link, and one of the two suffices."""


RETRY_BY_REASON = {
    "SHUTTING_DOWN": Retry.BACKOFF,
    "STORAGE_UNAVAILABLE": Retry.BACKOFF,
    "RATE_LIMITED": Retry.BACKOFF,
    "INTERNAL": Retry.BACKOFF,
    "LINK_SUPERSEDED": Retry.STANDBY,
    "LINK_PROTOCOL": Retry.SLOW,
    "AGENT_TOO_OLD": Retry.SLOW,
    "MACHINE_DISABLED": Retry.SLOW,
    "MACHINE_NOT_FOUND": Retry.SLOW,
    "TOKEN_INVALID": Retry.SLOW,
    "CERTIFICATE_INVALID": Retry.SLOW,
    "NOT_OWNER": Retry.SLOW,
    "FIELD_INVALID": Retry.SLOW,
}
"""By the ErrorReason of drink.v1, if the frontend gave one."""

RETRY_BY_CODE = {
    "UNAUTHENTICATED": Retry.SLOW,
    "PERMISSION_DENIED": Retry.SLOW,
    "UNIMPLEMENTED": Retry.SLOW,
    "FAILED_PRECONDITION": Retry.SLOW,
    "INVALID_ARGUMENT": Retry.SLOW,
    "NOT_FOUND": Retry.SLOW,
    "ABORTED": Retry.SLOW,
}
"""By the gRPC code, if there is no known reason. All other codes are temporary."""


def retry_for(code: str, reason: str) -> Retry:
    """Returns when to dial again after a link ended with a gRPC code and an error reason."""
    return RETRY_BY_REASON.get(reason) or RETRY_BY_CODE.get(code, Retry.BACKOFF)


class ReconnectPolicy:
    """Rotates the frontends' addresses in an order drawn once, and waits between rounds.

    Each agent has its own order, so that the agents of a frontend that stops are distributed over
    all the others.

    Args:
        settings: Addresses and waits of the link.
        random: Returns a number from 0 up to 1, a new one with each call.
    """

    def __init__(self, settings: LinkSettings, random: Callable[[], float]) -> None:
        self._settings = settings
        self._addresses = _shuffled(settings.addresses, random)
        self._backoff = Backoff(settings.backoff_first_s, settings.backoff_limit_s, random)
        standby_limit_s = max(settings.superseded_limit_s, settings.backoff_slow_s)
        self._standby = Backoff(settings.backoff_slow_s, standby_limit_s, random)
        self._tried = 0
        self.superseded = 0
        """Number of consecutive links that another agent of the machine has taken."""

    @property
    def address(self) -> str:
        """Address to dial now."""
        return self._addresses[0]

    def next_wait_s(self, retry: Retry, up_s: float, *, board_ready: bool = True) -> float:
        """Selects the next address and returns the seconds to wait before it is dialled.

        Args:
            retry: What the ending of the last link requires.
            up_s: Seconds that the last link was up; 0 if it was refused.
            board_ready: Whether the board answers.
        """
        self._addresses.append(self._addresses.pop(0))
        if retry is Retry.STANDBY:
            self._tried = 0
            return self._standby_s(up_s, board_ready=board_ready)
        if up_s >= self._settings.healthy_after_s:
            self._backoff.reset()
            self._tried = 0
        elif retry is Retry.IMMEDIATE and up_s >= self._settings.backoff_first_s:
            # Without the second condition, frontends that only say Goodbye would be dialled in a
            # loop without a wait.
            self._tried = 0
        self._tried += 1
        if retry is not Retry.SLOW and self._tried < len(self._addresses):
            return 0.0
        self._tried = 0
        wait_s = self._backoff.next_s()
        return self._backoff.draw(self._settings.backoff_slow_s) if retry is Retry.SLOW else wait_s

    def _standby_s(self, up_s: float, *, board_ready: bool) -> float:
        """Returns the seconds to wait after another agent took a link that was up for `up_s`."""
        if up_s >= UNCONTESTED_WAITS * self._standby.bound_s:
            self._standby.reset()
            self.superseded = 0
        self.superseded += 1
        return self._standby.next_s(STANDBY_GROWTH if board_ready else STANDBY_GROWTH_WITHOUT_BOARD)


def _shuffled(addresses: Sequence[str], random: Callable[[], float]) -> list[str]:
    """Returns a permutation, each with the same probability (Fisher-Yates)."""
    order = list(addresses)
    for last in range(len(order) - 1, 0, -1):
        drawn = int(random() * (last + 1))
        order[last], order[drawn] = order[drawn], order[last]
    return order
