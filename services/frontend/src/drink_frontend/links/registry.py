"""Which machines' agents are connected here."""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from math import ceil

from drink_frontend.domain.entities import AlarmKind, Drop, Reach
from drink_frontend.domain.errors import OutcomeUnknownError, RateLimitedError, ShuttingDownError
from drink_frontend.domain.ports import Clock, Held
from drink_frontend.links.desk import Desk
from drink_frontend.links.link import Link
from drink_frontend.links.messages import AgentMessage, FrontendMessage, GoodbyeReason
from drink_frontend.links.rates import MachineRates
from drink_frontend.links.settings import LinkSettings
from drink_frontend.links.state import Progress


class LinkRegistry:
    """The links to this frontend, at most one for a machine; implements `domain.ports.Links`.

    Args:
        desk: The use cases.
        clock: Time.
        settings: Limits.
        on_reach: Told when the reach of a machine may have changed.
    """

    def __init__(
        self,
        desk: Desk,
        clock: Clock,
        settings: LinkSettings,
        on_reach: Callable[[], None],
    ) -> None:
        self._desk = desk
        self._clock = clock
        self._settings = settings
        self._on_reach = on_reach
        self._links: dict[str, Link] = {}
        self._progress: dict[str, Progress] = {}
        self._rates: dict[str, MachineRates] = {}
        self._opening: Counter[str] = Counter()
        self._draining = False

    def wake(self, machine: str) -> None:
        """Says that the machine has a drop to dispatch."""
        link = self._links.get(machine)
        if link is not None:
            link.wake()

    def command(self, drop: Drop) -> None:
        """Sends the command of a drop whose dispatch was committed, if its link is still here."""
        link = self._links.get(drop.machine)
        if link is not None and link.state.epoch == drop.epoch:
            link.command(drop)

    def doubt(self, machine: str, epoch: int) -> None:
        """Ends that link of the machine, on which nobody knows what is dispatched."""
        link = self._links.get(machine)
        if link is not None and link.state.epoch == epoch:
            link.fail(OutcomeUnknownError("a drop may be dispatched whose command was not sent"))

    def held(self, machine: str) -> Held | None:
        """The machine's link here, if there is one or one is being opened."""
        if machine in self._opening:
            return Held(None, Reach.OFFLINE)
        link = self._links.get(machine)
        return None if link is None else Held(link.state.epoch, link.state.reach)

    def supersede(self, machine: str, epoch: int) -> None:
        """Ends the machine's link here if it is older than `epoch`."""
        link = self._links.get(machine)
        if link is not None and link.state.epoch < epoch:
            link.end(GoodbyeReason.SUPERSEDED)

    def release(self) -> int:
        """Says Goodbye on every link, so that its agent moves on; returns how many there were."""
        links = list(self._links.values())
        for link in links:
            link.end(GoodbyeReason.SHUTTING_DOWN)
        return len(links)

    def accepts(self, machine: str, size_bytes: int) -> bool:
        """Counts a message of the machine's agent; False if it has sent too much."""
        accepted = self._rates_of(machine).message(self._clock.monotonic(), size_bytes)
        if not accepted:
            self._desk.alarm(machine, AlarmKind.LINK_FLOODED, {"limit": "messages_per_s"})
        return accepted

    def drain(self) -> None:
        """Says Goodbye on every link and takes no new one."""
        self._draining = True
        self.release()

    async def serve(
        self, machine: str, incoming: AsyncIterator[AgentMessage], address: str = ""
    ) -> AsyncGenerator[FrontendMessage, None]:
        """Serves one stream of the machine's agent: yields what to send, until the link ends.

        Args:
            machine: The machine that the agent's token belongs to.
            incoming: What the agent says.
            address: Where the agent calls from, for people; empty if that is not known.

        Raises:
            DrinkError: the link was refused, or ends because of it.
        """
        if self._draining:
            raise ShuttingDownError("the frontend is shutting down")
        rates = self._rates_of(machine)
        wait_s = rates.opening_wait_s(self._clock.monotonic())
        if wait_s:
            self._desk.alarm(machine, AlarmKind.LINK_REFUSED, {"limit": "opening_interval_s"})
            raise RateLimitedError(
                "the machine's agents connect too often", retry_after_seconds=ceil(wait_s)
            )
        link = Link(
            machine,
            incoming,
            self._desk,
            self._clock,
            rates,
            settings=self._settings,
            on_reach=self._on_reach,
            known=lambda: self._progress.get(machine),
            address=address,
        )
        await self._open(link)
        older = self._links.get(machine)
        if older is not None and older.state.epoch > link.state.epoch:
            link.end(GoodbyeReason.SUPERSEDED)
        else:
            self._links[machine] = link
            self._progress[machine] = link.progress
            if older is not None:
                older.end(GoodbyeReason.SUPERSEDED)
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
            self._on_reach()

    def _rates_of(self, machine: str) -> MachineRates:
        """The machine's limits; there are as many as machines with a token."""
        rates = self._rates.get(machine)
        if rates is None:
            rates = self._rates[machine] = MachineRates(self._settings)
        return rates

    async def _open(self, link: Link) -> None:
        machine = link.state.machine
        self._opening[machine] += 1
        try:
            await link.open()
        finally:
            self._opening -= Counter((machine,))
