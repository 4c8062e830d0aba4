"""Which links count: one per machine, the newest, while it lives."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from drink_frontend.domain.alarms import AlarmKind
from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import Reach
from drink_frontend.domain.errors import (
    LinkSupersededError,
    OutcomeUnknownError,
    RateLimitedError,
    ShuttingDownError,
    StorageUnavailableError,
)
from drink_frontend.links.messages import (
    BoardStatus,
    Dispense,
    Goodbye,
    GoodbyeReason,
    Heartbeat,
    ResultAck,
    Welcome,
)
from drink_frontend.links.settings import LinkSettings
from drink_frontend.usecases.links import LinkStatus
from tests.fakes.agent import READY, ScriptedAgent, dispensed, hello
from tests.frontend.links.rig import Rig
from tests.support.bench import Bench

SETTINGS = LinkSettings(retry_interval_s=60)


@pytest.fixture
async def rig(bench: Bench) -> AsyncGenerator[Rig, None]:
    rig = Rig(bench, SETTINGS)
    yield rig
    await rig.close()


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
    await rig.links.changed()


async def test_a_wake_up_reaches_only_its_machine(rig: Rig) -> None:
    d, ld = await rig.connect("d"), await rig.connect("ld")
    drop = await rig.place(machine="ld")
    rig.links.wake("ld")
    rig.links.wake("s")

    assert (await ld.hears(Dispense)).drop_id == drop.id
    assert not d.heard_more()


async def test_a_dead_machine_blocks_no_other(rig: Rig) -> None:
    """Invariant 11: a machine that never answers holds up its own drops and no one else's."""
    first, second = await rig.place(1), await rig.place(2, "ld")
    dead, live = await rig.connect("d"), await rig.connect("ld")
    await dead.hears(Dispense)

    assert (await live.hears(Dispense)).drop_id == second.id
    live.say(dispensed(second.id))
    await live.hears(ResultAck)
    assert await rig.state(first) is State.DISPATCHED


async def test_fault_17_the_newest_link_wins(rig: Rig) -> None:
    """Invariant 14: of two streams of one machine only the newer one gets commands."""
    older = await rig.connect()
    newer = await rig.connect()
    assert await older.hears(Goodbye) == Goodbye(GoodbyeReason.SUPERSEDED)
    await older.hears_end()

    await rig.place()
    rig.links.wake("d")
    assert (await newer.hears(Dispense)).epoch == 3
    assert rig.reach("d") is Reach.READY


@pytest.mark.parametrize("is_linked", [True, False])
async def test_fault_17_a_hello_that_comes_late_disturbs_nobody(rig: Rig, is_linked: bool) -> None:
    """What lay in the network is no journal that was put back."""
    drop = await rig.place()
    agent = await rig.connect(journal_sequence=3)
    await agent.hears(Dispense)
    agent.say(Heartbeat(1, journal_sequence=5), dispensed(drop.id, sequence=9))
    await agent.hears(ResultAck)
    if not is_linked:
        await agent.vanish()

    await rig.dial(journal_sequence=8).hears_error(LinkSupersededError)
    assert len(rig.use_cases.opened) == 1
    assert rig.reach("d") is (Reach.READY if is_linked else Reach.OFFLINE)
    await rig.connect(journal_sequence=8, boot_id="boot-2")
    await rig.connect(journal_sequence=9)


async def test_fault_17_a_link_that_opens_late_does_not_displace_a_newer_one(rig: Rig) -> None:
    rig.use_cases.gate = gate = asyncio.Event()
    late = rig.dial()
    await rig.use_cases.committed.wait()
    rig.use_cases.gate = asyncio.Event()
    rig.use_cases.gate.set()
    newer = await rig.connect()
    gate.set()

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
    await rig.place()
    rig.links.wake("d")

    assert (await agents[-1].hears(Dispense)).epoch == 7
    for superseded in agents[:-1]:
        await superseded.hears(Goodbye)
        await superseded.hears_end()


async def test_a_link_that_is_being_opened_is_held_already(rig: Rig) -> None:
    agent = rig.call()
    await agent.listened.wait()
    assert rig.links.status("d") == LinkStatus(None, Reach.OFFLINE)

    agent.say(hello())
    await agent.hears(Welcome)
    assert rig.links.status("d") == LinkStatus(2, Reach.READY)


async def test_a_link_that_cannot_be_opened_leaves_nothing_behind(rig: Rig) -> None:
    rig.set_available(False)

    await rig.dial().hears_error(StorageUnavailableError)
    assert rig.links.status("d") is None


async def test_fault_17_a_link_ends_that_was_superseded_at_another_frontend(rig: Rig) -> None:
    """Invariant 14: whether its board is there or not, and no link of another machine's."""
    agent = await rig.connect(board_status=BoardStatus(ready=False))
    other = await rig.connect("ld")
    rig.links.supersede("d", 2)
    assert rig.links.status("d") == LinkStatus(2, Reach.BOARD_DOWN)
    rig.links.supersede("d", 3)
    rig.links.supersede("s", 3)
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
    rig.server.drain()

    for agent in agents:
        assert await agent.hears(Goodbye) == Goodbye(GoodbyeReason.SHUTTING_DOWN)
        await agent.hears_end()
    await rig.dial("s").hears_error(ShuttingDownError)


async def test_fault_38_released_agents_may_come_back(rig: Rig) -> None:
    agent = await rig.connect("d")
    assert rig.links.release() == 1
    assert await agent.hears(Goodbye) == Goodbye(GoodbyeReason.SHUTTING_DOWN)
    await agent.hears_end()
    assert rig.links.release() == 0
    await rig.connect("d")
    assert rig.reach("d") is Reach.READY


async def test_fault_21_a_link_that_was_opening_is_told_too(rig: Rig) -> None:
    agent = rig.call()
    await agent.listened.wait()
    rig.server.drain()
    agent.say(hello())

    await agent.hears(Welcome)
    assert await agent.hears(Goodbye) == Goodbye(GoodbyeReason.SHUTTING_DOWN)
    await agent.hears_end()


async def test_a_stream_that_is_cut_takes_its_link_with_it_at_once(rig: Rig) -> None:
    agent = ScriptedAgent()
    agent.say(hello())
    stream = rig.serve("d", agent)
    assert isinstance((await anext(stream)).message, Welcome)
    await stream.aclose()
    drop = await rig.place()
    rig.links.wake("d")

    assert rig.reach("d") is Reach.OFFLINE
    assert await rig.state(drop) is State.RESERVED


async def test_a_command_goes_to_the_link_that_its_drop_was_dispatched_on(rig: Rig) -> None:
    """Invariant 14: a link that has been replaced meanwhile sends none, nor does its successor."""
    older = await rig.connect()
    link = rig.links.ready("d")
    assert link is not None
    drop = await rig.place()
    newer = await rig.connect()
    await older.hears(Goodbye)
    await older.hears_end()
    assert (await newer.hears(Dispense)).drop_id == drop.id
    link.command(drop)
    link.fail(OutcomeUnknownError("a drop may be dispatched"))

    assert rig.reach("d") is Reach.READY
    assert not older.heard_more()
    assert not newer.heard_more()


async def test_fault_38_a_link_with_a_doubtful_dispatch_is_ended_and_no_other(rig: Rig) -> None:
    """Invariant 23: at its next Hello the agent says what it did not receive."""
    agent, other = await rig.connect(), await rig.connect("ld")
    link = rig.links.ready("d")
    assert link is not None
    link.fail(OutcomeUnknownError("a drop may be dispatched"))
    await agent.hears_error(OutcomeUnknownError)
    assert rig.reach("d") is Reach.OFFLINE
    assert rig.reach("ld") is Reach.READY
    assert not other.heard_more()


async def test_fault_68_a_machine_whose_agents_connect_too_often_is_refused_and_no_other(
    bench: Bench,
) -> None:
    rig = Rig(bench, SETTINGS.model_copy(update={"openings_burst": 2, "opening_interval_s": 10}))
    for _ in range(2):
        await (await rig.connect("d")).vanish()

    error = await rig.dial("d").hears_error(RateLimitedError)
    assert error.facts == {"retry_after_seconds": 10}
    assert len(rig.use_cases.opened) == 2
    assert rig.use_cases.counted == [("d", AlarmKind.LINK_REFUSED)]

    await rig.connect("ld")
    rig.clock.pass_s(10)
    await rig.connect("d")
    for agent in rig.agents:
        await agent.vanish()


async def test_fault_68_messages_are_counted_over_all_links_of_a_machine(bench: Bench) -> None:
    rig = Rig(bench, SETTINGS.model_copy(update={"messages_burst": 100, "messages_per_s": 10}))
    await (await rig.connect("d")).vanish()
    assert all(rig.server.accepts("d", 10) for _ in range(60))
    await (await rig.connect("d")).vanish()
    accepted = sum(rig.server.accepts("d", 10) for _ in range(60))
    assert accepted == 40
    assert rig.use_cases.counted == [("d", AlarmKind.LINK_FLOODED)] * 20
    assert rig.server.accepts("ld", 10)
