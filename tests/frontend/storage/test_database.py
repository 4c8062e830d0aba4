"""The database as a whole: opened by its settings, killed, shared with other processes."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import AuditKind
from drink_frontend.domain.errors import AlreadyExistsError, StorageUnavailableError
from drink_frontend.storage.changes import ElsewhereSubscription, Subscription
from drink_frontend.storage.database import Database
from drink_frontend.storage.engine import DatabaseLockedError, SchemaError, StorageError
from drink_frontend.storage.postgres_engine import PostgresEngine
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.sqlite_engine import SqliteEngine
from drink_frontend.storage.transaction import Transaction
from tests.support.books import (
    add_account,
    add_machine,
    adjust,
    advance,
    drop,
    found,
    fund,
    load,
    open_house,
    reserve,
)
from tests.support.databases import fresh_sqlite
from tests.support.ids import ALICE, id_of
from tests.support.postgres import fresh_postgres


async def test_without_an_address_it_is_sqlite(tmp_path: Path) -> None:
    async with Database.open(fresh_sqlite(tmp_path)) as storage:
        assert isinstance(storage._engine, SqliteEngine)


async def test_with_an_address_it_is_postgresql() -> None:
    async with Database.open(fresh_postgres()) as storage:
        assert isinstance(storage._engine, PostgresEngine)


async def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StorageError, match=r"install drink-frontend\[postgres\]"):
        Database.open(StorageSettings(url="postgresql://127.0.0.1/drink"))


ROOT = Path(__file__).parents[3]
CHILD = Path(__file__).with_name("writing_child.py")


def _write_and_kill(settings: StorageSettings, start: int, acknowledged: int) -> set[int]:
    """Has a process write, kills it after some acknowledgements, and gives all it made."""
    with subprocess.Popen(
        [sys.executable, str(CHILD), str(settings.path), str(start)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(acknowledged)]
        child.kill()
        lines += child.stdout.read().splitlines(keepends=True)
    return {int(line) for line in lines if line.endswith(b"\n")}


async def test_fault_24_kill_9_in_the_middle_of_writes_keeps_what_was_acknowledged(
    tmp_path: Path,
) -> None:
    settings = fresh_sqlite(tmp_path)
    async with open_house(settings):
        pass
    acknowledged: set[int] = set()
    for life, acknowledgements in enumerate((1, 50, 300)):
        acknowledged |= _write_and_kill(settings, life * 1_000_000, acknowledgements)
        async with Database.open(settings) as storage:

            def kept(tx: Transaction) -> tuple[set[int], set[int], int]:
                notes = tx.audit.list(kinds=[AuditKind.NOTE], limit=100_000)
                entries = tx.ledger.entries(ALICE, None, 100_000)
                alice = tx.accounts.get(ALICE)
                assert alice is not None
                return (
                    {record.facts["number"] for record in notes},
                    {int(entry.transfer_id.removeprefix("move-")) for entry in entries[:-1]},
                    alice.posted,
                )

            notes, gifts, credits_owned = await storage.read(kept)
            assert notes == gifts
            assert acknowledged <= gifts
            # What was under way when the process died may be there, and no more than that.
            assert len(gifts - acknowledged) <= 8 * (life + 1)
            assert credits_owned == 1_000 + len(gifts)
            assert await storage.verify() == []


async def test_the_books_verify_while_they_are_written(tmp_path: Path) -> None:
    async with open_house(fresh_sqlite(tmp_path)) as storage:
        await storage.write(lambda tx: reserve(tx, drop(1)))
        assert await storage.verify() == []
        await storage.write(lambda tx: adjust(tx, "d", 2, 4))
        (problem,) = await storage.verify()
        assert problem.startswith("10: slot d/2 says 9 loaded")
        await storage.write(lambda tx: load(tx, "d", 2, 5))
        (problem,) = await storage.verify()
        assert problem.startswith("10: slot d/2 says 5 loaded, its records add up to 1")


async def test_fault_31_a_second_frontend_is_refused_and_a_command_is_not(tmp_path: Path) -> None:
    settings = fresh_sqlite(tmp_path)
    async with Database.open(settings) as frontend:
        with pytest.raises(DatabaseLockedError):
            Database.open(settings)
        async with Database.open(settings, beside=True) as command:
            await command.write(lambda tx: add_account(tx, "zoe"))
            with pytest.raises(AlreadyExistsError):
                await frontend.write(lambda tx: add_account(tx, "zoe"))
    async with Database.open(settings) as frontend:
        assert await frontend.read(lambda tx: tx.accounts.get(id_of("zoe")))


async def test_fault_38_while_another_process_holds_the_database_writes_are_refused(
    tmp_path: Path,
) -> None:
    settings = fresh_sqlite(tmp_path, busy_timeout_ms=50)
    async with open_house(settings) as storage:
        with closing(sqlite3.connect(settings.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageUnavailableError):
                await storage.write(lambda tx: reserve(tx, drop(1)))
            assert await storage.read(lambda tx: tx.drops.get(drop(1).id)) is None
            other.execute("ROLLBACK")
        await storage.write(lambda tx: reserve(tx, drop(1)))
        assert await storage.verify() == []


async def test_what_cannot_be_opened_is_not_kept_locked(tmp_path: Path) -> None:
    settings = StorageSettings(path=tmp_path / "drink.db")
    with pytest.raises(SchemaError):
        Database.open(settings)
    async with Database.open(fresh_sqlite(tmp_path)):
        pass


def test_a_closed_database_is_one_file_which_may_be_copied(tmp_path: Path) -> None:
    async def use() -> None:
        async with open_house(fresh_sqlite(tmp_path)) as storage:
            await storage.read(lambda tx: tx.machines.list())

    asyncio.run(use())
    assert {path.name for path in tmp_path.iterdir()} == {"drink.db", "drink.db.lock"}


LIMIT_S = 20


async def test_others_hear_of_a_commit_at_once_and_only_who_waits_for_it() -> None:
    base = fresh_postgres(look_elsewhere_ms=60_000)
    async with Database.open(base) as one, Database.open(base) as other:
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
    async with Database.open(base) as one, Database.open(base) as other:
        await one.write(found)

        def gift(number: int) -> object:
            return lambda tx: fund(tx, ALICE, 1, f"gift {number}")

        await asyncio.gather(
            *((one, other)[number % 2].write(gift(number)) for number in range(200))  # type: ignore[arg-type]
        )
        alice = await one.read(lambda tx: tx.accounts.get(ALICE))
        assert alice is not None
        assert alice.posted == 1_200
        assert (one.stats.retries, other.stats.retries) == (0, 0)
        assert await other.verify() == []
