"""One link against a scripted agent, on the real use cases."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from drink_frontend.domain.agents import AgentStats
from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import Reach
from drink_frontend.domain.errors import (
    LinkProtocolError,
    LinkSupersededError,
    NotOwnerError,
    OutcomeUnknownError,
)
from drink_frontend.domain.stock import Sensor
from drink_frontend.links.messages import (
    BoardStatus,
    Dispense,
    Goodbye,
    GoodbyeReason,
    Heartbeat,
    NotReceived,
    ResultAck,
    Welcome,
)
from drink_frontend.links.state import Phase
from tests.fakes.agent import LIMIT_S, READY, dispensed, hello
from tests.frontend.links.rig import SETTINGS, Rig
from tests.support.bench import Bench


@pytest.fixture
async def rig(bench: Bench) -> AsyncGenerator[Rig, None]:
    rig = Rig(bench)
    yield rig
    await rig.close()


async def test_welcome_names_the_epoch_and_what_is_wanted(rig: Rig) -> None:
    first, _ = await rig.place(1), await rig.place(2)
    await rig.bench.take()

    assert await rig.open() == Welcome(2, (first.id,), 1, 200, 60)
    assert rig.use_cases.opened == [{"boot_id": "boot-1", "agent_version": "1.0"}]


async def test_an_agent_that_says_nothing_is_cut(rig: Rig) -> None:
    with pytest.raises(LinkProtocolError):
        await rig.link.open()


async def test_an_agent_that_hangs_up_before_hello_is_refused(rig: Rig) -> None:
    rig.agent.hang_up()

    with pytest.raises(LinkProtocolError):
        await rig.link.open()


async def test_fault_19_an_agent_of_another_machine_opens_no_epoch(rig: Rig) -> None:
    rig.agent.say(hello("ld"))

    with pytest.raises(NotOwnerError):
        await rig.link.open()
    assert rig.use_cases.opened == []


async def test_a_drop_goes_out_with_slot_epoch_and_ttl(rig: Rig) -> None:
    drop = await rig.place(slot=2)
    await rig.open()

    assert await rig.agent.hears(Dispense) == Dispense(drop.id, 2, 2, 7_500)


async def test_a_drop_is_dispatched_before_its_command_leaves(rig: Rig) -> None:
    """Invariant 7: no command without what it rests on."""
    drop = await rig.dispatched()

    assert await rig.state(drop) is State.DISPATCHED


async def test_drops_go_out_one_by_one_in_their_order(rig: Rig) -> None:
    """Invariant 11: the next command waits for the outcome of the one before."""
    drops = [await rig.place(number) for number in (1, 2, 3)]
    await rig.open()

    for number, drop in enumerate(drops, 1):
        assert (await rig.agent.hears(Dispense)).drop_id == drop.id
        rig.link.wake()
        await rig.asked()
        assert not rig.agent.heard_more()
        rig.agent.say(dispensed(drop.id, sequence=number))
        assert await rig.agent.hears(ResultAck) == ResultAck(drop.id, 1)


async def test_a_wake_up_sends_a_drop(rig: Rig) -> None:
    await rig.open()
    await rig.answered()
    drop = await rig.place()
    rig.link.wake()

    assert (await rig.agent.hears(Dispense)).drop_id == drop.id


async def test_nothing_goes_out_until_the_board_answers(rig: Rig) -> None:
    drop = await rig.place()
    await rig.open(board_status=BoardStatus(ready=False))
    await rig.answered()
    assert await rig.state(drop) is State.RESERVED

    rig.agent.say(READY)
    assert (await rig.agent.hears(Dispense)).drop_id == drop.id
    assert rig.link.reach is Reach.READY


async def test_a_result_is_acknowledged_only_when_it_is_durable(rig: Rig) -> None:
    """Invariant 15: what was not acknowledged is said again, and taken then."""
    drop = await rig.dispatched()
    rig.set_available(False)
    rig.agent.say(dispensed(drop.id))
    await rig.answered()
    assert await rig.state(drop) is State.DISPATCHED

    rig.set_available(True)
    rig.agent.say(dispensed(drop.id))
    assert await rig.agent.hears(ResultAck) == ResultAck(drop.id, 1)
    assert await rig.state(drop) is State.DISPENSED


async def test_fault_13_a_repeated_result_is_acknowledged_again(rig: Rig) -> None:
    drop = await rig.dispatched()
    rig.agent.say(dispensed(drop.id), dispensed(drop.id))

    assert await rig.agent.hears(ResultAck) == ResultAck(drop.id, 1)
    assert await rig.agent.hears(ResultAck) == ResultAck(drop.id, 1)


async def test_fault_10_a_command_that_never_arrived_is_sent_on_the_next_link(rig: Rig) -> None:
    drop = await rig.dispatched()
    await rig.agent.vanish()

    assert (await rig.reopen()).wanted_drops == (drop.id,)
    rig.agent.say(NotReceived(drop.id))
    assert await rig.agent.hears(Dispense) == Dispense(drop.id, 3, 1, 7_500)


async def test_fault_11_a_drop_that_the_agent_knows_is_not_sent_again(rig: Rig) -> None:
    drop = await rig.dispatched()
    await rig.agent.vanish()

    await rig.reopen()
    await rig.answered()
    rig.agent.say(dispensed(drop.id))
    await rig.agent.hears(ResultAck)


async def test_a_drop_that_was_not_asked_about_cannot_be_returned(rig: Rig) -> None:
    drop = await rig.dispatched()
    rig.agent.say(NotReceived(drop.id))

    await rig.agent.hears_error(LinkProtocolError)
    assert await rig.state(drop) is State.DISPATCHED


async def test_fault_17_an_older_link_is_told_that_it_is_superseded(rig: Rig) -> None:
    """Invariant 14: a stale epoch delivers no command."""
    await rig.open()
    await rig.bench.link()
    drop = await rig.place()
    rig.link.wake()

    assert await rig.agent.hears(Goodbye) == Goodbye(GoodbyeReason.SUPERSEDED)
    await rig.agent.hears_error(LinkSupersededError)
    assert await rig.state(drop) is State.RESERVED


async def test_a_heartbeat_is_answered_with_its_number(rig: Rig) -> None:
    await rig.open()
    for number in (41, 42):
        rig.clock.pass_s(SETTINGS.heartbeat_interval_s)
        rig.agent.say(Heartbeat(number))
        assert await rig.agent.hears(Heartbeat) == Heartbeat(number)


async def test_a_heartbeat_right_after_something_else_was_said_needs_no_answer(rig: Rig) -> None:
    drop = await rig.dispatched()
    rig.agent.say(Heartbeat(41), dispensed(drop.id))
    await rig.agent.hears(ResultAck)
    rig.clock.pass_s(SETTINGS.heartbeat_interval_s / 2)
    rig.agent.say(Heartbeat(42))

    assert await rig.agent.hears(Heartbeat) == Heartbeat(42)


async def test_fault_37_a_heartbeat_tells_how_far_the_journal_has_come(rig: Rig) -> None:
    await rig.open(journal_sequence=5)
    rig.agent.say(Heartbeat(1, journal_sequence=8), Heartbeat(2, journal_sequence=7))
    await rig.answered()

    assert rig.bench.journals.take("d") == ("journal-1", 8)


async def test_fault_37_the_end_of_a_link_has_its_journal_mark_kept_at_once(rig: Rig) -> None:
    agent = await rig.connect()
    assert rig.use_cases.ended == 0
    await agent.vanish()

    assert rig.use_cases.ended == 1


async def test_a_result_brings_the_next_drop_with_it(rig: Rig) -> None:
    """Invariant 11: the next command follows the acknowledgement, without another look."""
    drop = await rig.dispatched()
    second = await rig.place(2)
    rig.agent.say(dispensed(drop.id))

    assert await rig.agent.hears(ResultAck) == ResultAck(drop.id, 1)
    assert (await rig.agent.hears(Dispense)).drop_id == second.id


async def test_a_result_brings_no_drop_to_a_board_that_is_away(rig: Rig) -> None:
    drop = await rig.dispatched()
    second = await rig.place(2)
    rig.agent.say(BoardStatus(ready=False), dispensed(drop.id))
    await rig.agent.hears(ResultAck)
    await rig.answered()
    assert await rig.state(second) is State.RESERVED

    rig.agent.say(READY)
    assert (await rig.agent.hears(Dispense)).drop_id == second.id


async def test_fault_38_a_result_of_unknown_outcome_ends_the_link(rig: Rig) -> None:
    """Invariant 23: the next drop may be dispatched; its agent says what it did not receive."""
    drop = await rig.dispatched()
    second = await rig.place(2)
    rig.bench.storage.is_doubtful = True
    rig.agent.say(dispensed(drop.id))

    await rig.agent.hears_error(OutcomeUnknownError)
    assert await rig.state(second) is State.DISPATCHED


async def test_fault_14_an_agent_that_is_heard_in_time_is_kept(rig: Rig) -> None:
    drop = await rig.bench.dispatched()
    await rig.bench.report(drop)
    rig.agent.say(hello())
    await rig.link.open()
    rig.clock.pass_s(2.99)
    rig.agent.connect(rig.link.messages())
    await rig.agent.hears(Welcome)
    rig.agent.say(dispensed(drop.id))
    await rig.agent.hears(ResultAck)
    rig.clock.pass_s(2.9)
    # The watch has set its alarm for the Hello and looks once more.
    await asyncio.sleep(0.05)
    rig.agent.say(dispensed(drop.id))
    await rig.agent.hears(ResultAck)

    assert rig.link.state.phase is Phase.OPEN


async def test_fault_14_nothing_heard_for_three_heartbeats_ends_the_link(rig: Rig) -> None:
    rig.agent.say(hello())
    await rig.link.open()
    rig.clock.pass_s(2.99)
    rig.agent.connect(rig.link.messages())
    await rig.agent.hears(Welcome)
    rig.clock.pass_s(0.02)

    await rig.agent.hears_end()
    assert rig.link.state.phase is Phase.CLOSED


async def test_fault_51_a_jump_of_the_wall_clock_ends_no_link(rig: Rig) -> None:
    """Invariant 17: a link's limits are counted on the monotonic clock."""
    await rig.dispatched()
    for days in (-3, 6):
        rig.clock.jump_s(days * 86_400)
        await rig.answered()

    assert rig.link.state.ready


async def test_an_agent_that_does_not_read_is_cut(bench: Bench) -> None:
    """Invariant 25: at most `outgoing_max` messages wait for one agent."""
    rig = Rig(bench, SETTINGS.model_copy(update={"outgoing_max": 8}))
    drop = await rig.bench.dispatched()
    await rig.bench.report(drop)
    rig.agent.say(hello())
    await rig.link.open()
    sent = rig.link.messages()
    assert isinstance((await anext(sent)).message, Welcome)
    rig.agent.say(*(dispensed(drop.id) for _ in range(20)))
    async with asyncio.timeout(LIMIT_S):
        while rig.link.state.phase is Phase.OPEN:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    assert [(await anext(sent)).message for _ in range(8)] == [ResultAck(drop.id, 1)] * 8
    with pytest.raises(LinkProtocolError):
        await anext(sent)


async def test_status_is_kept_when_it_changes_and_only_then(rig: Rig) -> None:
    await rig.open(board_status=BoardStatus(True, {1: Sensor.STOCKED}, 3.5))
    await rig.answered()
    rig.agent.say(
        BoardStatus(True, {1: Sensor.STOCKED}, 3.5),
        BoardStatus(False, {1: Sensor.STOCKED}, 3.5),
        BoardStatus(True, {1: Sensor.EMPTY}, 3.5),
    )
    await rig.answered()
    rig.agent.say(BoardStatus(True, {1: Sensor.EMPTY}, 3.5, "1.2"))
    await rig.answered()

    kept = [Sensor.STOCKED, Sensor.EMPTY, Sensor.EMPTY]
    assert rig.use_cases.kept == [({1: each}, 3.5) for each in kept]
    assert rig.use_cases.firmware == ["", "", "1.2"]


async def test_fault_58_a_boards_slots_are_all_known_once_it_is_ready(rig: Rig) -> None:
    both = {1: Sensor.STOCKED, 2: Sensor.STOCKED}
    await rig.open(board_status=BoardStatus(False, both))
    await rig.answered()
    rig.agent.say(BoardStatus(True, both), BoardStatus(False, both), BoardStatus(True, both))
    await rig.answered()
    assert rig.use_cases.complete == [False, True]


async def test_status_that_was_not_kept_is_kept_once_the_database_answers(rig: Rig) -> None:
    await rig.open()
    await rig.answered()
    rig.set_available(False)
    rig.agent.say(BoardStatus(True, {1: Sensor.EMPTY}, None))
    await rig.asked()
    rig.set_available(True)
    while rig.use_cases.kept[-1] != ({1: Sensor.EMPTY}, None):
        await rig.asked()


async def test_a_database_that_does_not_answer_postpones_dispatch(rig: Rig) -> None:
    await rig.place()
    rig.agent.say(hello())
    await rig.link.open()
    rig.set_available(False)
    rig.agent.connect(rig.link.messages())
    await rig.agent.hears(Welcome)
    await rig.asked()
    assert not rig.agent.heard_more()

    rig.set_available(True)
    await rig.agent.hears(Dispense)


async def test_fault_38_a_dispatch_of_unknown_outcome_ends_the_link_and_the_next_sends_it(
    rig: Rig,
) -> None:
    """Invariant 23: the drop does not wait for the silence limit."""
    drop = await rig.place()
    await rig.open(board_status=BoardStatus(ready=False))
    await rig.answered()
    rig.bench.storage.is_doubtful = True
    rig.agent.say(READY)
    await rig.agent.hears_error(OutcomeUnknownError)
    assert rig.link.state.phase is Phase.CLOSED

    rig.bench.storage.is_doubtful = False
    assert (await rig.reopen()).wanted_drops == (drop.id,)
    rig.agent.say(NotReceived(drop.id))
    assert (await rig.agent.hears(Dispense)).drop_id == drop.id


async def test_an_agents_goodbye_ends_the_link(rig: Rig) -> None:
    await rig.open()
    rig.agent.say(Goodbye(GoodbyeReason.SHUTTING_DOWN))

    await rig.agent.hears_end()


async def test_a_stream_that_ends_without_goodbye_ends_the_link(rig: Rig) -> None:
    await rig.open()
    rig.agent.hang_up()

    await rig.agent.hears_end()
    assert rig.link.state.phase is Phase.CLOSED


async def test_fault_12_a_cut_link_changes_nothing_about_its_drop(rig: Rig) -> None:
    """Invariant 8: a lost link is silence, and silence proves nothing."""
    drop = await rig.dispatched()
    await rig.agent.vanish()

    assert await rig.state(drop) is State.DISPATCHED


async def test_a_link_that_ends_gives_no_further_command(rig: Rig) -> None:
    await rig.open()
    await rig.agent.vanish()
    drop = await rig.place()
    rig.link.wake()
    await asyncio.sleep(0)

    assert await rig.state(drop) is State.RESERVED
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("link ")]


async def test_goodbye_is_said_once(rig: Rig) -> None:
    await rig.open()
    rig.link.release()
    rig.link.supersede()

    assert await rig.agent.hears(Goodbye) == Goodbye(GoodbyeReason.SHUTTING_DOWN)
    await rig.agent.hears_end()


async def test_a_mistake_of_the_program_is_not_swallowed(rig: Rig) -> None:
    await rig.open()
    await rig.answered()
    rig.bench.storage.error = KeyError("a mistake")
    rig.agent.say(dispensed("unknown"))

    await rig.agent.hears_error(KeyError)


async def test_the_newest_counters_of_the_agent_are_kept(rig: Rig) -> None:
    await rig.open(agent_version="1.2")
    assert (rig.link.agent_version, rig.link.stats) == ("1.2", None)
    rig.agent.say(AgentStats(uptime_s=5))
    rig.agent.say(AgentStats(uptime_s=65, links_lost=1))
    rig.clock.pass_s(0.6)
    rig.agent.say(Heartbeat(1))
    await rig.agent.hears(Heartbeat)
    assert rig.link.stats == AgentStats(uptime_s=65, links_lost=1)
    assert rig.link.stats.disk_free is None
