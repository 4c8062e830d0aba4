"""What an agent says while the database is away for a moment."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence

import pytest
from structlog.testing import capture_logs

from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import Reach
from drink_frontend.domain.errors import (
    LinkProtocolError,
    OutcomeUnknownError,
    StorageUnavailableError,
)
from drink_frontend.links.facts import Fact, Facts, RetryDelays
from drink_frontend.links.messages import Dispense, NotReceived, ResultAck
from drink_frontend.links.settings import LinkSettings
from drink_frontend.usecases.links import LinkStatus
from tests.fakes.agent import LIMIT_S, dispensed
from tests.frontend.links.rig import Rig
from tests.support.bench import Bench

SETTINGS = LinkSettings(retry_first_s=0.001, retry_interval_s=0.01, facts_kept_max=3)


class Book:
    """Stores facts while it is there."""

    def __init__(self) -> None:
        self.away = False
        self.error: Exception = StorageUnavailableError("the database does not answer")
        self.stored: list[Fact] = []
        self.kept: list[Fact] = []
        self.facts = Facts(self.store, self.kept.append, SETTINGS)

    async def store(self, fact: Fact) -> None:
        if self.away:
            raise self.error
        self.stored.append(fact)

    async def until_stored(self, *facts: Fact) -> None:
        async with asyncio.timeout(LIMIT_S):
            while self.stored != list(facts):  # noqa: ASYNC110 - the book tells nobody
                await asyncio.sleep(0.001)


@pytest.fixture
async def book() -> AsyncGenerator[Book, None]:
    book = Book()
    running = asyncio.create_task(book.facts.run())
    yield book
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_fault_69_what_cannot_be_stored_is_kept_in_its_order(book: Book) -> None:
    first, second, third = dispensed("D1"), NotReceived("D2"), dispensed("D1", revision=2)
    book.away = True
    for fact in (first, second, first, third, second):
        await book.facts.take(fact)
    assert book.kept == [first, second, third]
    book.away = False
    await book.until_stored(first, second, third)
    last = dispensed("D3")
    await book.facts.take(last)
    await book.until_stored(first, second, third, last)


async def test_fault_69_no_more_is_kept_than_the_limit(book: Book) -> None:
    """Invariant 25: at the bound the link ends, and its agent says it again."""
    book.away = True
    for number in range(SETTINGS.facts_kept_max):
        await book.facts.take(NotReceived(f"D{number}"))
    with pytest.raises(StorageUnavailableError):
        await book.facts.take(NotReceived("D9"))


@pytest.mark.parametrize(
    "error", [OutcomeUnknownError("nobody knows"), LinkProtocolError("not a drop of this machine")]
)
async def test_what_may_have_been_stored_or_never_can_be_is_not_kept(error: Exception) -> None:
    book = Book()
    book.away, book.error = True, error
    with pytest.raises(type(error)):
        await book.facts.take(dispensed("D1"))
    assert book.kept == []


def test_pauses_grow_to_the_longest() -> None:
    delays = RetryDelays(LinkSettings(retry_first_s=0.5, retry_interval_s=1.5))
    assert [delays.next_s() for _ in range(4)] == [0.5, 1, 1.5, 1.5]


async def test_fault_69_a_result_is_settled_when_the_database_is_back(bench: Bench) -> None:
    """Invariant 15, 18: the agent says it once; the acknowledgement comes when it is durable."""
    rig = Rig(bench, LinkSettings())
    first, second = await rig.place(1), await rig.place(2)
    agent = await rig.connect()
    assert (await agent.hears(Dispense)).drop_id == first.id

    rig.set_available(False)
    with capture_logs() as logs:
        agent.say(dispensed(first.id))
        await _until_logged(logs, "result_postponed")
    assert await rig.state(first) is State.DISPATCHED
    assert not agent.heard_more()
    began = time.monotonic()
    asyncio.get_running_loop().call_later(0.2, rig.set_available, True)
    assert await agent.hears(ResultAck) == ResultAck(first.id, 1)
    print(f"an outage of 0.2 s delayed the result by {time.monotonic() - began:.2f} s")
    assert await rig.state(first) is State.DISPENSED
    assert (await agent.hears(Dispense)).drop_id == second.id
    assert rig.links.status("d") == LinkStatus(2, Reach.READY)
    await agent.vanish()


async def _until_logged(logs: Sequence[Mapping[str, object]], event: str) -> None:
    async with asyncio.timeout(LIMIT_S):
        while all(entry["event"] != event for entry in logs):  # noqa: ASYNC110 - a plain list
            await asyncio.sleep(0.001)
