"""Which machines' agents are connected here."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

from drink_frontend.domain.errors import ShuttingDownError
from drink_frontend.domain.ports import Clock, Reach
from drink_frontend.links.desk import Desk
from drink_frontend.links.link import Link
from drink_frontend.links.messages import AgentMessage, FrontendMessage, GoodbyeReason
from drink_frontend.links.settings import LinkSettings
from drink_frontend.links.state import Phase


class LinkRegistry:
    """The links of every connected machine, at most one each; implements `domain.ports.Links`.

    Args:
        desk: The use cases.
        clock: Time.
        settings: Limits.
        on_reach: Told of a machine whose reach may have changed.
    """

    def __init__(
        self,
        desk: Desk,
        clock: Clock,
        settings: LinkSettings,
        on_reach: Callable[[str], None],
    ) -> None:
        self._desk = desk
        self._clock = clock
        self._settings = settings
        self._on_reach = on_reach
        self._links: dict[str, Link] = {}
        self._draining = False

    def reach(self, machine: str) -> Reach:
        """How far a command to the machine could get right now."""
        link = self._links.get(machine)
        if link is None or link.state.phase is not Phase.OPEN:
            return Reach.OFFLINE
        return Reach.READY if link.state.ready else Reach.BOARD_DOWN

    def wake(self, machine: str) -> None:
        """Says that the machine has a drop to dispatch."""
        link = self._links.get(machine)
        if link is not None:
            link.wake()

    def wake_all(self) -> None:
        """Says that anything may have changed: each link looks for a drop, and at its epoch."""
        for link in self._links.values():
            link.wake()

    def drain(self) -> None:
        """Says Goodbye on every link and takes no new one."""
        self._draining = True
        for link in list(self._links.values()):
            link.end(GoodbyeReason.SHUTTING_DOWN)

    async def serve(
        self, machine: str, incoming: AsyncIterator[AgentMessage]
    ) -> AsyncGenerator[FrontendMessage, None]:
        """Serves one stream of the machine's agent: yields what to send, until the link ends.

        Args:
            machine: The machine that the agent's token belongs to.
            incoming: What the agent says.

        Raises:
            DrinkError: the link was refused, or ends because of it.
        """
        if self._draining:
            raise ShuttingDownError("the frontend is shutting down")
        link = Link(
            machine,
            incoming,
            self._desk,
            self._clock,
            settings=self._settings,
            on_reach=lambda: self._on_reach(machine),
        )
        await link.open()
        older = self._links.get(machine)
        if older is not None and older.state.epoch > link.state.epoch:
            link.end(GoodbyeReason.SUPERSEDED)
        else:
            self._links[machine] = link
            if older is not None:
                older.end(GoodbyeReason.SUPERSEDED)
        self._on_reach(machine)
        if self._draining:
            link.end(GoodbyeReason.SHUTTING_DOWN)
        try:
            # Closed with this generator, not some time after it: a link without a stream must not
            # take another drop.
            async with aclosing(link.messages()) as messages:
                async for message in messages:
                    yield message
        finally:
            if self._links.get(machine) is link:
                del self._links[machine]
            self._on_reach(machine)
