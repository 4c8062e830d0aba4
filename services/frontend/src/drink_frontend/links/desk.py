"""What a link needs of the use cases."""

from collections.abc import Mapping
from typing import Any, Protocol

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import AlarmKind, Drop, Reach
from drink_frontend.domain.stock import Sensor


class LinkOpening(Protocol):
    """What a new link starts with."""

    @property
    def epoch(self) -> int:
        """Its number, higher than any before it."""

    @property
    def wanted(self) -> tuple[str, ...]:
        """Drops whose outcome the frontend does not have."""


class Desk(Protocol):
    """Gives a machine its next drop and takes what its agent says; `usecases.dispatch` does it."""

    async def open_link(
        self,
        machine: str,
        journal: tuple[str, int],
        reach: Reach,
        agent: Mapping[str, str],
    ) -> LinkOpening:
        """Starts the machine's next epoch."""

    async def take(self, machine: str, epoch: int) -> Drop | None:
        """Commits that the machine's next drop is dispatched on link `epoch`, and returns it."""

    async def not_received(self, machine: str, epoch: int, drop_id: str) -> None:
        """Takes the agent's proof that a wanted drop's command never arrived."""

    async def result(
        self,
        machine: str,
        drop_id: str,
        *,
        revision: int,
        outcome: State,
        cause: Cause,
        evidence: dict[str, Any],
        journal: tuple[str, int],
        epoch: int | None,
    ) -> Drop | None:
        """Settles a drop, and takes the machine's next one if `epoch` is its newest link.

        When it returns, the result is durable, and the dispatch of the drop that it returns.
        """

    def alarm(self, machine: str, kind: AlarmKind, facts: dict[str, Any]) -> None:
        """Counts what an operator should hear of."""

    def journal(self, machine: str, journal: tuple[str, int]) -> None:
        """Keeps, soon, how far the agent's journal has come."""

    def link_ended(self) -> None:
        """Keeps at once what was heard of journals."""

    async def status(
        self,
        machine: str,
        epoch: int,
        sensors: Mapping[int, Sensor],
        temperature_celsius: float | None,
        *,
        complete: bool,
    ) -> None:
        """Keeps what the board says of its slots, perhaps of all of them, and temperature."""
