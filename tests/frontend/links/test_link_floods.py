"""One link against an agent that sends too much."""

import asyncio
from typing import Any

from drink_frontend.domain.entities import AlarmKind
from drink_frontend.domain.errors import RateLimitedError
from drink_frontend.links.messages import (
    BoardStatus,
    Dispense,
    Goodbye,
    GoodbyeReason,
    ResultAck,
)
from tests.fakes.agent import READY, dispensed
from tests.fakes.desk import reserved
from tests.frontend.links.test_link import SETTINGS, Rig


def limited(**limits: Any) -> Rig:
    """A link whose machine may send very little."""
    return Rig(SETTINGS.model_copy(update=limits))


async def test_fault_68_too_many_results_that_nobody_waits_for_end_the_link() -> None:
    rig = limited(unexpected_burst=2, unexpected_per_s=0.001)
    rig.desk.reserve(reserved("D1"))
    await rig.open()
    await rig.agent.hears(Dispense)
    rig.agent.say(*(dispensed("D1") for _ in range(4)))

    for _ in range(3):
        assert await rig.agent.hears(ResultAck) == ResultAck("D1", 1)
    await rig.agent.hears_error(RateLimitedError)
    assert rig.desk.alarms == [("d", AlarmKind.LINK_FLOODED)]


async def test_fault_68_first_results_of_drops_under_way_have_no_limit() -> None:
    rig = limited(unexpected_burst=1, unexpected_per_s=0.001)
    for number in range(5):
        rig.desk.reserve(reserved(f"D{number}"))
    await rig.open()

    for number in range(5):
        assert (await rig.agent.hears(Dispense)).drop_id == f"D{number}"
        rig.agent.say(dispensed(f"D{number}", sequence=number + 1))
        assert await rig.agent.hears(ResultAck) == ResultAck(f"D{number}", 1)
    assert rig.desk.alarms == []


async def test_fault_68_of_many_changes_of_status_only_the_newest_is_taken_later() -> None:
    rig = limited(statuses_burst=1, status_interval_s=0.05)
    await rig.open()
    celsius = [5.0 + number / 10 for number in range(50)]
    rig.agent.say(*(BoardStatus(ready=True, temperature_celsius=each) for each in celsius))

    while rig.desk.kept[-1:] != [("d", {}, celsius[0])]:
        await rig.asked()
    rig.clock.pass_s(1)
    while rig.desk.kept[-1] != ("d", {}, celsius[-1]):
        await rig.asked()
    assert [kept[2] for kept in rig.desk.kept] == [None, celsius[0], celsius[-1]]


async def test_fault_68_a_status_that_waits_is_not_taken_after_the_link_has_ended() -> None:
    rig = limited(statuses_burst=1, status_interval_s=0.02)
    await rig.open()
    rig.agent.say(BoardStatus(ready=False), READY)
    await rig.answered()
    assert not rig.link.state.ready
    rig.link.end(GoodbyeReason.SHUTTING_DOWN)
    await rig.agent.hears(Goodbye)
    rig.clock.pass_s(1)
    await asyncio.sleep(0.05)
    assert not rig.link.state.ready
