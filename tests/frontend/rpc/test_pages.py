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
        async with pages.turn(account):
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
