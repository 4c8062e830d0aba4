import asyncio

from drink_frontend.sessions.connection_tracker import EXAMINED_MAX, REORDERED_S, ConnectionTracker

HERE, THERE = "192.0.2.1", "192.0.2.2"


class Idler:
    """A connection without a client, idle unless a test says otherwise."""

    def __init__(self, *, has_logged_in: bool = False) -> None:
        self.busy = False
        self.has_logged_in = has_logged_in
        self.active_at = 0.0
        self.counted_bytes = 0
        self.buffered_bytes = 0
        self.timeouts = 0
        self.made_way = False
        self.was_cut_off = False

    def time_out(self) -> None:
        self.timeouts += 1

    def make_way(self) -> None:
        self.made_way = True

    def cut_off(self) -> None:
        self.was_cut_off = True

    def abort(self) -> None:
        raise AssertionError("only a server does this")

    finish = give_up = abort


def entered(
    tracker: ConnectionTracker, *members: Idler, place: str = HERE, limit_s: float | None = None
) -> None:
    for member in members:
        tracker.add(member, place, limit_s, 0)


async def test_the_one_that_is_idle_longest_goes_first() -> None:
    tracker, first, second = ConnectionTracker(10, 10, [300]), Idler(), Idler()
    tracker.add(first, HERE, 300, 0)
    tracker.add(second, HERE, 300, 10)
    tracker.touch(first, 20)
    assert tracker.time_out_idle(309) == 1
    assert tracker.time_out_idle(310) == 10
    assert (first.timeouts, second.timeouts) == (0, 1)
    assert tracker.time_out_idle(325) == 285
    assert first.timeouts == 1


async def test_activity_between_two_moves_of_a_user_counts() -> None:
    tracker, first, second = ConnectionTracker(10, 10, [300]), Idler(), Idler()
    entered(tracker, first, second, limit_s=300)
    for user in (first, second):
        user.has_logged_in = True
        tracker.touch(user, 9)
    assert tracker.touch(first, 10) == 10 + REORDERED_S
    assert tracker.touch(second, 10.25) == 10.25 + REORDERED_S
    first.active_at = 10.75
    assert tracker.time_out_idle(310.5) == 0.25
    assert (first.timeouts, second.timeouts) == (0, 0), "never early"
    tracker.time_out_idle(310.75)
    assert (first.timeouts, second.timeouts) == (1, 1), "late by less than a move"


async def test_each_activity_of_a_stranger_is_a_move() -> None:
    tracker, first, second = ConnectionTracker(2, 2, [300]), Idler(), Idler()
    entered(tracker, first, second, limit_s=300)
    for stranger, now in ((second, 1), (first, 2), (second, 2.5)):
        assert tracker.touch(stranger, now) == now
    assert tracker.make_room(HERE)
    assert (first.made_way, second.made_way) == (True, False)


async def test_nobody_is_told_while_busy() -> None:
    tracker, member = ConnectionTracker(10, 10, [300]), Idler()
    member.busy = True
    tracker.add(member, HERE, 300, 0)
    tracker.time_out_idle(1_000)
    assert member.timeouts == 0
    member.busy = False
    assert tracker.time_out_idle(1_299) == 1
    tracker.time_out_idle(1_300)
    assert member.timeouts == 1


async def test_each_member_has_its_own_limit_or_none() -> None:
    tracker, short, long, endless = ConnectionTracker(10, 10, [5, 300]), Idler(), Idler(), Idler()
    entered(tracker, long, limit_s=300)
    entered(tracker, short, limit_s=5)
    entered(tracker, endless)
    assert tracker.time_out_idle(4) == 1
    assert tracker.time_out_idle(5) == 5
    tracker.time_out_idle(100_000)
    assert (short.timeouts, long.timeouts, endless.timeouts) == (2, 1, 0)


async def test_an_empty_tracker_may_be_looked_at_late() -> None:
    assert ConnectionTracker(10, 10, [300]).time_out_idle(0) == 300


async def test_fault_66_at_the_limit_the_stranger_that_is_idle_longest_makes_way() -> None:
    tracker = ConnectionTracker(3, 3)
    first, second, third, fourth = (Idler() for _ in range(4))
    entered(tracker, first, second, third)
    second.has_logged_in = True
    tracker.touch(second, 1)
    tracker.touch(first, 2)
    assert tracker.make_room(THERE)
    assert third.made_way
    entered(tracker, fourth, place=THERE)
    assert tracker.make_room(THERE)
    assert first.made_way
    entered(tracker, Idler())
    assert not second.made_way


async def test_fault_66_who_has_logged_in_keeps_the_place() -> None:
    tracker, members = ConnectionTracker(2, 2), (Idler(), Idler())
    entered(tracker, *members)
    for member in members:
        member.has_logged_in = True
        tracker.touch(member, 1)
    assert not tracker.make_room(THERE)
    tracker.remove(members[0])
    assert tracker.make_room(THERE)


async def test_fault_66_one_place_takes_only_its_own_share() -> None:
    tracker = ConnectionTracker(4, 2)
    first, second, other = Idler(), Idler(), Idler()
    entered(tracker, other, place=THERE)
    entered(tracker, first, second)
    assert tracker.make_room(HERE)
    assert (first.made_way, second.made_way, other.made_way) == (True, False, False)
    second.has_logged_in = True
    third = Idler()
    third.has_logged_in = True
    entered(tracker, third)
    tracker.touch(second, 1)
    tracker.touch(third, 1)
    assert not tracker.make_room(HERE)
    assert tracker.make_room(THERE)


async def test_fault_66_those_at_work_are_passed_over_and_hide_nobody() -> None:
    tracker = ConnectionTracker(EXAMINED_MAX + 1, EXAMINED_MAX + 1)
    busy = [Idler() for _ in range(EXAMINED_MAX)]
    for member in busy:
        member.busy = True
    idle = Idler()
    entered(tracker, *busy, idle)
    assert not tracker.make_room(HERE), "only so many are looked at"
    assert tracker.make_room(HERE), "and each time others"
    assert idle.made_way
    assert not any(member.made_way for member in busy)


async def test_emptied_waits_for_the_last_one() -> None:
    tracker, member = ConnectionTracker(2, 2, [300]), Idler()
    await tracker.emptied()
    entered(tracker, member, limit_s=300)
    waiting = asyncio.ensure_future(tracker.emptied())
    await asyncio.sleep(0)
    assert not waiting.done()
    tracker.remove(member)
    tracker.remove(member)
    tracker.touch(member, 1)
    await waiting
    assert len(tracker) == 0
