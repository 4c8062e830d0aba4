import asyncio

from drink_frontend.links.card_reads import WAITING_MAX, CardReads
from tests.support.sessions import until


class Reader:
    """Looks cards up, each once `gate` is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.begun: list[str] = []
        self.reads = CardReads("m", self._look_up)

    async def _look_up(self, number: str) -> None:
        self.begun.append(number)
        await self.gate.wait()


async def test_cards_are_looked_up_in_order_and_no_task_remains() -> None:
    reader = Reader()
    before = asyncio.all_tasks()
    for number in "abc":
        reader.reads.add(number)
    await until(lambda: reader.begun == ["a"])
    reader.gate.set()
    await until(lambda: reader.begun == ["a", "b", "c"])
    await until(lambda: asyncio.all_tasks() == before)
    reader.reads.add("d")
    await until(lambda: reader.begun[-1] == "d")
    await until(lambda: asyncio.all_tasks() == before)


async def test_cards_above_the_limit_are_ignored() -> None:
    reader = Reader()
    reader.reads.add("first")
    await until(lambda: reader.begun == ["first"])
    for number in range(100):
        reader.reads.add(str(number))
    reader.gate.set()
    await until(lambda: len(reader.begun) == 1 + WAITING_MAX)
    reader.reads.add("last")
    await until(lambda: reader.begun[-1] == "last")
    assert reader.begun == ["first", *map(str, range(WAITING_MAX)), "last"]


async def test_nothing_is_looked_up_once_closed() -> None:
    reader = Reader()
    before = asyncio.all_tasks()
    reader.reads.add("a")
    reader.reads.add("b")
    await until(lambda: reader.begun == ["a"])
    reader.reads.close()
    await until(lambda: asyncio.all_tasks() == before)
    assert reader.begun == ["a"]
