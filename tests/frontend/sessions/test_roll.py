import asyncio

from drink_frontend.sessions.roll import Roll


class Idler:
    def __init__(self) -> None:
        self.busy = False
        self.timeouts = 0

    def time_out(self) -> None:
        self.timeouts += 1


async def test_the_one_that_is_idle_longest_goes_first() -> None:
    roll, first, second = Roll(10, 300), Idler(), Idler()
    roll.touch(first, 0)
    roll.touch(second, 10)
    roll.touch(first, 20)
    assert roll.time_out_idle(309) == 1
    assert roll.time_out_idle(310) == 10
    assert (first.timeouts, second.timeouts) == (0, 1)
    assert roll.time_out_idle(325) == 285
    assert first.timeouts == 1


async def test_nobody_is_told_while_busy() -> None:
    roll, member = Roll(10, 300), Idler()
    member.busy = True
    roll.touch(member, 0)
    roll.time_out_idle(1_000)
    assert member.timeouts == 0
    member.busy = False
    assert roll.time_out_idle(1_299) == 1
    roll.time_out_idle(1_300)
    assert member.timeouts == 1


async def test_an_empty_roll_may_be_looked_at_late() -> None:
    assert Roll(10, 300).time_out_idle(0) == 300


async def test_room_is_also_kept_for_those_on_the_way_in() -> None:
    roll, first, second = Roll(2, 300), Idler(), Idler()
    roll.expect(first)
    assert roll.has_room()
    roll.touch(first, 0)
    assert roll.has_room(), "counted once"
    roll.expect(second)
    assert not roll.has_room()
    assert len(roll) == 1
    roll.forget(second)
    assert roll.has_room()


async def test_emptied_waits_for_the_last_one() -> None:
    roll, member = Roll(2, 300), Idler()
    await roll.emptied()
    roll.touch(member, 0)
    waiting = asyncio.ensure_future(roll.emptied())
    await asyncio.sleep(0)
    assert not waiting.done()
    roll.forget(member)
    roll.forget(member)
    await waiting
    assert len(roll) == 0
