import asyncio
from itertools import pairwise

from drink_frontend.sessions.turns import Turns


async def test_one_goes_on_in_each_round_in_the_order_of_asking() -> None:
    turns = Turns(0)
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
    turns = Turns(0)
    gone, stays = turns.next(), turns.next()
    gone.cancel()
    async with asyncio.timeout(5):
        await stays
        await turns.next()


async def test_turns_are_a_pause_apart_also_for_one_who_asks_again_and_again() -> None:
    loop = asyncio.get_running_loop()
    turns = Turns(0.02)
    times = []
    for _ in range(4):
        await turns.next()
        times.append(loop.time())
    # The loop's clock may be a tick early.
    assert all(later - earlier > 0.019 for earlier, later in pairwise(times))
