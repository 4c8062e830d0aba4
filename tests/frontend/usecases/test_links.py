"""The table of open links; `tests/frontend/links/test_server.py` has it with real links."""

import asyncio
from dataclasses import dataclass, field

from drink_frontend.domain.agents import AgentStats
from drink_frontend.domain.entities import Drop, Reach
from drink_frontend.domain.errors import DrinkError
from drink_frontend.usecases.links import Links, LinkStatus


@dataclass
class RecordedLink:
    """A link that records what ends it; implements `usecases.links.AgentLink`."""

    epoch: int
    reach: Reach = Reach.READY
    ends: list[str] = field(default_factory=list)
    agent_version: str = ""
    stats: AgentStats | None = None

    def wake(self) -> None:
        self.ends.append("woken")

    def command(self, drop: Drop) -> None:
        self.ends.append(f"commanded {drop.id}")

    def fail(self, error: DrinkError) -> None:
        self.ends.append(error.reason)

    def supersede(self) -> None:
        self.ends.append("superseded")

    def release(self) -> None:
        self.ends.append("released")


def test_all_links_are_listed_by_machine() -> None:
    links = Links()
    for machine in ("ld", "d"):
        links.add(machine, RecordedLink(1))
    assert [machine for machine, _ in links.all()] == ["d", "ld"]


def test_a_newer_link_takes_the_place_of_the_older_one() -> None:
    links, older, newer = Links(), RecordedLink(1), RecordedLink(2)
    assert links.add("d", older)
    assert links.add("d", newer)
    links.remove("d", older)

    assert links.status("d") == LinkStatus(2, Reach.READY)
    assert (older.ends, newer.ends) == (["superseded"], [])


def test_disks_are_those_of_which_an_agent_has_told() -> None:
    links = Links()
    links.add("d", RecordedLink(1, stats=AgentStats(disk_free_bytes=1, disk_bytes=4)))
    links.add("ld", RecordedLink(1))
    links.add("s", RecordedLink(1, stats=AgentStats()))
    assert links.disks() == {"d": 0.25}


def test_an_older_link_that_comes_late_is_superseded_itself() -> None:
    links, older, newer = Links(), RecordedLink(1), RecordedLink(2)
    links.add("d", newer)

    assert not links.add("d", older)
    assert links.status("d") == LinkStatus(2, Reach.READY)
    assert (older.ends, newer.ends) == (["superseded"], [])


def test_only_a_link_whose_commands_reach_the_board_is_ready() -> None:
    links, link = Links(), RecordedLink(1)
    assert links.ready("d") is None
    links.add("d", link)
    assert links.ready("d") is link
    with links.opening("d"):
        assert links.ready("d") is None
    link.reach = Reach.BOARD_DOWN
    assert links.ready("d") is None


def test_links_may_be_opened_at_the_same_time() -> None:
    links = Links()
    with links.opening("d"):
        with links.opening("d"):
            assert links.status("d") == LinkStatus(None, Reach.OFFLINE)
        assert links.status("d") == LinkStatus(None, Reach.OFFLINE)
        assert links.status("ld") is None
    assert links.status("d") is None


async def test_a_removed_link_is_a_change_that_is_reported_once() -> None:
    links, link = Links(), RecordedLink(1)
    links.add("d", link)
    waiting = asyncio.create_task(links.changed())
    await asyncio.sleep(0)
    assert not waiting.done()
    links.remove("d", link)
    await waiting

    again = asyncio.create_task(links.changed())
    await asyncio.sleep(0)
    assert not again.done()
    again.cancel()


def test_all_links_are_released_and_counted() -> None:
    links, some = Links(), [RecordedLink(1), RecordedLink(4)]
    for machine, link in zip(("d", "ld"), some, strict=True):
        links.add(machine, link)

    assert links.release() == 2
    assert [link.ends for link in some] == [["released"]] * 2
