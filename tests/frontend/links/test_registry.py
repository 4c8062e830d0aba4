"""Which links count: one per machine, the newest, while it lives."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest

from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import AlarmKind, Reach
from drink_frontend.domain.errors import (
    LinkSupersededError,
    MachineDisabledError,
    OutcomeUnknownError,
    RateLimitedError,
    ShuttingDownError,
)
from drink_frontend.domain.ports import Held
from drink_frontend.links.messages import (
    BoardStatus,
    Dispense,
    Goodbye,
    GoodbyeReason,
    Heartbeat,
    ResultAck,
    Welcome,
)
from drink_frontend.links.registry import LinkRegistry
from drink_frontend.links.settings import LinkSettings
from tests.fakes.agent import READY, ScriptedAgent, dispensed, hello
from tests.fakes.clock import FakeClock
from tests.fakes.desk import MemoryDesk, reserved

SETTINGS = LinkSettings(retry_interval_s=60)


class Rig:
    """A registry, and agents that connect to it."""

    def __init__(self, settings: LinkSettings = SETTINGS) -> None:
        self.desk = MemoryDesk()
        self.looked = 0
        self.clock = FakeClock()
        self.registry = LinkRegistry(self.desk, self.clock, settings, self._on_reach)
        self.agents: list[ScriptedAgent] = []

    def _on_reach(self) -> None:
        self.looked += 1

    def reach(self, machine: str) -> Reach:
        held = self.registry.held(machine)
        return Reach.OFFLINE if held is None else held.reach

    def dial(self, machine: str = "d", **changed: Any) -> ScriptedAgent:
        """An agent that has said Hello and hears nothing yet."""
        agent = ScriptedAgent()
        agent.say(hello(machine, **changed))
        agent.connect(self.registry.serve(machine, agent.incoming()))
        self.agents.append(agent)
        return agent

    async def connect(self, machine: str = "d", **changed: Any) -> ScriptedAgent:
        agent = self.dial(machine, **changed)
        await agent.hears(Welcome)
        return agent


@pytest.fixture
async def rig() -> AsyncGenerator[Rig, None]:
    rig = Rig()
    yield rig
    for agent in rig.agents:
        await agent.vanish()


async def test_reach_follows_agent_and_board(rig: Rig) -> None:
    assert rig.reach("d") is Reach.OFFLINE

    agent = await rig.connect(board_status=BoardStatus(ready=False))
    assert rig.reach("d") is Reach.BOARD_DOWN

    rig.clock.pass_s(SETTINGS.heartbeat_interval_s)
    agent.say(READY, Heartbeat(1))
    await agent.hears(Heartbeat)
    assert rig.reach("d") is Reach.READY
    assert rig.reach("ld") is Reach.OFFLINE

    await agent.vanish()
    assert rig.reach("d") is Reach.OFFLINE
    assert rig.looked >= 2


async def test_a_wake_up_reaches_only_its_machine(rig: Rig) -> None:
    d, ld = await rig.connect("d"), await rig.connect("ld")
    rig.desk.reserve(reserved("D1", "ld"))
    rig.registry.wake("ld")
    rig.registry.wake("s")

    assert (await ld.hears(Dispense)).drop_id == "D1"
    assert not d.heard_more()


async def test_a_dead_machine_blocks_no_other(rig: Rig) -> None:
    """Invariant 11: a machine that never answers holds up its own drops and no one else's."""
    rig.desk.reserve(reserved("D1", "d"))
    rig.desk.reserve(reserved("D2", "ld"))
    dead, live = await rig.connect("d"), await rig.connect("ld")
    await dead.hears(Dispense)

    assert (await live.hears(Dispense)).drop_id == "D2"
    live.say(dispensed("D2"))
    await live.hears(ResultAck)
    assert rig.desk.state("D1") is State.DISPATCHED


async def test_fault_17_the_newest_link_wins(rig: Rig) -> None:
    """Invariant 14: of two streams of one machine only the newer one gets commands."""
    older = await rig.connect()
    newer = await rig.connect()
    assert await older.hears(Goodbye) == Goodbye(GoodbyeReason.SUPERSEDED)
    await older.hears_end()

    rig.desk.reserve(reserved("D1"))
    rig.registry.wake("d")
    assert (await newer.hears(Dispense)).epoch == 2
    assert rig.reach("d") is Reach.READY


@pytest.mark.parametrize("is_linked", [True, False])
async def test_fault_17_a_hello_that_comes_late_disturbs_nobody(rig: Rig, is_linked: bool) -> None:
    """What lay in the network is no journal that was put back."""
    rig.desk.reserve(reserved("D1"))
    agent = await rig.connect(journal_sequence=3)
    await agent.hears(Dispense)
    agent.say(Heartbeat(1, journal_sequence=5), dispensed("D1", sequence=9))
    await agent.hears(ResultAck)
    if not is_linked:
        await agent.vanish()

    await rig.dial(journal_sequence=8).hears_error(LinkSupersededError)
    assert rig.desk.epochs["d"] == 1
    assert rig.reach("d") is (Reach.READY if is_linked else Reach.OFFLINE)
    await rig.connect(journal_sequence=8, boot_id="boot-2")
    await rig.connect(journal_sequence=9)


async def test_fault_17_a_link_that_opens_late_does_not_displace_a_newer_one(rig: Rig) -> None:
    newer = await rig.connect()
    rig.desk.epochs["d"] = -1
    late = rig.dial()

    await late.hears(Welcome)
    assert await late.hears(Goodbye) == Goodbye(GoodbyeReason.SUPERSEDED)
    await late.hears_end()
    rig.clock.pass_s(SETTINGS.heartbeat_interval_s)
    newer.say(Heartbeat(1))
    assert await newer.hears(Heartbeat) == Heartbeat(1)
    assert rig.reach("d") is Reach.READY


async def test_fault_18_two_processes_of_one_machine_never_both_get_commands(rig: Rig) -> None:
    """Invariant 14: each that connects ends the other; a drop goes out on the last one only."""
    agents = [await rig.connect(boot_id=f"boot-{number % 2}") for number in range(6)]
    rig.desk.reserve(reserved("D1"))
    rig.registry.wake("d")

    assert (await agents[-1].hears(Dispense)).epoch == 6
    for superseded in agents[:-1]:
        await superseded.hears(Goodbye)
        await superseded.hears_end()


async def test_a_link_that_is_being_opened_is_held_already(rig: Rig) -> None:
    agent = ScriptedAgent()
    agent.connect(rig.registry.serve("d", agent.incoming()))
    rig.agents.append(agent)
    await agent.listened.wait()
    assert rig.registry.held("d") == Held(None, Reach.OFFLINE)

    agent.say(hello())
    await agent.hears(Welcome)
    assert rig.registry.held("d") == Held(1, Reach.READY)


async def test_a_link_that_is_refused_leaves_nothing_behind(rig: Rig) -> None:
    rig.desk.disabled.add("d")

    await rig.dial().hears_error(MachineDisabledError)
    assert rig.registry.held("d") is None


async def test_fault_17_a_link_ends_that_was_superseded_at_another_frontend(rig: Rig) -> None:
    """Invariant 14: whether its board is there or not, and no link of another machine's."""
    agent = await rig.connect(board_status=BoardStatus(ready=False))
    other = await rig.connect("ld")
    rig.registry.supersede("d", 1)
    assert rig.registry.held("d") == Held(1, Reach.BOARD_DOWN)
    rig.registry.supersede("d", 2)
    rig.registry.supersede("s", 2)
    assert await agent.hears(Goodbye) == Goodbye(GoodbyeReason.SUPERSEDED)
    await agent.hears_end()
    assert rig.reach("d") is Reach.OFFLINE
    rig.clock.pass_s(SETTINGS.heartbeat_interval_s)
    other.say(Heartbeat(1))
    await other.hears(Heartbeat)

    await rig.connect()
    assert rig.reach("d") is Reach.READY


async def test_fault_21_a_frontend_that_stops_says_goodbye_on_every_link(rig: Rig) -> None:
    agents = [await rig.connect("d"), await rig.connect("ld")]
    rig.registry.drain()

    for agent in agents:
        assert await agent.hears(Goodbye) == Goodbye(GoodbyeReason.SHUTTING_DOWN)
        await agent.hears_end()
    await rig.dial("s").hears_error(ShuttingDownError)


async def test_fault_38_released_agents_may_come_back(rig: Rig) -> None:
    agent = await rig.connect("d")
    assert rig.registry.release() == 1
    assert await agent.hears(Goodbye) == Goodbye(GoodbyeReason.SHUTTING_DOWN)
    await agent.hears_end()
    assert rig.registry.release() == 0
    await rig.connect("d")
    assert rig.reach("d") is Reach.READY


async def test_fault_21_a_link_that_was_opening_is_told_too(rig: Rig) -> None:
    agent = ScriptedAgent()
    agent.connect(rig.registry.serve("d", agent.incoming()))
    rig.agents.append(agent)
    await agent.listened.wait()
    rig.registry.drain()
    agent.say(hello())

    await agent.hears(Welcome)
    assert await agent.hears(Goodbye) == Goodbye(GoodbyeReason.SHUTTING_DOWN)
    await agent.hears_end()


async def test_a_stream_that_is_cut_takes_its_link_with_it_at_once(rig: Rig) -> None:
    agent = ScriptedAgent()
    agent.say(hello())
    stream = rig.registry.serve("d", agent.incoming())
    assert isinstance(await anext(stream), Welcome)
    await stream.aclose()
    rig.desk.reserve(reserved("D1"))
    rig.registry.wake("d")

    assert rig.reach("d") is Reach.OFFLINE
    assert rig.desk.state("D1") is State.RESERVED


async def test_a_command_goes_to_the_link_that_its_drop_was_dispatched_on(rig: Rig) -> None:
    """Invariant 14: a link that has been replaced meanwhile gets none."""
    agent = await rig.connect()
    drop = replace(reserved("D1", slot=3), state=State.DISPATCHED, epoch=1)
    for other in (replace(drop, epoch=2), replace(drop, machine="ld")):
        rig.registry.command(other)
    assert not agent.heard_more()

    rig.registry.command(drop)
    assert (await agent.hears(Dispense)).drop_id == "D1"


async def test_fault_38_a_link_with_a_doubtful_dispatch_is_ended_and_no_other(rig: Rig) -> None:
    """Invariant 23: at its next Hello the agent says what it did not receive."""
    agent, other = await rig.connect(), await rig.connect("ld")
    rig.registry.doubt("d", 2)
    rig.registry.doubt("s", 1)
    assert rig.reach("d") is Reach.READY

    rig.registry.doubt("d", 1)
    await agent.hears_error(OutcomeUnknownError)
    assert rig.reach("d") is Reach.OFFLINE
    assert rig.reach("ld") is Reach.READY
    assert not other.heard_more()


async def test_fault_68_a_machine_whose_agents_connect_too_often_is_refused_and_no_other() -> None:
    rig = Rig(SETTINGS.model_copy(update={"openings_burst": 2, "opening_interval_s": 10}))
    for _ in range(2):
        await (await rig.connect("d")).vanish()

    error = await rig.dial("d").hears_error(RateLimitedError)
    assert error.facts == {"retry_after_seconds": 10}
    assert rig.desk.epochs == {"d": 2}
    assert rig.desk.alarms == [("d", AlarmKind.LINK_REFUSED)]

    await rig.connect("ld")
    rig.clock.pass_s(10)
    await rig.connect("d")
    for agent in rig.agents:
        await agent.vanish()


async def test_fault_68_messages_are_counted_over_all_links_of_a_machine() -> None:
    rig = Rig(SETTINGS.model_copy(update={"messages_burst": 100, "messages_per_s": 10}))
    await (await rig.connect("d")).vanish()
    assert all(rig.registry.accepts("d", 10) for _ in range(60))
    await (await rig.connect("d")).vanish()
    accepted = sum(rig.registry.accepts("d", 10) for _ in range(60))
    assert accepted == 40
    assert rig.desk.alarms == [("d", AlarmKind.LINK_FLOODED)] * 20
    assert rig.registry.accepts("ld", 10)
