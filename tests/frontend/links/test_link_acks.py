"""Acknowledgements wait for a message that takes them along, where the agent reads them there."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import Drop
from drink_frontend.links.messages import Dispense, Goodbye, Heartbeat, ResultAck
from drink_frontend.links.state import PROTOCOL_ACKS_ALONG
from tests.fakes.agent import LIMIT_S, dispensed
from tests.frontend.links.rig import SETTINGS, Rig
from tests.support.bench import Bench

LONG_S = 2.0
"""A wait that no test waits for."""


@pytest.fixture
async def rig(bench: Bench) -> AsyncGenerator[Rig, None]:
    rig = Rig(bench)
    yield rig
    await rig.close()


async def commanded(rig: Rig, *, ack_wait_s: float, protocol_version: int) -> Drop:
    """A drop whose command the agent has received."""
    rig.settings = SETTINGS.model_copy(update={"ack_wait_s": ack_wait_s})
    rig.link = rig.new_link(rig.agent.incoming())
    drop = await rig.place()
    await rig.open(protocol_version=protocol_version)
    assert (await rig.agent.hears(Dispense)).drop_id == drop.id
    return drop


async def test_an_acknowledgement_comes_along_with_the_next_command(rig: Rig) -> None:
    first = await commanded(rig, ack_wait_s=LONG_S, protocol_version=PROTOCOL_ACKS_ALONG)
    second = await rig.place(2)
    rig.agent.say(dispensed(first.id))

    assert (await rig.agent.hears(Dispense)).drop_id == second.id
    assert rig.agent.acks_along == [ResultAck(first.id, 1)]


async def test_an_acknowledgement_comes_along_with_the_answer_to_a_heartbeat(rig: Rig) -> None:
    drop = await commanded(rig, ack_wait_s=LONG_S, protocol_version=PROTOCOL_ACKS_ALONG)
    rig.agent.say(dispensed(drop.id, revision=2), dispensed(drop.id, revision=1))
    await rig.answered()

    assert rig.agent.acks_along == [ResultAck(drop.id, 2), ResultAck(drop.id, 1)]


async def test_acknowledgements_leave_alone_after_a_while_and_together(rig: Rig) -> None:
    drop = await commanded(rig, ack_wait_s=0.05, protocol_version=PROTOCOL_ACKS_ALONG)
    for revision in (1, 2):
        rig.agent.say(dispensed(drop.id, revision=revision), dispensed(drop.id, revision=3))
        heard = {await rig.agent.hears(ResultAck)}
        while heard | set(rig.agent.acks_along) < {ResultAck(drop.id, n) for n in (revision, 3)}:
            heard.add(await rig.agent.hears(ResultAck))


async def test_a_goodbye_takes_acknowledgements_along(rig: Rig) -> None:
    drop = await commanded(rig, ack_wait_s=LONG_S, protocol_version=PROTOCOL_ACKS_ALONG)
    rig.agent.say(dispensed(drop.id))
    async with asyncio.timeout(LIMIT_S):
        while await rig.state(drop) is not State.DISPENSED or rig.bench.storage.under_way:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    rig.link.release()

    await rig.agent.hears(Goodbye)
    assert rig.agent.acks_along == [ResultAck(drop.id, 1)]


async def test_fault_22_an_agent_of_the_first_protocol_is_told_at_once(rig: Rig) -> None:
    drop = await commanded(rig, ack_wait_s=LONG_S, protocol_version=1)
    rig.agent.say(dispensed(drop.id))

    assert await rig.agent.hears(ResultAck) == ResultAck(drop.id, 1)
    rig.clock.pass_s(SETTINGS.heartbeat_interval_s)
    rig.agent.say(Heartbeat(7))
    assert await rig.agent.hears(Heartbeat) == Heartbeat(7)
    assert rig.agent.acks_along == []
