"""Opens the links of machines' agents, within the limits of each machine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil

from drink_frontend.domain.alarms import AlarmKind
from drink_frontend.domain.errors import RateLimitedError, ShuttingDownError
from drink_frontend.domain.ports import Clock
from drink_frontend.links.link import Link
from drink_frontend.links.machine import MachineRates, MachineState
from drink_frontend.links.messages import AgentMessage
from drink_frontend.links.settings import LinkSettings
from drink_frontend.usecases.agents import Agents
from drink_frontend.usecases.card_logins import CardLogins
from drink_frontend.usecases.dispatch import Dispatch
from drink_frontend.usecases.links import Links


class LinkServer:
    """Opens a link for each stream of an agent.

    Args:
        links: Where open links are kept.
        agents: The use cases of what agents report about themselves and their boards.
        dispatch: The use cases of dispatching and settling drops.
        clock: Time.
        settings: Limits.
        cards: The use cases of cards that are held to readers.
    """

    def __init__(
        self,
        links: Links,
        agents: Agents,
        dispatch: Dispatch,
        clock: Clock,
        settings: LinkSettings,
        *,
        cards: CardLogins,
    ) -> None:
        self._links = links
        self._agents = agents
        self._dispatch = dispatch
        self._cards = cards
        self._clock = clock
        self._settings = settings
        self._machines: dict[str, MachineState] = {}
        self._draining = False

    def accepts(self, machine: str, size_bytes: int) -> bool:
        """Counts a message of the machine's agent; False if it has sent too much."""
        accepted = self._machine(machine).rates.message(self._clock.monotonic(), size_bytes)
        if not accepted:
            self._agents.count_alarm(machine, AlarmKind.LINK_FLOODED, {"limit": "messages_per_s"})
        return accepted

    def drain(self) -> None:
        """Ends every link with Goodbye and refuses new ones."""
        self._draining = True
        self._links.release()

    @asynccontextmanager
    async def open(
        self, machine: str, incoming: AsyncIterator[AgentMessage], address: str = ""
    ) -> AsyncIterator[Link]:
        """Opens a link of the machine's agent, which is closed at the end of the context.

        Args:
            machine: The machine that the agent's token belongs to.
            incoming: The agent's messages.
            address: Where the agent calls from, for people; empty if that is not known.

        Raises:
            DrinkError: the link was refused.
        """
        state = self._admit(machine)
        link = Link(
            state,
            incoming,
            self._links,
            self._agents,
            self._dispatch,
            cards=self._cards,
            clock=self._clock,
            settings=self._settings,
            address=address,
        )
        with self._links.opening(machine):
            await link.open()
        if self._links.add(machine, link):
            state.agent_run = link.agent_run
        if self._draining:
            link.release()
        try:
            yield link
        finally:
            link.close()
            self._links.remove(machine, link)

    def _admit(self, machine: str) -> MachineState:
        """Counts a new link of the machine.

        Raises:
            ShuttingDownError: no more links are served.
            RateLimitedError: the machine's agents connect too often.
        """
        if self._draining:
            raise ShuttingDownError("the frontend is shutting down")
        state = self._machine(machine)
        wait_s = state.rates.opening_wait_s(self._clock.monotonic())
        if wait_s:
            limit = {"limit": "opening_interval_s"}
            self._agents.count_alarm(machine, AlarmKind.LINK_REFUSED, limit)
            raise RateLimitedError(
                "the machine's agents connect too often", retry_after_seconds=ceil(wait_s)
            )
        return state

    def _machine(self, name: str) -> MachineState:
        """What is kept of the machine over all its links; as many as machines with a token."""
        state = self._machines.get(name)
        if state is None:
            rates = MachineRates(self._settings)
            state = self._machines[name] = MachineState(name, rates)
        return state
