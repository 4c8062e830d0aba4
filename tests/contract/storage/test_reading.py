"""The contract of `Storage.read`: one snapshot per query, the latest commit, no writing."""

import asyncio
from typing import Any

import pytest

from drink_frontend.domain.errors import DropNotFoundError
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from tests.contract.storage.conftest import OpenStorage
from tests.support.books import add_account, fund
from tests.support.gates import Gate, held
from tests.support.ids import ALICE
from tests.support.tasks import cancel


def _alices(tx: Transaction) -> int:
    alice = tx.accounts.get(ALICE)
    assert alice is not None
    return alice.posted


async def test_a_query_sees_one_moment_whatever_is_committed_meanwhile(
    house: Database,
) -> None:
    def twice(tx: Transaction) -> tuple[int, int]:
        before = _alices(tx)
        gate.stand()
        return before, _alices(tx)

    with Gate() as gate:
        query = asyncio.create_task(house.read(twice))
        await gate.reached()
        await house.write(lambda tx: fund(tx, ALICE, 1, "gift"))
        assert await house.read(_alices) == 1_001
        gate.open()
        assert await query == (1_000, 1_000)


async def test_a_query_sees_no_work_that_is_not_committed(house: Database) -> None:
    def unit(tx: Transaction) -> None:
        fund(tx, ALICE, 1, "gift")
        gate.stand()

    with Gate() as gate:
        writing = asyncio.create_task(house.write(unit))
        await gate.reached()
        assert await house.read(_alices) == 1_000
        gate.open()
        await writing
    assert await house.read(_alices) == 1_001


async def test_a_query_cannot_write(storage: Database) -> None:
    with pytest.raises(Exception, match=r"read-?only"):
        await storage.read(lambda tx: add_account(tx, "alice"))
    assert await storage.read(lambda tx: tx.accounts.get(ALICE)) is None


async def test_a_query_that_raises_reaches_its_caller_and_no_other(
    storage: Database,
) -> None:
    def refuse(error: Exception) -> Any:
        def query(_: Transaction) -> None:
            raise error

        return query

    with Gate() as first, Gate() as second:
        standing = []
        for gate in (first, second):
            standing.append(asyncio.create_task(storage.read(gate.stand)))
            await gate.reached()
        # Both readers stand still, so that the next three share a batch.
        together = [
            asyncio.create_task(storage.read(refuse(DropNotFoundError("none")))),
            asyncio.create_task(storage.read(refuse(ZeroDivisionError()))),
            asyncio.create_task(storage.read(lambda _: 3)),
        ]
        await asyncio.sleep(0)
        first.open()
        results = await asyncio.gather(*together, return_exceptions=True)
        second.open()
        await asyncio.gather(*standing)
    expected = ["DropNotFoundError", "ZeroDivisionError", "int"]
    assert [type(result).__name__ for result in results] == expected


async def test_one_slow_query_holds_up_neither_others_nor_writers(house: Database) -> None:
    async with held(house.read):
        for number in range(5):
            await house.write(
                lambda tx, number=number: fund(tx, ALICE, 1, f"gift {number}")  # type: ignore[misc]
            )
            assert await house.read(_alices) == 1_001 + number


async def test_a_query_whose_caller_has_gone_is_not_carried_out(
    open_storage: OpenStorage,
) -> None:
    async with open_storage(readers=1) as storage:
        carried_out: list[str] = []
        async with held(storage.read):
            gone = asyncio.create_task(storage.read(lambda _: carried_out.append("gone")))
            last = asyncio.create_task(storage.read(lambda _: carried_out.append("last")))
            await asyncio.sleep(0)
            await cancel(gone)
        await last
        assert carried_out == ["last"]
