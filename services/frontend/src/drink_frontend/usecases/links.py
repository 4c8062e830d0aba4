"""The open links of machines' agents to this frontend, as the use cases command them."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import NamedTuple, Protocol

from drink_frontend.domain.agents import AgentStats
from drink_frontend.domain.entities import Drop, Reach
from drink_frontend.domain.errors import DrinkError


class AgentLink(Protocol):
    """One open link. `drink_frontend.links.link.Link` implements it."""

    @property
    def epoch(self) -> int:
        """Number of the link; higher than that of any earlier link of the machine."""

    @property
    def reach(self) -> Reach:
        """How far a command on this link would get now."""

    @property
    def agent_version(self) -> str:
        """Version of the agent's software, as it says."""

    @property
    def stats(self) -> AgentStats | None:
        """The newest counters and sizes that the agent has sent; None before the first."""

    def wake(self) -> None:
        """Makes the link ask for the machine's next drop."""

    def command(self, drop: Drop) -> None:
        """Sends the command of a drop whose dispatch on this link is committed.

        If the link has ended, the agent reports the command as not received at its next Hello.
        """

    def fail(self, error: DrinkError) -> None:
        """Ends the link with an error, unless it has ended."""

    def supersede(self) -> None:
        """Ends the link because the machine has a newer one."""

    def release(self) -> None:
        """Ends the link because this frontend cannot serve it."""


class LinkStatus(NamedTuple):
    """A link to this frontend.

    Attributes:
        epoch: Number of the link; None while it is being opened and may be the newest already.
        reach: How far a command on it would get.
    """

    epoch: int | None
    reach: Reach


class Links:
    """At most one open link per machine: the newest that this frontend has.

    Links add and remove themselves. All methods run on the event loop.
    """

    def __init__(self) -> None:
        self._links: dict[str, AgentLink] = {}
        self._opening: Counter[str] = Counter()
        self._changed = asyncio.Event()

    @contextmanager
    def opening(self, machine: str) -> Iterator[None]:
        """Marks a link of the machine as being opened while the context lasts."""
        self._opening[machine] += 1
        try:
            yield
        finally:
            self._opening -= Counter((machine,))

    def all(self) -> Sequence[tuple[str, AgentLink]]:
        """All links, by their machines' names."""
        return sorted(self._links.items(), key=itemgetter(0))

    def add(self, machine: str, link: AgentLink) -> bool:
        """Adds a link and supersedes the machine's older one.

        Returns:
            False if the machine has a newer link here; then `link` is superseded instead.
        """
        other = self._links.get(machine)
        if other is not None and other.epoch > link.epoch:
            link.supersede()
            return False
        self._links[machine] = link
        if other is not None:
            other.supersede()
        return True

    def remove(self, machine: str, link: AgentLink) -> None:
        """Removes an ended link, unless another one has taken its place."""
        if self._links.get(machine) is link:
            del self._links[machine]
        self.report_change()

    def disks(self) -> dict[str, float]:
        """The share of each agent's disk that is free, 0 to 1, by machine, where it is known."""
        told = {machine: link.stats for machine, link in self._links.items()}
        return {
            machine: stats.disk_free
            for machine, stats in told.items()
            if stats is not None and stats.disk_free is not None
        }

    def report_change(self) -> None:
        """Makes `changed` return: a link was removed, or the reach of one may have changed."""
        self._changed.set()

    async def changed(self) -> None:
        """Waits until a change is reported; for one waiting task."""
        await self._changed.wait()
        self._changed.clear()

    def wake(self, machine: str) -> None:
        """Makes the machine's link ask for the next drop, if there is a link here."""
        link = self._links.get(machine)
        if link is not None:
            link.wake()

    def ready(self, machine: str) -> AgentLink | None:
        """The machine's link here, if a command on it would reach the board now.

        None also while another link is being opened, which may be the machine's newest already.
        """
        link = self._links.get(machine)
        if link is None or machine in self._opening or link.reach is not Reach.READY:
            return None
        return link

    def status(self, machine: str) -> LinkStatus | None:
        """The machine's link here; None if there is none and none is being opened."""
        if machine in self._opening:
            return LinkStatus(None, Reach.OFFLINE)
        link = self._links.get(machine)
        return None if link is None else LinkStatus(link.epoch, link.reach)

    def supersede(self, machine: str, epoch: int) -> None:
        """Ends the machine's link here if it is older than `epoch`."""
        link = self._links.get(machine)
        if link is not None and link.epoch < epoch:
            link.supersede()

    def release(self) -> int:
        """Ends every link, so that the agents connect to another frontend; returns their number."""
        links = list(self._links.values())
        for link in links:
            link.release()
        return len(links)
