"""One link against an agent that sends too much."""

import asyncio
from typing import Any

from drink_frontend.domain.alarms import AlarmKind
from drink_frontend.domain.errors import RateLimitedError
from drink_frontend.links.messages import BoardStatus, Dispense, Goodbye, ResultAck
from tests.fakes.agent import READY, dispensed
from tests.frontend.links.rig import SETTINGS, Rig
from tests.support.bench import Bench


def limited(bench: Bench, **limits: Any) -> Rig:
    """A link whose machine may send very little."""
    return Rig(bench, SETTINGS.model_copy(update=limits))


async def test_fault_68_too_many_results_that_nobody_waits_for_end_the_link(
    bench: Bench,
) -> None:
    rig = limited(bench, unexpected_burst=2, unexpected_per_s=0.001)
    drop = await rig.dispatched()
    rig.agent.say(*(dispensed(drop.id) for _ in range(4)))

    for _ in range(3):
        assert await rig.agent.hears(ResultAck) == ResultAck(drop.id, 1)
    await rig.agent.hears_error(RateLimitedError)
    assert rig.use_cases.counted == [("d", AlarmKind.LINK_FLOODED)]


async def test_fault_68_first_results_of_drops_under_way_have_no_limit(
    bench: Bench,
) -> None:
    rig = limited(bench, unexpected_burst=1, unexpected_per_s=0.001)
    drops = [await rig.place(number) for number in range(3)]
    await rig.open()

    for number, drop in enumerate(drops):
        assert (await rig.agent.hears(Dispense)).drop_id == drop.id
        rig.agent.say(dispensed(drop.id, sequence=number + 1))
        assert await rig.agent.hears(ResultAck) == ResultAck(drop.id, 1)
    assert rig.use_cases.counted == []


async def test_fault_68_of_many_changes_of_status_only_the_newest_is_taken_later(
    bench: Bench,
) -> None:
    rig = limited(bench, statuses_burst=1, status_interval_s=0.05)
    await rig.open()
    celsius = [5.0 + number / 10 for number in range(50)]
    rig.agent.say(*(BoardStatus(ready=True, temperature_celsius=each) for each in celsius))

    while rig.use_cases.kept[-1:] != [({}, celsius[0])]:
        await rig.asked()
    rig.clock.pass_s(1)
    while rig.use_cases.kept[-1] != ({}, celsius[-1]):
        await rig.asked()
    assert [kept[1] for kept in rig.use_cases.kept] == [None, celsius[0], celsius[-1]]


async def test_fault_68_a_status_that_waits_is_not_taken_after_the_link_has_ended(
    bench: Bench,
) -> None:
    rig = limited(bench, statuses_burst=1, status_interval_s=0.02)
    await rig.open()
    rig.agent.say(BoardStatus(ready=False), READY)
    await rig.answered()
    assert not rig.link.state.ready
    rig.link.release()
    await rig.agent.hears(Goodbye)
    rig.clock.pass_s(1)
    await asyncio.sleep(0.05)
    assert not rig.link.state.ready
