"""SQLite's storage as a whole: what it acknowledged survives, and nothing else is there."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from drink_frontend.domain.entities import AuditKind
from drink_frontend.domain.errors import AlreadyExistsError, StorageUnavailableError
from drink_frontend.domain.ledger import AccountKind
from drink_frontend.storage.errors import DatabaseLockedError, SchemaError
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.sqlite import SqliteStorage
from drink_frontend.storage.transaction import Transaction
from tests.fakes.books import NOW, drop, found, load, reserve
from tests.fakes.databases import fresh_sqlite

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
    async with SqliteStorage.open(settings) as storage:
        await storage.write(found)
    acknowledged: set[int] = set()
    for life, acknowledgements in enumerate((1, 50, 300)):
        acknowledged |= _write_and_kill(settings, life * 1_000_000, acknowledgements)
        async with SqliteStorage.open(settings) as storage:

            def kept(tx: Transaction) -> tuple[set[int], set[int], int]:
                notes = tx.audit.list(kinds=[AuditKind.NOTE], limit=100_000)
                entries = tx.ledger.entries("alice", None, 100_000)
                alice = tx.accounts.get("alice")
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
    async with SqliteStorage.open(fresh_sqlite(tmp_path)) as storage:
        await storage.write(found)
        await storage.write(lambda tx: reserve(tx, drop(1)))
        assert await storage.verify() == []
        await storage.write(lambda tx: tx.machines.update_slot("d", 2, NOW, on_hand=9))
        (problem,) = await storage.verify()
        assert problem.startswith("10: slot d/2 says 9 loaded")
        await storage.write(lambda tx: load(tx, "d", 2, 5))
        (problem,) = await storage.verify()
        assert problem.startswith("10: slot d/2 says 5 loaded, its records add up to 1")


async def test_fault_31_a_second_frontend_is_refused_and_a_command_is_not(tmp_path: Path) -> None:
    settings = fresh_sqlite(tmp_path)
    async with SqliteStorage.open(settings) as frontend:
        with pytest.raises(DatabaseLockedError):
            SqliteStorage.open(settings)
        async with SqliteStorage.open(settings, beside=True) as command:
            await command.write(lambda tx: tx.accounts.add("zoe", AccountKind.USER, NOW))
            with pytest.raises(AlreadyExistsError):
                await frontend.write(lambda tx: tx.accounts.add("zoe", AccountKind.USER, NOW))
    async with SqliteStorage.open(settings) as frontend:
        assert await frontend.read(lambda tx: tx.accounts.get("zoe"))


async def test_fault_38_while_another_process_holds_the_database_writes_are_refused(
    tmp_path: Path,
) -> None:
    settings = fresh_sqlite(tmp_path, busy_timeout_ms=50)
    async with SqliteStorage.open(settings) as storage:
        await storage.write(found)
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
        SqliteStorage.open(settings)
    async with SqliteStorage.open(fresh_sqlite(tmp_path)):
        pass


def test_a_closed_database_is_one_file_which_may_be_copied(tmp_path: Path) -> None:
    async def use() -> None:
        async with SqliteStorage.open(fresh_sqlite(tmp_path)) as storage:
            await storage.write(found)
            await storage.read(lambda tx: tx.machines.list())

    asyncio.run(use())
    assert {path.name for path in tmp_path.iterdir()} == {"drink.db", "drink.db.lock"}
