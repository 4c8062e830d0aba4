import asyncio

from drink_frontend.sessions.roll import LOOKED_AT_MAX, Roll

HERE, THERE = "192.0.2.1", "192.0.2.2"


class Idler:
    def __init__(self) -> None:
        self.busy = False
        self.known = False
        self.timeouts = 0
        self.made_way = False

    def time_out(self) -> None:
        self.timeouts += 1

    def make_way(self) -> None:
        self.made_way = True


def entered(roll: Roll, *members: Idler, place: str = HERE, limit_s: float | None = None) -> None:
    for member in members:
        roll.enter(member, place, limit_s, 0)


async def test_the_one_that_is_idle_longest_goes_first() -> None:
    roll, first, second = Roll(10, 10, [300]), Idler(), Idler()
    roll.enter(first, HERE, 300, 0)
    roll.enter(second, HERE, 300, 10)
    roll.touch(first, 20)
    assert roll.time_out_idle(309) == 1
    assert roll.time_out_idle(310) == 10
    assert (first.timeouts, second.timeouts) == (0, 1)
    assert roll.time_out_idle(325) == 285
    assert first.timeouts == 1


async def test_nobody_is_told_while_busy() -> None:
    roll, member = Roll(10, 10, [300]), Idler()
    member.busy = True
    roll.enter(member, HERE, 300, 0)
    roll.time_out_idle(1_000)
    assert member.timeouts == 0
    member.busy = False
    assert roll.time_out_idle(1_299) == 1
    roll.time_out_idle(1_300)
    assert member.timeouts == 1


async def test_each_member_has_its_own_limit_or_none() -> None:
    roll, short, long, endless = Roll(10, 10, [5, 300]), Idler(), Idler(), Idler()
    entered(roll, long, limit_s=300)
    entered(roll, short, limit_s=5)
    entered(roll, endless)
    assert roll.time_out_idle(4) == 1
    assert roll.time_out_idle(5) == 5
    roll.time_out_idle(100_000)
    assert (short.timeouts, long.timeouts, endless.timeouts) == (2, 1, 0)


async def test_an_empty_roll_may_be_looked_at_late() -> None:
    assert Roll(10, 10, [300]).time_out_idle(0) == 300


async def test_fault_66_at_the_limit_the_stranger_that_is_idle_longest_makes_way() -> None:
    roll = Roll(3, 3)
    first, second, third, fourth = (Idler() for _ in range(4))
    entered(roll, first, second, third)
    second.known = True
    roll.touch(second, 1)
    roll.touch(first, 2)
    assert roll.make_room(THERE)
    assert third.made_way
    entered(roll, fourth, place=THERE)
    assert roll.make_room(THERE)
    assert first.made_way
    entered(roll, Idler())
    assert not second.made_way


async def test_fault_66_who_has_logged_in_keeps_the_place() -> None:
    roll, members = Roll(2, 2), (Idler(), Idler())
    entered(roll, *members)
    for member in members:
        member.known = True
        roll.touch(member, 1)
    assert not roll.make_room(THERE)
    roll.forget(members[0])
    assert roll.make_room(THERE)


async def test_fault_66_one_place_takes_only_its_own_share() -> None:
    roll = Roll(4, 2)
    first, second, other = Idler(), Idler(), Idler()
    entered(roll, other, place=THERE)
    entered(roll, first, second)
    assert roll.make_room(HERE)
    assert (first.made_way, second.made_way, other.made_way) == (True, False, False)
    second.known = True
    third = Idler()
    third.known = True
    entered(roll, third)
    roll.touch(second, 1)
    roll.touch(third, 1)
    assert not roll.make_room(HERE)
    assert roll.make_room(THERE)


async def test_fault_66_those_at_work_are_passed_over_and_hide_nobody() -> None:
    roll = Roll(LOOKED_AT_MAX + 1, LOOKED_AT_MAX + 1)
    busy = [Idler() for _ in range(LOOKED_AT_MAX)]
    for member in busy:
        member.busy = True
    idle = Idler()
    entered(roll, *busy, idle)
    assert not roll.make_room(HERE), "only so many are looked at"
    assert roll.make_room(HERE), "and each time others"
    assert idle.made_way
    assert not any(member.made_way for member in busy)


async def test_emptied_waits_for_the_last_one() -> None:
    roll, member = Roll(2, 2, [300]), Idler()
    await roll.emptied()
    entered(roll, member, limit_s=300)
    waiting = asyncio.ensure_future(roll.emptied())
    await asyncio.sleep(0)
    assert not waiting.done()
    roll.forget(member)
    roll.forget(member)
    roll.touch(member, 1)
    await waiting
    assert len(roll) == 0
