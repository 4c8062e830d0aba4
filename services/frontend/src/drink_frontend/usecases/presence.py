"""Which frontends serve on the database, and which of them has each machine's link.

Every frontend shows buyers the reach of machines from this. Dispatching and settling drops do not
depend on it; they depend on the epoch of a link.
"""

import asyncio
import contextlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial

import structlog

from drink_frontend.domain.entities import LinkOwnership, Reach
from drink_frontend.domain.errors import StorageUnavailableError
from drink_frontend.domain.frontends import FrontendInstance
from drink_frontend.domain.ports import Clock
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.links import Links
from drink_frontend.usecases.settings import PresenceSettings

log = structlog.get_logger(__name__)

MISSED_BEATS = 3
"""Beats of one's own after which another frontend that has not beaten meanwhile counts as dead, and
beats that failed after which one counts as dead oneself."""

_WITHOUT_LINK = None, Reach.OFFLINE
"""The frontend and the reach of a machine without a link."""


class HeartbeatMonitor:
    """Which frontends have stopped beating. Pure.

    Time is counted in beats of one's own that went through: no two hosts' clocks are compared, and
    while the database or this process stands still, no other frontend is considered dead.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int]] = {}

    def after_beat(self, others: Iterable[FrontendInstance]) -> Sequence[FrontendInstance]:
        """Those of `others` that have stood still for too long, as seen at one's own last beat."""
        before, self._seen = self._seen, {}
        still = []
        for peer in others:
            beats, missed = before.get(peer.id, (peer.beats, -1))
            missed = missed + 1 if beats == peer.beats else 0
            self._seen[peer.id] = peer.beats, missed
            if missed >= MISSED_BEATS:
                still.append(peer)
        return still


class Presence:
    """Keeps the database's picture of frontends and links true.

    Each look takes in the whole picture and mends what differs, so what could not be kept once, or
    was interrupted, is kept at the next look.

    Args:
        storage: The database.
        links: The links to this frontend.
        clock: Time.
        settings: Intervals.
        me: This frontend.
    """

    def __init__(
        self,
        storage: Database,
        links: Links,
        clock: Clock,
        settings: PresenceSettings,
        me: FrontendInstance,
    ) -> None:
        self._storage = storage
        self._links = links
        self._clock = clock
        self._interval_s = settings.beat_interval_s
        self._me = me
        self._entered = False
        self._failed_beats = 0
        self._monitor = HeartbeatMonitor()

    async def enter(self) -> None:
        """Makes this frontend known, before it takes links."""
        await self._round(beat=True)

    async def run(self) -> None:
        """Keeps the picture true until cancelled."""
        beat_at = self._clock.monotonic() + self._interval_s
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(beat_at - self._clock.monotonic(), 0)):
                    await self._links.changed()
            is_time = self._clock.monotonic() >= beat_at
            if is_time:
                beat_at = self._clock.monotonic() + self._interval_s
            await self._round(beat=is_time)

    async def follow_others(self) -> None:
        """Reacts to commits of other processes, frontends and commands, until cancelled."""
        with self._storage.changes.elsewhere() as changes:
            while True:
                machines = await changes.changed()
                if machines is None:
                    self._links.report_change()
                    continue
                for machine in machines:
                    self._links.wake(machine)
                    link = self._links.status(machine)
                    if link is not None and link.reach is not Reach.READY:
                        # It takes no drop, so it would not notice a newer link or token.
                        self._links.report_change()

    async def _round(self, *, beat: bool) -> None:
        try:
            if beat:
                await self.beat()
                self._failed_beats = 0
            await self.look()
        except StorageUnavailableError:
            log.warning("presence_postponed")
            self._failed_beats += beat
            # By then the others take this one for dead. Here no drop can be taken and no result
            # kept; another frontend may still have the database.
            alone = self._storage.shared and self._failed_beats >= MISSED_BEATS
            if alone and (released := self._links.release()):
                log.warning("links_released", links=released)

    async def beat(self) -> None:
        """Says that this frontend is there, and forgets those that are not.

        Raises:
            StorageUnavailableError: the database does not answer.
        """
        if self._entered and not self._storage.shared:
            return

        def beat(tx: Transaction) -> Sequence[FrontendInstance]:
            tx.frontends.beat(self._me)
            return [peer for peer in tx.frontends.list() if peer.id != self._me.id]

        others = await self._storage.write(beat)
        # Where only one frontend can open the database, the others were killed.
        dead = self._monitor.after_beat(others) if self._storage.shared else others
        for peer in dead:
            if await self._storage.write(partial(_remove, peer)):
                log.warning("frontend_lost", frontend=peer.name, id=peer.id)
        self._entered = True

    async def look(self) -> None:
        """Mends what is kept of links, ends superseded ones, and wakes those with a drop to take.

        Raises:
            StorageUnavailableError: the database does not answer.
        """
        claims, known, ready = await self._storage.read(_picture)
        for machine in ready:
            self._links.wake(machine)
        for claim in claims:
            self._links.supersede(claim.machine, claim.epoch)
        truths = [(claim, self._truth(claim, known)) for claim in claims]
        if mended := [
            replace(claim, frontend=frontend, reach=reach)
            for claim, (frontend, reach) in truths
            if frontend != claim.frontend or reach is not claim.reach
        ]:
            await self._storage.write(partial(_keep, mended, self._clock.now_ms()))

    def _truth(self, claim: LinkOwnership, known: Collection[str]) -> tuple[str | None, Reach]:
        """The frontend and the reach that should be kept, as far as they can be known here."""
        link = self._links.status(claim.machine)
        if link is not None and link.epoch == claim.epoch:
            return (None if link.reach is Reach.OFFLINE else self._me.id), link.reach
        is_opening = link is not None and link.epoch is None
        is_gone = not is_opening if claim.frontend == self._me.id else claim.frontend not in known
        return _WITHOUT_LINK if is_gone else (claim.frontend, claim.reach)

    async def leave(self) -> None:
        """Withdraws this frontend, whose links have ended.

        Raises:
            StorageUnavailableError: the database does not answer; the others will notice.
        """
        now_ms = self._clock.now_ms()

        def leave(tx: Transaction) -> None:
            mine = [claim for claim in tx.machines.ownerships() if claim.frontend == self._me.id]
            frontend, reach = _WITHOUT_LINK
            _keep([replace(claim, frontend=frontend, reach=reach) for claim in mine], now_ms, tx)
            for peer in tx.frontends.list():
                if peer.id == self._me.id:
                    tx.frontends.remove(peer)

        await self._storage.write(leave)


def _picture(tx: Transaction) -> tuple[Sequence[LinkOwnership], Collection[str], Sequence[str]]:
    """Who has which link, which frontends there are, and which machines could take a drop."""
    claims = tx.machines.ownerships()
    # Read second, so that each frontend that has opened a link is among them.
    known = {peer.id for peer in tx.frontends.list()}
    return claims, known, tx.drops.ready_machines()


def _keep(claims: Iterable[LinkOwnership], now_ms: int, tx: Transaction) -> None:
    for claim in claims:
        tx.machines.keep_ownership(claim, now_ms)


def _remove(peer: FrontendInstance, tx: Transaction) -> bool:
    return tx.frontends.remove(peer)
