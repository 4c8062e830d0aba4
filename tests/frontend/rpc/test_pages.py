"""Pages of lists: as many rows as fit, and a few at once."""

import asyncio

from drink.v1 import drop_service_pb2
from drink_frontend.rpc.pages import Pages
from drink_frontend.rpc.settings import ResponseSettings

LIMIT_S = 10


def row(number: int) -> drop_service_pb2.Drop:
    return drop_service_pb2.Drop(name=f"drops/{number}", item="x" * 1_000)


def test_a_page_holds_the_first_rows_that_fit() -> None:
    pages = Pages(ResponseSettings(page_bytes_max=5_000))
    messages = pages.fit(range(100), row)
    assert [message.name for message in messages] == [f"drops/{number}" for number in range(4)]
    assert sum(message.ByteSize() for message in messages) <= 5_000


def test_a_page_has_a_row_however_large_that_is() -> None:
    pages = Pages(ResponseSettings(page_bytes_max=4_096))
    large = drop_service_pb2.Drop(item="x" * 10_000)
    assert pages.fit([1, 2], lambda _: large) == [large]


def test_a_page_of_nothing_is_empty() -> None:
    assert Pages(ResponseSettings()).fit([], row) == []


async def test_one_account_waits_for_itself_and_not_another_for_it() -> None:
    pages = Pages(ResponseSettings(pages_per_account_max=1, pages_max=2))
    order: list[str] = []
    gate = asyncio.Event()

    async def build(account: str) -> None:
        async with pages.turn(account, 0):
            order.append(account)
            await gate.wait()

    builds = [asyncio.create_task(build(account)) for account in ("alice", "alice", "alice", "bob")]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert order == ["alice", "bob"]
    gate.set()
    async with asyncio.timeout(LIMIT_S):
        await asyncio.gather(*builds)
    assert order == ["alice", "bob", "alice", "alice"]


async def test_an_account_is_given_so_many_rows_a_second() -> None:
    pages = Pages(ResponseSettings(pages_per_account_max=1, rows_per_account_per_s=1_000))
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(3):
        async with pages.turn("alice", 100):
            pass
    async with pages.turn("bob", 100):
        pass
    assert loop.time() - began >= 0.2


async def test_nothing_is_kept_of_accounts_whose_turns_are_over() -> None:
    pages = Pages(ResponseSettings(pages_per_account_max=1))
    async with pages.turn("alice", 0):
        assert pages._of_account.keys() == {"alice"}
    ended = asyncio.Event()
    asyncio.get_running_loop().call_later(0, ended.set)  # After what the turn has left to do.
    await asyncio.wait_for(ended.wait(), LIMIT_S)
    assert pages._of_account == {}
