"""The contract of `Storage.write`: whole or not at all, together, answered when durable."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from drink_frontend.domain.errors import SlotEmptyError, StorageUnavailableError
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from tests.contract.storage.conftest import OpenStorage
from tests.support.books import alices, found, fund
from tests.support.gates import Gate, held
from tests.support.ids import ALICE
from tests.support.tasks import cancel


def _give(amount: int) -> Any:
    return lambda tx: fund(tx, ALICE, amount, f"gift {amount}")


async def test_a_unit_returns_its_value_and_the_next_query_sees_its_work(
    house: Database,
) -> None:
    assert await house.write(lambda tx: (_give(1)(tx), 42)[1]) == 42
    assert await alices(house) == 1_001


@pytest.mark.parametrize("error", [SlotEmptyError("empty"), ZeroDivisionError(), KeyError("x")])
async def test_a_unit_that_raises_is_undone_whole(house: Database, error: Exception) -> None:
    def unit(tx: Transaction) -> None:
        fund(tx, ALICE, 1, "gift")
        raise error

    with pytest.raises(type(error)):
        await house.write(unit)
    assert await alices(house) == 1_000
    await house.write(_give(2))
    assert await alices(house) == 1_002


async def test_an_error_that_a_future_cannot_hold_still_reaches_the_caller(
    storage: Database,
) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await storage.write(lambda _: next(iter(())))


async def test_units_that_wait_at_the_same_time_share_one_commit(house: Database) -> None:
    before = house.stats.commits, house.stats.units
    async with held(house.write):
        others = [asyncio.create_task(house.write(_give(1 << n))) for n in range(15)]
        await asyncio.sleep(0)
    await asyncio.gather(*others)
    assert await alices(house) == 1_000 + 2**15 - 1
    assert (house.stats.commits, house.stats.units) == (before[0] + 2, before[1] + 16)


async def test_a_batch_is_bounded(open_storage: OpenStorage) -> None:
    async with open_storage(write_batch_max=4) as storage:
        await storage.write(found)
        before = storage.stats.commits
        async with held(storage.write):
            others = [asyncio.create_task(storage.write(_give(1 << n))) for n in range(9)]
            await asyncio.sleep(0)
        await asyncio.gather(*others)
        assert storage.stats.commits == before + 1 + 3


async def test_a_bad_unit_in_a_batch_spoils_no_other(house: Database, engine: str) -> None:
    def bad(tx: Transaction) -> None:
        fund(tx, ALICE, 4, "gift 4")
        raise SlotEmptyError("empty")

    def breaks_a_constraint(tx: Transaction) -> None:
        fund(tx, ALICE, 8, "gift 8")
        fund(tx, "nobody", 8, "another")

    before = house.stats.commits
    units = [_give(1), bad, breaks_a_constraint, _give(2)]
    async with held(house.write):
        waiting = [asyncio.create_task(house.write(unit)) for unit in units]
        await asyncio.sleep(0)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    # The unit that holds the others, the two before the bad one, and the one after it.
    assert house.stats.commits == before + 3
    assert [type(result).__name__ for result in results] == [
        "NoneType",
        "SlotEmptyError",
        {"sqlite": "IntegrityError", "postgres": "ForeignKeyViolation"}[engine],
        "NoneType",
    ]
    assert await alices(house) == 1_003


async def test_nobody_is_answered_before_the_commit(house: Database) -> None:
    with Gate() as first, Gate() as second:
        opening = asyncio.create_task(house.write(first.stand))
        await first.reached()
        gift = asyncio.create_task(house.write(_give(1)))
        refusal = asyncio.create_task(house.write(lambda tx: _raise(SlotEmptyError("empty"))))
        last = asyncio.create_task(house.write(second.stand))
        await asyncio.sleep(0)
        first.open()
        await second.reached()
        # Both have been carried out by now, in a transaction that is still open.
        assert not gift.done()
        assert not refusal.done()
        assert await alices(house) == 1_000
        second.open()
        await asyncio.gather(opening, gift, last)
        with pytest.raises(SlotEmptyError):
            await refusal
    assert await alices(house) == 1_001


def _raise(error: Exception) -> None:
    raise error


async def test_fault_6_a_cancelled_caller_changes_nothing_about_its_unit(
    house: Database,
) -> None:
    with Gate() as gate:
        first = asyncio.create_task(house.write(gate.stand))
        await gate.reached()
        under_way, waiting = first, asyncio.create_task(house.write(_give(1)))
        await asyncio.sleep(0)
        under_way.cancel()
        waiting.cancel()
        await asyncio.gather(under_way, waiting, return_exceptions=True)
        assert under_way.cancelled()
        assert waiting.cancelled()
        gate.open()
    await house.write(_give(2))
    assert await alices(house) == 1_003


async def test_a_mistake_whose_caller_has_gone_is_logged(storage: Database) -> None:
    def fail(_: Transaction) -> None:
        gate.stand()
        raise ZeroDivisionError

    with Gate() as gate, capture_logs() as logs:
        task = asyncio.create_task(storage.write(fail))
        await gate.reached()
        await cancel(task)
        gate.open()
        await storage.write(lambda _: None)
    assert [entry["event"] for entry in logs] == ["storage_job_failed"]


@pytest.mark.parametrize("kind", ["write", "read"])
async def test_a_full_queue_refuses_and_recovers(open_storage: OpenStorage, kind: str) -> None:
    limits: dict[str, Any] = {"readers": 1, f"{kind}_queue_max": 2}
    async with open_storage(**limits) as storage:
        work: Any = getattr(storage, kind)
        async with held(work):
            second = asyncio.create_task(work(lambda _: 2))
            await asyncio.sleep(0)
            with pytest.raises(StorageUnavailableError):
                await work(lambda _: 3)
        assert await second == 2
        assert await work(lambda _: 4) == 4


async def test_closing_finishes_what_waits_and_refuses_what_comes(
    open_storage: OpenStorage,
) -> None:
    async with open_storage() as storage:
        await storage.write(found)
        async with held(storage.write):
            second = asyncio.create_task(storage.write(_give(1)))
            await asyncio.sleep(0)
            closing = asyncio.create_task(storage.close())
            await asyncio.sleep(0)
            with pytest.raises(StorageUnavailableError):
                await storage.write(_give(2))
        await asyncio.gather(second, closing)
        with pytest.raises(StorageUnavailableError):
            await storage.read(lambda tx: tx.accounts.get(ALICE))
    async with open_storage() as storage:
        assert await alices(storage) == 1_001
