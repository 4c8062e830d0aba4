"""A reader's snapshots on PostgreSQL: few round trips, one moment, and nothing is left open."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from sqlalchemy import text

from drink_frontend.domain.errors import DrinkError, DropNotFoundError, StorageUnavailableError
from drink_frontend.storage.database import Database
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.statements import Statement
from drink_frontend.storage.transaction import Transaction
from tests.support.books import fund, open_house
from tests.support.gates import Gate, held
from tests.support.ids import ALICE
from tests.support.postgres import execute, fresh_postgres, open_transactions

LIMIT_MS = 300
"""Milliseconds after which the server ends a statement of these readers."""


@pytest.fixture
def settings() -> StorageSettings:
    return fresh_postgres(
        readers=1,
        reader_look_ms=60_000,
        read_limit_ms=LIMIT_MS,
        reconnect_ms=10,
        reconnect_max_ms=50,
    )


@pytest.fixture
async def house(settings: StorageSettings) -> AsyncIterator[Database]:
    async with open_house(settings) as storage:
        yield storage


def asked(tx: Transaction, sql: str) -> Any:
    ((found,),) = tx.accounts._executor.all(Statement(text(sql)))
    return found


def credits_of_alice(tx: Transaction) -> int:
    return int(asked(tx, f"SELECT credits_posted FROM accounts WHERE id = '{ALICE}'"))


class Plan:
    """A query whose kind stays the same, whatever it does."""

    def __init__(self, storage: Database) -> None:
        self._storage = storage
        self.steps: list[Callable[[Transaction], Any]] = []

    def _query(self, tx: Transaction) -> list[Any]:
        return [step(tx) for step in self.steps]

    async def read(self, *steps: Callable[[Transaction], Any]) -> list[Any]:
        self.steps = list(steps)
        return await self._storage.read(self._query)

    async def round_trips(self, *steps: Callable[[Transaction], Any]) -> int:
        before = self._storage.round_trips["read"]
        await self.read(*steps)
        return self._storage.round_trips["read"] - before


@pytest.fixture
def plan(house: Database) -> Plan:
    return Plan(house)


async def test_the_end_travels_with_the_last_statement_of_what_was_asked_before(
    plan: Plan,
) -> None:
    look = credits_of_alice
    # The end alone.
    assert await plan.round_trips(look) == 2
    assert await plan.round_trips(look) == 1
    # The statement, and then all of them in another snapshot, whose end is alone.
    assert await plan.round_trips(look, look, look) == 1 + 3 + 1
    assert await plan.round_trips(look, look, look) == 3
    # Fewer than foreseen.
    assert await plan.round_trips(look) == 2
    assert await plan.round_trips() == 0


async def test_queries_that_wait_at_the_same_time_share_a_snapshot(house: Database) -> None:
    for _ in range(2):
        async with held(house.read):
            before = house.round_trips["read"]
            several = [asyncio.create_task(house.read(credits_of_alice)) for _ in range(3)]
            await asyncio.sleep(0)
        assert await asyncio.gather(*several) == [1_000] * 3
    assert house.round_trips["read"] - before == 3


async def test_a_query_that_goes_on_is_carried_out_again_and_sees_one_moment(
    house: Database, plan: Plan
) -> None:
    await plan.read(credits_of_alice)
    with Gate() as gate:
        query = asyncio.create_task(
            plan.read(credits_of_alice, gate.stand, credits_of_alice, credits_of_alice)
        )
        await gate.reached()
        await house.write(lambda tx: fund(tx, ALICE, 1, "gift"))
        gate.open()
        first, _, second, third = await query
    assert first == second == third == 1_001


def refuse(_: Transaction) -> None:
    raise DropNotFoundError("none")


def fail(_: Transaction) -> None:
    raise ZeroDivisionError


def mistake(tx: Transaction) -> None:
    asked(tx, "SELECT 1 / 0")


def change(tx: Transaction) -> None:
    tx.accounts._executor.run(Statement(text("UPDATE accounts SET created_ms = 1")))


def sleep(tx: Transaction) -> None:
    asked(tx, f"SELECT 1 FROM pg_sleep({10 * LIMIT_MS / 1000})")


@pytest.mark.parametrize("learned", [0, 1, 2], ids=["new", "ends before", "ends with it"])
@pytest.mark.parametrize("before", [0, 1], ids=["first", "second"])
@pytest.mark.parametrize(
    ("step", "error"),
    [
        (refuse, DropNotFoundError),
        (fail, ZeroDivisionError),
        (mistake, Exception),
        (change, Exception),
        (sleep, StorageUnavailableError),
    ],
)
async def test_no_transaction_is_left_open_by_an_error(
    plan: Plan,
    settings: StorageSettings,
    step: Callable[[Transaction], Any],
    error: type[Exception],
    before: int,
    learned: int,
) -> None:
    look = credits_of_alice
    if learned:
        await plan.read(*[look] * (before + learned - 1))
    with pytest.raises(error) as raised:
        await plan.read(*[look] * before, step)
    assert isinstance(raised.value, DrinkError) is (step in {refuse, sleep})
    assert open_transactions(settings) == 0
    assert await plan.read(look, look) == [1_000] * 2
    assert execute(settings, "SELECT count(*) FROM accounts WHERE created_ms = 1") == [(0,)]


async def test_no_transaction_is_left_open_by_callers_that_have_gone(
    house: Database, plan: Plan, settings: StorageSettings
) -> None:
    await plan.read(credits_of_alice)
    with Gate() as gate:
        first = asyncio.create_task(Plan(house).read(credits_of_alice, gate.stand))
        await gate.reached()
        last = asyncio.create_task(plan.read(credits_of_alice))
        await asyncio.sleep(0)
        for task in (first, last):
            task.cancel()
        await asyncio.gather(first, last, return_exceptions=True)
        gate.open()
    # The reader is behind them.
    assert await plan.read() == []
    assert open_transactions(settings) == 0
    assert await plan.read(credits_of_alice) == [1_000]


END = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
"""Ends all sessions but its own."""


@pytest.mark.parametrize("learned", [0, 1, 2])
async def test_a_session_that_ended_while_idle_costs_nobody_an_error_and_one_in_mid_query_one(
    plan: Plan, settings: StorageSettings, learned: int
) -> None:
    look = credits_of_alice
    await plan.read(*[look] * max(learned, 1))
    assert execute(settings, END)
    assert await plan.read(*[look] * learned) == [1_000] * learned

    def end(_: Transaction) -> None:
        execute(settings, END)

    with pytest.raises(StorageUnavailableError):
        await plan.read(look, look, end, look)
    assert await plan.read(look) == [1_000]
    assert open_transactions(settings) == 0
