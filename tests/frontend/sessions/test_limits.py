import asyncio
from itertools import pairwise

import structlog

from drink_frontend.sessions.limits import WAITING_LOGGED, BufferLimit, TurnQueue
from tests.frontend.sessions.test_connection_tracker import Idler


def hold(buffers: BufferLimit, idler: Idler, size: int) -> None:
    idler.buffered_bytes = size
    buffers.update(idler, size)


def test_fault_67_past_the_limit_strangers_that_hold_most_are_cut_off() -> None:
    buffers = BufferLimit(100)
    user, small, large, larger = Idler(has_logged_in=True), Idler(), Idler(), Idler()
    for idler, size in ((user, 40), (small, 10), (large, 20), (larger, 30)):
        hold(buffers, idler, size)
    assert not any(each.was_cut_off for each in (user, small, large, larger)), "exactly the limit"
    hold(buffers, small, 11)
    expected = (False, False, False, True)
    assert (user.was_cut_off, small.was_cut_off, large.was_cut_off, larger.was_cut_off) == expected


def test_fault_67_users_are_cut_off_when_no_stranger_is_left() -> None:
    buffers = BufferLimit(100)
    stranger, user, other = Idler(), Idler(has_logged_in=True), Idler(has_logged_in=True)
    hold(buffers, stranger, 10)
    hold(buffers, other, 20)
    hold(buffers, user, 71)
    assert (stranger.was_cut_off, user.was_cut_off, other.was_cut_off) == (True, True, False)


def test_what_was_read_meanwhile_does_not_count() -> None:
    buffers = BufferLimit(100)
    readers = [Idler() for _ in range(1_000)]
    for reader in readers:
        hold(buffers, reader, 50)
        reader.buffered_bytes = 0
    assert not any(reader.was_cut_off for reader in readers)


def test_who_has_gone_holds_nothing() -> None:
    buffers = BufferLimit(100)
    first, second = Idler(), Idler()
    hold(buffers, first, 90)
    buffers.remove(first)
    buffers.remove(first)
    hold(buffers, second, 90)
    hold(buffers, second, 0)
    hold(buffers, first, 90)
    assert not first.was_cut_off
    assert not second.was_cut_off


def test_not_all_are_looked_at_each_time_at_the_limit() -> None:
    buffers = BufferLimit(1_000)
    looks = []

    class Watched(Idler):
        @property
        def buffered_bytes(self) -> int:
            looks.append(self)
            return 10

        @buffered_bytes.setter
        def buffered_bytes(self, size: int) -> None:
            pass

    for _ in range(10_000):
        buffers.update(Watched(), 10)
    assert len(looks) < 100 * 10_000 / 10


async def test_one_goes_on_in_each_round_in_the_order_of_asking() -> None:
    turns = TurnQueue(0)
    rounds = 0
    went: list[tuple[str, int]] = []

    async def work(name: str) -> None:
        for _ in range(3):
            await turns.next()
            went.append((name, rounds))

    working = asyncio.gather(*(work(name) for name in "abc"))
    while not working.done():
        rounds += 1
        await asyncio.sleep(0)
    await working
    assert "".join(name for name, _ in went) == "abcabcabc"
    assert len({number for _, number in went}) == len(went), "one in each round"


async def test_who_has_gone_takes_no_turn_and_keeps_nobody() -> None:
    turns = TurnQueue(0)
    gone, stays = turns.next(), turns.next()
    gone.cancel()
    async with asyncio.timeout(20):
        await stays
        await turns.next()


async def test_turns_are_a_pause_apart_also_for_one_who_asks_again_and_again() -> None:
    loop = asyncio.get_running_loop()
    turns = TurnQueue(0.02)
    times = []
    for _ in range(4):
        await turns.next()
        times.append(loop.time())
    # The loop's clock may be a tick early.
    assert all(later - earlier > 0.019 for earlier, later in pairwise(times))


async def test_many_sessions_that_wait_for_their_turn_are_logged_once() -> None:
    turns = TurnQueue(60)
    with structlog.testing.capture_logs() as lines:
        waiting = [turns.next() for _ in range(3 * WAITING_LOGGED)]
    assert lines == [
        {"event": "sessions_waiting", "log_level": "warning", "sessions": WAITING_LOGGED}
    ]
    for turn in waiting:
        turn.cancel()
