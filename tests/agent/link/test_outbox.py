import asyncio

from drink_agent.domain.events import BoardStatus
from drink_agent.link import convert
from drink_agent.link.outbox import Outbox


async def everything(outbox: Outbox) -> list[str | None]:
    async with asyncio.timeout(5):
        return [message.WhichOneof("message") async for message in outbox]


async def test_messages_come_out_in_order_and_the_end_after_them() -> None:
    outbox = Outbox(10)
    outbox.put(convert.not_received("a"))
    outbox.put(convert.heartbeat(1, 0))
    outbox.close()
    assert await everything(outbox) == ["not_received", "heartbeat"]


async def test_at_its_limit_it_refuses() -> None:
    outbox = Outbox(2)
    assert [outbox.put(convert.not_received(drop)) for drop in "abc"] == [True, True, False]
    outbox.close()
    assert not outbox.put(convert.goodbye())
    assert len(await everything(outbox)) == 2


async def test_of_statuses_only_the_newest_is_kept() -> None:
    outbox = Outbox(1)
    for degrees in (1.0, 2.0, 3.0):
        outbox.put_status(convert.board_status(BoardStatus(True, {}, degrees)))
    outbox.close()
    async with asyncio.timeout(5):
        (message,) = [message async for message in outbox]
    assert message.board_status.temperature_celsius == 3.0


async def test_a_reader_is_woken() -> None:
    outbox = Outbox(1)
    reading = asyncio.create_task(everything(outbox))
    await asyncio.sleep(0)
    outbox.put(convert.goodbye())
    await asyncio.sleep(0)
    outbox.close()
    assert await reading == ["goodbye"]
