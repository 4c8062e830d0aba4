"""Which frontend to dial next, and when."""

from collections.abc import Callable, Sequence
from typing import Final

from drink_agent.backoff import Backoff
from drink_agent.link.reasons import Retry
from drink_agent.link.settings import LinkSettings

STANDBY_GROWTH: Final = 2.0
"""Factor between two waits of an agent that another agent takes the link from."""

STANDBY_GROWTH_WITHOUT_BOARD: Final = 8.0
"""The same for an agent whose board does not answer: it has no use for the link."""

UNCONTESTED_WAITS: Final = 5.0
"""A link that lasted this many times as long as the wait before it was not contested in that time.
Of two agents that both have a board, each keeps the link for as long as the other waits, which is
at most four times its own wait."""


class Route:
    """Goes round the frontends' addresses in an order drawn once, and waits between rounds.

    Each agent has an order of its own, so that those of a frontend that stops spread over all the
    others.

    Args:
        settings: The link's addresses and waits.
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
        """How often in a row another agent of the machine has taken the link."""

    @property
    def address(self) -> str:
        """Where to dial."""
        return self._addresses[0]

    def ended(self, retry: Retry, up_s: float, *, useful: bool = True) -> float:
        """Moves on to the next address and returns the seconds to wait before it is dialled.

        Args:
            retry: What the link's ending calls for.
            up_s: How long it was up; 0 if it never was.
            useful: Whether the board answers.
        """
        self._addresses.append(self._addresses.pop(0))
        if retry is Retry.STANDBY:
            self._tried = 0
            return self._standby_s(up_s, useful=useful)
        if up_s >= self._settings.healthy_after_s:
            self._backoff.reset()
            self._tried = 0
        elif retry is Retry.ELSEWHERE and up_s >= self._settings.backoff_first_s:
            # The limit keeps frontends that only ever say goodbye from being dialled in a loop.
            self._tried = 0
        self._tried += 1
        if retry is not Retry.SLOWLY and self._tried < len(self._addresses):
            return 0.0
        self._tried = 0
        wait_s = self._backoff.next_s()
        return (
            self._backoff.draw(self._settings.backoff_slow_s) if retry is Retry.SLOWLY else wait_s
        )

    def _standby_s(self, up_s: float, *, useful: bool) -> float:
        """Returns the seconds to wait after another agent took a link that was up for `up_s`."""
        if up_s >= UNCONTESTED_WAITS * self._standby.bound_s:
            self._standby.reset()
            self.superseded = 0
        self.superseded += 1
        return self._standby.next_s(STANDBY_GROWTH if useful else STANDBY_GROWTH_WITHOUT_BOARD)


def _shuffled(addresses: Sequence[str], random: Callable[[], float]) -> list[str]:
    """Every order with the same chance (Fisher and Yates)."""
    order = list(addresses)
    for last in range(len(order) - 1, 0, -1):
        drawn = int(random() * (last + 1))
        order[last], order[drawn] = order[drawn], order[last]
    return order
