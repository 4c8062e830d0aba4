"""What an agent says while the database is away for a moment."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence

import pytest
from structlog.testing import capture_logs

from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import Reach
from drink_frontend.domain.errors import StorageUnavailableError
from drink_frontend.links.messages import Dispense, NotReceived, ResultAck
from drink_frontend.links.reports import Report, ReportBacklog, RetryDelays
from drink_frontend.links.settings import LinkSettings
from drink_frontend.usecases.links import LinkStatus
from tests.fakes.agent import LIMIT_S, dispensed
from tests.frontend.links.rig import Rig
from tests.support.bench import Bench
from tests.support.tasks import cancel

SETTINGS = LinkSettings(retry_first_s=0.001, retry_interval_s=0.01, facts_kept_max=3)


class Book:
    """Stores reports while it is there."""

    def __init__(self) -> None:
        self.away = True
        self.stored: list[Report] = []
        self.backlog = ReportBacklog(self.store, SETTINGS)

    async def store(self, report: Report) -> bool:
        if not self.away:
            self.stored.append(report)
        return not self.away

    async def until_stored(self, *reports: Report) -> None:
        async with asyncio.timeout(LIMIT_S):
            while self.stored != list(reports):  # noqa: ASYNC110 - the book tells nobody
                await asyncio.sleep(0.001)


@pytest.fixture
async def book() -> AsyncGenerator[Book, None]:
    book = Book()
    running = asyncio.create_task(book.backlog.run())
    yield book
    await cancel(running)


async def test_fault_69_what_cannot_be_stored_is_kept_in_its_order(book: Book) -> None:
    first, second, third = dispensed("D1"), NotReceived("D2"), dispensed("D1", revision=2)
    added = [book.backlog.add(report) for report in (first, second, first, third, second)]
    assert added == [True, True, False, True, False]
    book.away = False
    await book.until_stored(first, second, third)
    last = dispensed("D3")
    assert book.backlog.add(last)
    await book.until_stored(first, second, third, last)


async def test_fault_69_no_more_is_kept_than_the_limit(book: Book) -> None:
    """Invariant 25: at the bound the link ends, and its agent says it again."""
    for number in range(SETTINGS.facts_kept_max):
        assert book.backlog.add(NotReceived(f"D{number}"))
    with pytest.raises(StorageUnavailableError):
        book.backlog.add(NotReceived("D9"))


async def test_fault_69_a_report_waits_behind_those_that_wait(bench: Bench) -> None:
    """Invariant 15: what comes while a report is kept is stored after it."""
    rig = Rig(bench, LinkSettings(retry_first_s=0.05))
    drop = await rig.dispatched()
    rig.set_available(False)
    with capture_logs() as logs:
        rig.agent.say(dispensed(drop.id))
        await _until_logged(logs, "result_postponed")
    rig.set_available(True)
    rig.agent.say(dispensed(drop.id, revision=2), dispensed(drop.id))
    acks = [await rig.agent.hears(ResultAck) for _ in range(2)]
    assert acks == [ResultAck(drop.id, 1), ResultAck(drop.id, 2)]
    await rig.agent.vanish()


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
