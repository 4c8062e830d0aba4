"""What is kept of frontends and links stays true, whatever is interrupted."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import pytest
from structlog.testing import capture_logs

from drink_frontend.domain.entities import LinkOwnership, Reach
from drink_frontend.domain.errors import StorageUnavailableError
from drink_frontend.domain.frontends import FrontendInstance
from drink_frontend.storage.database import Database
from drink_frontend.storage.needs import Needs
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.links import LinkStatus
from drink_frontend.usecases.presence import MISSED_BEATS, HeartbeatMonitor, Presence
from drink_frontend.usecases.settings import PresenceSettings
from tests.support.bench import FRONTEND, Bench, HandLinks
from tests.support.books import NOW
from tests.support.ids import ROOT
from tests.support.tasks import beside

T = TypeVar("T")

LIMIT_S = 20
INTERVAL_S = 5.0

ME = FrontendInstance(FRONTEND, "here:1", "0.1", 1)
OTHER = FrontendInstance("frontend-2", "there:2", "0.1", 2)


class Shared(Database):
    """The bench's database, as if other frontends could have it open.

    Attributes:
        is_shared: What `shared` returns.
        failures: How many writes from now on find no answer.
        answered: Set by every answer.
    """

    def __init__(self, storage: Database) -> None:
        self._storage = storage
        self.changes = storage.changes
        self.is_shared = True
        self.failures = 0
        self.answered = asyncio.Event()

    @property
    def shared(self) -> bool:
        return self.is_shared

    async def read(self, query: Callable[[Transaction], T]) -> T:
        try:
            return await self._storage.read(query)
        finally:
            self.answered.set()

    async def write(self, unit: Callable[[Transaction], T], needs: Needs | None = None) -> T:
        try:
            if self.failures:
                self.failures -= 1
                raise StorageUnavailableError("the database does not answer")
            return await self._storage.write(unit, needs)
        finally:
            self.answered.set()


class House:
    """Frontends on the bench's database, whose links are set by hand."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.storage = Shared(bench.storage)
        self.links = {peer.id: HandLinks() for peer in (ME, OTHER)}
        self.me, self.other = (self.start(peer) for peer in (ME, OTHER))

    def start(self, peer: FrontendInstance) -> Presence:
        settings = PresenceSettings(beat_interval_s=INTERVAL_S)
        links = self.links[peer.id]
        return Presence(self.storage, links, self.bench.clock, settings, peer)

    @property
    def here(self) -> HandLinks:
        return self.links[ME.id]

    async def ownerships(self) -> Sequence[LinkOwnership]:
        return await self.bench.storage.read(lambda tx: tx.machines.ownerships())

    async def claim(self, machine: str = "d") -> tuple[str | None, Reach]:
        (claim,) = [each for each in await self.ownerships() if each.machine == machine]
        return claim.frontend, claim.reach

    async def peers(self) -> list[str]:
        return [peer.id for peer in await self.bench.storage.read(lambda tx: tx.frontends.list())]


@pytest.fixture
async def house(bench: Bench) -> House:
    """This frontend with the links of machines d and ld, and another one without."""
    house = House(bench)
    for machine in ("d", "ld"):
        house.here.here[machine] = LinkStatus(1, Reach.READY)
    for presence in (house.me, house.other):
        await presence.enter()
    return house


def still(monitor: HeartbeatMonitor, *beats: int) -> list[bool]:
    return [bool(monitor.after_beat([replace(OTHER, beats=beat)])) for beat in beats]


def test_a_frontend_is_dead_after_as_many_missed_beats() -> None:
    assert still(HeartbeatMonitor(), *[7] * (MISSED_BEATS + 1)) == [False] * MISSED_BEATS + [True]


def test_a_frontend_that_beats_at_all_is_alive() -> None:
    monitor = HeartbeatMonitor()
    for beat in range(10):
        assert still(monitor, *[beat] * MISSED_BEATS) == [False] * MISSED_BEATS


def test_a_frontend_that_was_away_is_counted_anew() -> None:
    monitor = HeartbeatMonitor()
    still(monitor, *[7] * MISSED_BEATS)
    monitor.after_beat([])
    assert still(monitor, *[7] * MISSED_BEATS) == [False] * MISSED_BEATS


async def test_frontends_know_each_other(house: House) -> None:
    assert await house.peers() == [ME.id, OTHER.id]
    assert {claim.frontend for claim in await house.ownerships()} == {ME.id}


@pytest.mark.parametrize("reach", Reach)
async def test_a_links_reach_is_kept_and_seen_everywhere(house: House, reach: Reach) -> None:
    house.here.here["d"] = LinkStatus(1, reach)
    await house.me.look()
    assert await house.claim() == (None if reach is Reach.OFFLINE else ME.id, reach)
    assert (await house.bench.machines.get("d")).reach is reach
    assert await house.claim("ld") == (ME.id, Reach.READY)


async def test_what_is_true_already_is_not_written(house: House) -> None:
    units = house.bench.storage.stats.units
    await house.me.look()
    await house.other.look()
    assert house.bench.storage.stats.units == units


async def test_a_link_that_is_gone_is_not_claimed(house: House) -> None:
    """Also one whose agent left while its epoch was being committed."""
    del house.here.here["d"]
    await house.me.look()
    assert await house.claim() == (None, Reach.OFFLINE)


async def test_a_link_that_is_being_opened_is_left_alone(house: House) -> None:
    """Its epoch may be committed and not known here yet."""
    house.here.here["d"] = LinkStatus(None, Reach.OFFLINE)
    await house.bench.link("d")
    await house.me.look()
    assert await house.claim() == (ME.id, Reach.READY)


async def test_fault_17_a_link_that_another_frontend_opened_is_left_alone_and_ended_here(
    house: House,
) -> None:
    """Invariant 14: the newest link's frontend speaks for the machine."""
    await house.bench.storage.write(
        lambda tx: tx.machines.open_link("d", "J", 0, OTHER.id, Reach.BOARD_DOWN, now_ms=NOW)
    )
    house.links[OTHER.id].here["d"] = LinkStatus(2, Reach.BOARD_DOWN)
    for presence in (house.me, house.other, house.me):
        await presence.look()
    assert await house.claim() == (OTHER.id, Reach.BOARD_DOWN)
    assert set(house.here.superseded) == {("d", 2)}
    assert not house.links[OTHER.id].superseded


async def test_fault_56_a_retired_link_is_ended(house: House) -> None:
    await house.bench.machines.new_token(ROOT, "d")
    assert await house.claim() == (None, Reach.OFFLINE)
    await house.me.look()
    assert house.here.superseded == [("d", 2)]


async def test_a_drop_placed_at_another_frontend_wakes_the_link_that_can_take_it(
    house: House,
) -> None:
    await house.bench.place("r1")
    await house.bench.dispatched("r2", machine="ld")
    await house.bench.place("r3", machine="ld")
    house.here.woken.clear()
    await house.me.look()
    assert house.here.woken == ["d"]


async def beats(count: int, *presences: Presence) -> None:
    for _ in range(count):
        for presence in presences:
            await presence.beat()
            await presence.look()


async def test_fault_24_a_frontend_that_died_is_withdrawn_by_another(house: House) -> None:
    await beats(MISSED_BEATS - 1, house.other)
    assert await house.claim() == (ME.id, Reach.READY)
    await beats(1, house.other)
    assert await house.peers() == [OTHER.id]
    assert {(claim.frontend, claim.reach) for claim in await house.ownerships()} == {
        (None, Reach.OFFLINE)
    }


async def test_fault_29_a_frontend_that_was_frozen_makes_itself_known_again(house: House) -> None:
    await beats(MISSED_BEATS + 1, house.other)
    await beats(1, house.me)
    assert await house.peers() == [ME.id, OTHER.id]
    assert await house.claim() == (ME.id, Reach.READY)


async def test_fault_29_a_frozen_frontend_takes_nobody_for_dead(house: House) -> None:
    house.bench.clock.pass_s(3_600)
    await beats(1, house.me)
    await beats(MISSED_BEATS * 2, house.other, house.me)
    assert await house.peers() == [ME.id, OTHER.id]


async def test_fault_38_while_the_database_is_away_nobody_is_taken_for_dead(house: House) -> None:
    house.storage.failures = MISSED_BEATS * 2
    for _ in range(MISSED_BEATS * 2):
        with pytest.raises(StorageUnavailableError):
            await house.me.beat()
    await beats(MISSED_BEATS, house.me)
    assert await house.peers() == [ME.id, OTHER.id]


async def test_a_claim_of_a_frontend_that_nobody_knows_is_withdrawn(house: House) -> None:
    """It was taken for dead while it opened the link, and then it did die."""
    await house.bench.storage.write(
        lambda tx: tx.machines.open_link("ld", "J", 0, "nobody", Reach.READY, now_ms=NOW)
    )
    await house.other.look()
    assert await house.claim("ld") == (None, Reach.OFFLINE)
    assert await house.claim("d") == (ME.id, Reach.READY)


async def test_a_frontend_that_stops_withdraws_itself_and_nobody_else(house: House) -> None:
    await house.bench.storage.write(
        lambda tx: tx.machines.open_link("ld", "J", 0, OTHER.id, Reach.READY, now_ms=NOW)
    )
    await house.me.leave()
    assert await house.peers() == [OTHER.id]
    assert await house.claim("d") == (None, Reach.OFFLINE)
    assert await house.claim("ld") == (OTHER.id, Reach.READY)
    await house.me.leave()


async def test_fault_24_a_database_of_one_frontend_forgets_its_predecessor_at_once(
    house: House,
) -> None:
    house.storage.is_shared = False
    await house.start(OTHER).enter()
    assert await house.peers() == [OTHER.id]
    assert await house.claim() == (None, Reach.OFFLINE)


async def test_a_database_of_one_frontend_is_not_written_while_nothing_happens(
    house: House,
) -> None:
    house.storage.is_shared = False
    alone = house.start(OTHER)
    await alone.enter()
    units = house.bench.storage.stats.units
    await beats(3, alone)
    assert house.bench.storage.stats.units == units


async def running(house: House, until: Callable[[], Awaitable[bool]]) -> None:
    """Runs this frontend's presence until that is so."""
    async with beside(house.me.run()):
        async with asyncio.timeout(LIMIT_S):
            while not await until():
                await house.storage.answered.wait()
                house.storage.answered.clear()


async def test_fault_38_a_frontend_that_has_lost_the_database_lets_its_agents_go(
    house: House,
) -> None:
    """And not for a short outage."""
    for attempts in (MISSED_BEATS - 1, MISSED_BEATS):
        house.storage.failures = attempts

        async def tried() -> bool:
            house.bench.clock.pass_s(INTERVAL_S)
            house.here.report_change()
            return not house.storage.failures

        assert not house.here.released
        with capture_logs() as logs:
            await running(house, tried)
    assert house.here.released
    told = [line["links"] for line in logs if line["event"] == "links_released"]
    assert set(told) == {len(house.here.here)}


async def test_no_link_is_said_to_be_released_where_there_is_none(house: House) -> None:
    house.here.here.clear()
    house.storage.failures = 10 * MISSED_BEATS

    async def tried() -> bool:
        house.bench.clock.pass_s(INTERVAL_S)
        house.here.report_change()
        return bool(house.here.released)

    with capture_logs() as logs:
        await running(house, tried)
    assert "links_released" not in {line["event"] for line in logs}


async def test_it_looks_when_it_is_woken(house: House) -> None:
    async def seen() -> bool:
        return await house.claim() == (ME.id, Reach.BOARD_DOWN)

    house.here.here["d"] = LinkStatus(1, Reach.BOARD_DOWN)
    house.here.report_change()
    await running(house, seen)


async def test_it_beats_when_it_is_time_and_outlives_a_database_that_is_away(
    house: House,
) -> None:
    (before, _) = await house.bench.storage.read(lambda tx: tx.frontends.list())

    async def beaten() -> bool:
        house.bench.clock.pass_s(INTERVAL_S)
        house.here.report_change()
        (now, _) = await house.bench.storage.read(lambda tx: tx.frontends.list())
        return now.beats >= before.beats + 2

    house.storage.failures = 2
    await running(house, beaten)
    assert house.storage.failures == 0
