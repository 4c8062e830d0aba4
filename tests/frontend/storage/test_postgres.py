"""The storage on PostgreSQL, beside others on the same database."""

import asyncio
import time

import pytest

from drink_frontend.domain.drop import Cause, State
from drink_frontend.storage.changes import ElsewhereSubscription, Subscription
from drink_frontend.storage.database import Database
from drink_frontend.storage.opening import open_storage
from tests.fakes.books import add_machine, advance, drop, found, fund, reserve
from tests.fakes.postgres import fresh_postgres

LIMIT_S = 20


async def test_others_hear_of_a_commit_at_once_and_only_who_waits_for_it() -> None:
    base = fresh_postgres(look_elsewhere_ms=60_000)
    async with open_storage(base) as one, open_storage(base) as other:
        await one.write(found)
        await one.write(lambda tx: add_machine(tx, "s"))
        changes = other.changes
        with changes.drop(drop(1).id) as first, changes.drop(drop(2).id) as second:
            await one.write(lambda tx: reserve(tx, drop(1)))
            await one.write(lambda tx: reserve(tx, drop(2)))
            await _woken(second)
            await _woken(first)
            with changes.elsewhere() as elsewhere, changes.machine("s") as machine:
                delays = [
                    await _delay(one, first, target, cause)
                    for target, cause in (
                        (State.DISPATCHED, Cause.NONE),
                        (State.RESERVED, Cause.NOT_RECEIVED),
                        (State.DISPATCHED, Cause.NONE),
                        (State.DISPENSED, Cause.BOARD_ACK),
                    )
                ]
                machines = await _woken(elsewhere)
                assert machines == ["d"]
                for concerned_by_nothing in (second, machine):
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(0):
                            await concerned_by_nothing.changed()
        # Looking would take a minute; a notice takes a millisecond or so, on a machine at rest.
        assert min(delays) < 0.5


async def _delay(storage: Database, hears: Subscription, target: State, cause: Cause) -> float:
    """Seconds from a commit of drop 1's move to when it is heard of."""
    await storage.write(lambda tx: advance(tx, drop(1).id, target, cause))
    began = time.monotonic()
    await _woken(hears)
    return time.monotonic() - began


async def _woken(subscription: Subscription | ElsewhereSubscription) -> object:
    async with asyncio.timeout(LIMIT_S):
        return await subscription.changed()


async def test_two_that_write_at_the_same_time_lose_nothing_and_repeat_nothing() -> None:
    """Invariant 1: what both do is the sum of what each does."""
    base = fresh_postgres()
    async with open_storage(base) as one, open_storage(base) as other:
        await one.write(found)

        def gift(number: int) -> object:
            return lambda tx: fund(tx, "alice", 1, f"gift {number}")

        await asyncio.gather(
            *((one, other)[number % 2].write(gift(number)) for number in range(200))  # type: ignore[arg-type]
        )
        alice = await one.read(lambda tx: tx.accounts.get("alice"))
        assert alice is not None
        assert alice.posted == 1_200
        assert (one.stats.retries, other.stats.retries) == (0, 0)
        assert await other.verify() == []
