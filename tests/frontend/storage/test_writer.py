"""The writer when the disk or the database fails it."""

import asyncio
import contextlib
import resource
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drink_frontend.domain.entities import AuditKind, AuditRecord, Machine, Reach
from drink_frontend.domain.errors import SlotEmptyError, StorageUnavailableError
from drink_frontend.storage.database import Database
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.transaction import Transaction
from tests.fakes.engines import FlakyEngine, driver_error
from tests.support.books import NOW, alices, found, fund, open_house
from tests.support.databases import fresh_sqlite
from tests.support.gates import LIMIT_S, held
from tests.support.ids import ALICE

Unit = Callable[[Transaction], object]


@pytest.fixture
def settings(tmp_path: Path) -> StorageSettings:
    return fresh_sqlite(tmp_path, look_elsewhere_ms=20)


@pytest.fixture
def engine(settings: StorageSettings) -> FlakyEngine:
    return FlakyEngine(settings)


@pytest.fixture
async def database(engine: FlakyEngine, settings: StorageSettings) -> AsyncIterator[Database]:
    async with Database(engine, settings) as database:
        await database.write(found)
        yield database


async def machine_d(database: Database) -> Machine:
    machine = await database.read(lambda tx: tx.machines.get("d"))
    assert machine is not None
    return machine


def gift(tx: Transaction) -> None:
    fund(tx, ALICE, 1, "gift")


def refuse(_: Transaction) -> None:
    raise SlotEmptyError("empty")


def change_and_refuse(tx: Transaction) -> None:
    fund(tx, ALICE, 7, "half")
    raise SlotEmptyError("empty")


def open_link_and_refuse(tx: Transaction) -> None:
    """Its one statement gives back a row, as a query does."""
    tx.machines.open_link("d", "journal", 0, "me", Reach.READY, now_ms=NOW)
    raise SlotEmptyError("empty")


async def batch(database: Database, *units: Unit, before: Unit = lambda _: None) -> list[object]:
    """Has units carried out in one batch, `before` in the batch before it; what each came to."""

    async def stand(unit: Unit) -> None:
        await database.write(lambda tx: (unit(tx), before(tx)))

    async with held(stand):
        tasks = [asyncio.create_task(database.write(unit)) for unit in units]
        await asyncio.sleep(0)
    await asyncio.wait(tasks)
    return [task.exception() or task.result() for task in tasks]


def kinds(results: list[object]) -> list[str]:
    return [type(result).__name__ for result in results]


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("begin", sqlite3.SQLITE_BUSY),
        ("changed_elsewhere", sqlite3.SQLITE_NOMEM),
        ("commit", sqlite3.SQLITE_BUSY),
        ("commit", sqlite3.SQLITE_FULL),
    ],
)
async def test_fault_38_a_failed_commit_refuses_its_whole_batch_and_the_next_succeeds(
    database: Database, engine: FlakyEngine, call: str, code: int
) -> None:
    def fail(_: Transaction) -> None:
        engine.failures[call] = driver_error(code)

    before = database.stats.commits
    # The unit that only refuses gets no better answer: it may have seen the other one's work.
    if call == "commit":
        results = await batch(database, gift, refuse, fail)
    else:
        results = await batch(database, gift, refuse, before=fail)
    assert set(kinds(results)) == {"StorageUnavailableError"}
    assert await alices(database) == 1_000
    await database.write(gift)
    assert await alices(database) == 1_001
    assert (database.stats.commits, database.stats.failed_commits) == (before + 2, 1)


@pytest.mark.parametrize(
    "failures",
    [
        {"commit": sqlite3.SQLITE_IOERR_FSYNC},
        {"commit": sqlite3.SQLITE_IOERR_WRITE},
        {"commit": sqlite3.SQLITE_CORRUPT},
        {"commit": sqlite3.SQLITE_BUSY, "rollback": sqlite3.SQLITE_IOERR},
        {"rollback": sqlite3.SQLITE_IOERR},
    ],
)
async def test_fault_32_after_a_failed_sync_nothing_is_written_any_more(
    database: Database, engine: FlakyEngine, failures: dict[str, int]
) -> None:
    def fail(_: Transaction) -> None:
        for call, code in failures.items():
            engine.failures[call] = driver_error(code)

    results = await batch(database, gift, fail, open_link_and_refuse)
    assert kinds(results) == ["StorageUnavailableError"] * 3
    async with asyncio.timeout(LIMIT_S):
        error = await database.failure()
    assert isinstance(error, sqlite3.OperationalError)
    with pytest.raises(StorageUnavailableError):
        await database.write(gift)
    # What was committed before can still be read.
    assert await alices(database) == 1_000


@pytest.mark.parametrize("dirty", [change_and_refuse, open_link_and_refuse])
async def test_a_unit_that_refuses_after_a_change_is_undone_alone(
    database: Database, dirty: Unit
) -> None:
    before, machine = database.stats.units, await machine_d(database)
    results = await batch(database, gift, dirty, refuse, lambda _: 42)
    assert kinds(results) == ["NoneType", "SlotEmptyError", "SlotEmptyError", "int"]
    assert await alices(database) == 1_001
    assert await machine_d(database) == machine
    assert database.stats.units == before + 5
    assert database.stats.failed_commits == 0


async def test_fault_32_an_io_error_inside_a_unit_stops_the_writer_too(
    database: Database,
) -> None:
    def fail(_: Transaction) -> None:
        raise driver_error(sqlite3.SQLITE_IOERR_READ)

    assert kinds(await batch(database, gift, fail)) == ["StorageUnavailableError"] * 2
    async with asyncio.timeout(LIMIT_S):
        await database.failure()


async def test_a_failure_while_nothing_is_written_is_noticed(
    database: Database, engine: FlakyEngine
) -> None:
    engine.failures["changed_elsewhere"] = driver_error(sqlite3.SQLITE_IOERR_READ)
    async with asyncio.timeout(LIMIT_S):
        await database.failure()
    with pytest.raises(StorageUnavailableError):
        await database.write(gift)


async def test_a_unit_that_the_database_cannot_serve_now_is_refused_alone(
    database: Database,
) -> None:
    def fail(tx: Transaction) -> None:
        fund(tx, ALICE, 7, "half")
        raise driver_error(sqlite3.SQLITE_NOMEM)

    results = await batch(database, gift, fail, lambda _: 42)
    assert kinds(results) == ["NoneType", "StorageUnavailableError", "int"]
    assert await alices(database) == 1_001


def _fill(tx: Transaction) -> None:
    for _ in range(20):
        facts = {"text": "x" * 4_000}
        tx.audit.add(AuditRecord(AuditKind.NOTE, NOW, "root", facts=facts))


async def test_fault_35_a_full_disk_refuses_writes_until_there_is_room(
    settings: StorageSettings,
) -> None:
    async with open_house(settings) as storage:
        driver = storage._writer._connection._driver  # type: ignore[attr-defined]

        def pages(limit: int) -> None:
            driver.execute(f"PRAGMA max_page_count = {limit}").fetchone()

        await storage.write(lambda _: pages(200))
        kept = 0
        with contextlib.suppress(StorageUnavailableError):
            for _ in range(100):
                await storage.write(_fill)
                kept += 20
        assert 0 < kept < 2_000
        results = await batch(storage, gift, _fill, lambda _: 42)
        assert kinds(results) == ["NoneType", "StorageUnavailableError", "int"]
        await storage.write(lambda _: pages(100_000))
        await storage.write(_fill)
        records = await storage.read(lambda tx: tx.audit.list(kinds=[AuditKind.NOTE], limit=9_999))
        assert len(records) == kept + 20
        assert await alices(storage) == 1_001
        assert await storage.verify() == []


@contextmanager
def _files_at_most(size: int) -> Iterator[None]:
    """Writes that would make a file larger fail, as on a disk that breaks."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_fault_35_a_write_that_fails_for_real_stops_the_writer_and_loses_nothing(
    settings: StorageSettings,
) -> None:
    async with open_house(settings) as storage:
        await storage.write(gift)
        journal = settings.path.with_name("drink.db-wal").stat().st_size
        with _files_at_most(journal + 10_000):
            assert kinds(await batch(storage, _fill, refuse)) == ["StorageUnavailableError"] * 2
        async with asyncio.timeout(LIMIT_S):
            error = await storage.failure()
        assert getattr(error, "sqlite_errorname", "") == "SQLITE_IOERR_WRITE"
        with pytest.raises(StorageUnavailableError):
            await storage.write(_fill)
    async with Database.open(settings) as storage:
        assert await alices(storage) == 1_001
        assert await storage.read(lambda tx: tx.audit.list(kinds=[AuditKind.NOTE], limit=9)) == []
        await storage.write(_fill)
        assert await storage.verify() == []
