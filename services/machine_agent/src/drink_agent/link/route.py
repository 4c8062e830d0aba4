"""Which frontend to dial next, and when."""

from collections.abc import Callable, Sequence

from drink_agent.link.backoff import Backoff
from drink_agent.link.reasons import Retry
from drink_agent.link.settings import LinkSettings


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
        self._backoff = Backoff(settings, random)
        self._tried = 0

    @property
    def address(self) -> str:
        """Where to dial."""
        return self._addresses[0]

    @property
    def superseded(self) -> int:
        """How often in a row another agent of the machine has taken the link."""
        return self._backoff.superseded

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
            return self._backoff.standby_s(up_s, useful=useful)
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
        return self._backoff.wait_s(retry)


def _shuffled(addresses: Sequence[str], random: Callable[[], float]) -> list[str]:
    """Every order with the same chance (Fisher and Yates)."""
    order = list(addresses)
    for last in range(len(order) - 1, 0, -1):
        drawn = int(random() * (last + 1))
        order[last], order[drawn] = order[drawn], order[last]
    return order
