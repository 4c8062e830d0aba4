"""PostgreSQL when others are in the way, and when it is lost at the worst moments."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs

from drink_frontend.domain.errors import OutcomeUnknownError, StorageUnavailableError
from drink_frontend.storage.changes import NO_CHANGES, ChangeSet
from drink_frontend.storage.database import Database
from drink_frontend.storage.identity_map import IdentityMap
from drink_frontend.storage.needs import Needs
from drink_frontend.storage.postgres_connection import PostgresConnection, UnreachableError
from drink_frontend.storage.postgres_dial import Redial
from drink_frontend.storage.postgres_engine import PostgresEngine
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.statements import Statement
from drink_frontend.storage.tables import accounts
from drink_frontend.storage.transaction import Transaction
from scripts.proxy import FaultProxy, Way
from tests.support.books import alices, drop, found, fund, open_house, reserve
from tests.support.databases import LIMIT_S, persist
from tests.support.gates import Gate
from tests.support.ids import ALICE
from tests.support.postgres import PostgresServer, execute, fresh_postgres


@pytest.fixture
def settings() -> StorageSettings:
    return fresh_postgres(reconnect_ms=10, reconnect_max_ms=50, look_elsewhere_ms=20)


@pytest.fixture
def proxy(settings: StorageSettings) -> Iterator[FaultProxy]:
    with FaultProxy(urlsplit(settings.url or "").port or 5432) as proxy:
        yield proxy


@pytest.fixture
async def behind(settings: StorageSettings, proxy: FaultProxy) -> AsyncIterator[Database]:
    """A storage that reaches its server through the proxy."""
    async with open_house(through(settings, proxy, doubt_limit_ms=20_000)) as storage:
        yield storage


def through(settings: StorageSettings, proxy: FaultProxy, **changes: Any) -> StorageSettings:
    parts = urlsplit(settings.url or "")
    host = parts.netloc.rpartition(":")[0]
    url = parts._replace(netloc=f"{host}:{proxy.port}").geturl()
    return settings.model_copy(update={"url": url, **changes})


COUNT = Statement(select(func.count()).select_from(accounts))

MEDDLE = "UPDATE accounts SET created_ms = created_ms + 1 WHERE name = 'alice'"


def test_round_trips_are_counted_across_lost_connections(settings: StorageSettings) -> None:
    engine = PostgresEngine(settings, serves=False)
    writer, reader = engine.connect(read_only=False), engine.connect(read_only=True)
    with closing(writer), closing(reader):
        writer.begin()
        writer.executor.all(COUNT)
        writer.commit()
        # The turn, the query, and the pipeline of the batch's number and COMMIT.
        assert engine.round_trips == {"write": 3, "read": 0}
        reader.begin()
        assert engine.round_trips == {"write": 3, "read": 0}
        reader.executor.all(COUNT)
        reader.rollback()
        # The snapshot with its query, and its end.
        assert engine.round_trips == {"write": 3, "read": 2}
        writer.close()
        writer.begin()
        writer.rollback()
        assert engine.round_trips == {"write": 5, "read": 2}


def test_a_look_at_all_tables_takes_one_round_trip(settings: StorageSettings) -> None:
    engine = PostgresEngine(settings, serves=False)
    with closing(engine.connect(read_only=False)) as writer:
        writer.begin()
        Transaction(IdentityMap(writer.executor), 9).exercise()
        assert engine.round_trips["write"] == 2
        writer.rollback()


def gift(number: int) -> Callable[[Transaction], None]:
    """A unit that may be asked for any number of times, as a buyer's request may."""

    def unit(tx: Transaction) -> None:
        if tx.ledger.by_request("root", f"gift {number}") is None:
            fund(tx, ALICE, 1, f"gift {number}")

    return unit


async def until(condition: Callable[[], object]) -> None:
    """Waits until something holds that is asked on a thread."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            if await asyncio.to_thread(condition):
                return
            await asyncio.sleep(0.01)


@contextmanager
def at_commit(do: Callable[[], object]) -> Iterator[None]:
    """Does something once, when the next writer is about to send its COMMIT."""
    commit, done = PostgresConnection.commit, False

    def wrapped(connection: PostgresConnection, changes: ChangeSet = NO_CHANGES) -> None:
        nonlocal done
        if not done:
            done = True
            do()
        commit(connection, changes)

    PostgresConnection.commit = wrapped  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        PostgresConnection.commit = commit  # type: ignore[method-assign]


async def cut_when_committed(settings: StorageSettings, proxy: FaultProxy) -> None:
    """Cuts the connection once the first gift can be seen by others."""
    given = "SELECT 1 FROM transfers WHERE request_id = 'gift 1'"
    await until(lambda: execute(settings, given))
    await asyncio.to_thread(proxy.cut)


async def test_fault_38_a_batch_that_another_transaction_undoes_is_carried_out_again(
    storage: Database, settings: StorageSettings
) -> None:
    runs = []

    def unit(tx: Transaction) -> int:
        runs.append(1)
        before = tx.accounts.get(ALICE)
        assert before is not None
        if len(runs) == 1:
            execute(settings, MEDDLE)
        gift(1)(tx)
        return before.posted

    assert await storage.write(unit) == 1_000
    assert await alices(storage) == 1_001
    assert len(runs) == 2
    assert storage.stats.retries == 1


async def test_fault_38_a_batch_that_is_undone_again_and_again_is_refused(
    settings: StorageSettings,
) -> None:
    base = settings.model_copy(update={"write_tries_max": 3, "write_retry_ms": 1})
    async with open_house(base) as storage:
        runs = []

        def unit(tx: Transaction) -> None:
            runs.append(1)
            tx.accounts.get(ALICE)
            execute(settings, MEDDLE)
            gift(1)(tx)

        with pytest.raises(StorageUnavailableError) as refusal:
            await storage.write(unit)
        assert not isinstance(refusal.value, OutcomeUnknownError)
        assert len(runs) == 3
        assert await alices(storage) == 1_000
        await storage.write(gift(1))
        assert await alices(storage) == 1_001


async def test_fault_38_a_connection_lost_in_mid_batch_is_made_again(
    behind: Database, proxy: FaultProxy
) -> None:
    runs = []

    def unit(tx: Transaction) -> None:
        runs.append(1)
        gift(1)(tx)
        if len(runs) == 1:
            proxy.cut()
            gift(2)(tx)

    await behind.write(unit)
    assert len(runs) == 2
    assert await alices(behind) == 1_001


async def test_fault_38_a_connection_lost_while_idle_costs_nobody_an_error(
    behind: Database, proxy: FaultProxy
) -> None:
    await alices(behind)
    proxy.cut()
    await behind.write(gift(1))
    assert await alices(behind) == 1_001


def test_fault_38_the_first_connection_that_gets_through_lets_the_others_through(
    settings: StorageSettings,
) -> None:
    engine = PostgresEngine(settings.model_copy(update={"reconnect_ms": 60_000}))
    first, second = (engine.connect(read_only=True) for _ in range(2))
    with closing(first), closing(second):
        first.begin()
        engine.redial.failed()
        with pytest.raises(UnreachableError):
            second.begin()
        engine.redial.succeeded()
        second.begin()


def test_fault_38_a_server_that_stays_away_is_tried_less_and_less() -> None:
    redial = Redial(StorageSettings(reconnect_ms=60_000, reconnect_max_ms=600_000))
    assert redial.is_due
    waits_s: list[float] = []
    for _ in range(30):
        redial.failed()
        assert not redial.is_due
        waits_s.append(redial.not_before - time.monotonic())
    assert waits_s[0] < 61
    assert 299 < waits_s[-1] < 601
    redial.succeeded()
    assert redial.is_due


async def test_fault_38_a_commit_that_never_arrived_is_found_out_and_repeated(
    behind: Database, proxy: FaultProxy
) -> None:
    with at_commit(proxy.cut):
        await behind.write(gift(1))
    assert await alices(behind) == 1_001
    assert behind.stats.retries == 1


async def test_fault_38_a_commit_whose_answer_was_lost_is_found_out(
    behind: Database, proxy: FaultProxy, settings: StorageSettings
) -> None:
    cutting = asyncio.create_task(cut_when_committed(settings, proxy))
    with at_commit(lambda: proxy.stall(Way.DOWN)):
        await behind.write(gift(1))
    await cutting
    assert await alices(behind) == 1_001
    assert behind.stats.retries == 0


async def test_fault_38_a_commit_that_a_lost_server_process_waits_for_is_found_out(
    settings: StorageSettings, proxy: FaultProxy
) -> None:
    """The server's end is left open: it holds the turn until it gives up the idle transaction."""
    base = through(settings, proxy, busy_timeout_ms=300, doubt_limit_ms=20_000)
    async with open_house(base) as storage:

        def cut_one_end() -> None:
            proxy.stall(Way.UP)
            proxy.cut(Way.DOWN)

        with at_commit(cut_one_end):
            await storage.write(gift(1))
        assert await alices(storage) == 1_001
        assert storage.stats.retries >= 1


async def test_fault_63_a_session_that_is_ended_just_before_its_commit_is_looked_up(
    settings: StorageSettings,
) -> None:
    """The driver takes the server's reason for ending it for the answer to the COMMIT."""
    base = settings.model_copy(update={"busy_timeout_ms": 200})
    idle = (
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
        " AND state = 'idle in transaction'"
    )

    def stand_still() -> None:
        until = time.monotonic() + LIMIT_S
        while execute(settings, idle):
            assert time.monotonic() < until, "the session is not ended"
            time.sleep(0.01)

    async with open_house(base) as storage:
        with at_commit(stand_still), capture_logs() as logs:
            await storage.write(gift(1))
        assert await alices(storage) == 1_001
    assert "database_lost_at_commit" in [entry["event"] for entry in logs]


@pytest.mark.parametrize("carried_out", [False, True])
async def test_fault_38_an_outcome_that_cannot_be_found_out_is_said_to_be_unknown(
    settings: StorageSettings, proxy: FaultProxy, carried_out: bool
) -> None:
    """Invariant 12: the same request then finds out, and is made once."""
    async with open_house(through(settings, proxy, doubt_limit_ms=200)) as storage:

        def lose() -> None:
            proxy.refuse()
            if carried_out:
                # The COMMIT passes; nothing comes back.
                proxy.swallow_after(0, Way.DOWN)
            else:
                proxy.cut()

        cutting = asyncio.create_task(cut_when_committed(settings, proxy)) if carried_out else None
        with storage.changes.drop(drop(1).id) as waits, at_commit(lose):
            with pytest.raises(OutcomeUnknownError):
                await storage.write(gift(1))
            async with asyncio.timeout(LIMIT_S):
                # Who waits for what it may have changed looks.
                await waits.changed()
        if cutting is not None:
            await cutting
        with pytest.raises(StorageUnavailableError):
            await storage.write(gift(2))
        proxy.accept()
        await persist(storage, gift(1))
        assert await alices(storage) == 1_001


@pytest.mark.parametrize("needs", [None, Needs(accounts={ALICE}, machines={"d"})])
@pytest.mark.parametrize("stores", [False, True])
async def test_fault_31_one_that_stands_still_in_its_turn_loses_it(
    settings: StorageSettings, needs: Needs | None, stores: bool
) -> None:
    base = settings.model_copy(update={"busy_timeout_ms": 500})
    async with Database.open(base) as one, Database.open(base) as other:
        await one.write(found)
        runs = []

        def unit(tx: Transaction) -> None:
            runs.append(1)
            gift(1)(tx)
            if stores:
                tx.accounts.administrators()
            if len(runs) == 1:
                gate.stand()
            gift(2)(tx)

        with Gate() as gate:
            standing = asyncio.create_task(one.write(unit, needs))
            await gate.reached()
            await persist(other, gift(3))
            gate.open()
            await standing
        assert len(runs) >= 2
        assert await alices(one) == 1_003


async def test_a_server_that_takes_no_changes_refuses_them_until_it_does(
    settings: StorageSettings,
) -> None:
    name = urlsplit(settings.url or "").path.lstrip("/")
    async with open_house(settings) as storage:
        execute(settings, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        execute(
            settings,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        with pytest.raises(StorageUnavailableError):
            await storage.write(gift(1))
        execute(
            settings,
            "SET default_transaction_read_only = off",
            f"ALTER DATABASE {name} RESET default_transaction_read_only",
        )
        await persist(storage, gift(1))
        assert await alices(storage) == 1_001


async def test_a_server_that_stops_taking_changes_is_left_for_one_that_does() -> None:
    with PostgresServer() as server:
        settings = fresh_postgres(server.url, reconnect_ms=10, reconnect_max_ms=50)
        async with open_house(settings) as storage:
            change = "ALTER SYSTEM SET default_transaction_read_only = on"
            execute(settings, change, "SELECT pg_reload_conf()")
            shown = "SHOW default_transaction_read_only"
            await until(lambda: execute(settings, shown) == [("on",)])
            # The first answer after it tells; then even an empty transaction, by which health is
            # found out, is refused.
            await asyncio.gather(storage.write(gift(1)), return_exceptions=True)
            with pytest.raises(StorageUnavailableError):
                await storage.write(lambda _: None)
            change = "ALTER SYSTEM RESET default_transaction_read_only"
            execute(settings, change, "SELECT pg_reload_conf()")
            await persist(storage, gift(1))


async def test_the_queue_passes_by_a_drop_that_somebody_else_holds(
    storage: Database, settings: StorageSettings
) -> None:
    await storage.write(lambda tx: reserve(tx, drop(1)))
    await storage.write(lambda tx: reserve(tx, drop(2)))
    with psycopg.connect(settings.url or "") as person:
        person.execute("SELECT 1 FROM drops WHERE sequence = 1 FOR UPDATE")
        following = await storage.write(lambda tx: tx.drops.next_reserved("d"))
        assert following is not None
        assert following.id == drop(2).id
    following = await storage.write(lambda tx: tx.drops.next_reserved("d"))
    assert following is not None
    assert following.id == drop(1).id


async def test_what_happens_while_nobody_can_listen_is_not_missed(
    behind: Database, proxy: FaultProxy, settings: StorageSettings
) -> None:
    async with Database.open(settings) as other:
        proxy.refuse()
        proxy.cut()
        with behind.changes.drop(drop(1).id) as waits:
            await other.write(lambda tx: reserve(tx, drop(1)))
            proxy.accept()
            async with asyncio.timeout(LIMIT_S):
                while True:
                    await waits.changed()
                    try:
                        kept = await behind.read(lambda tx: tx.drops.get(drop(1).id))
                    except StorageUnavailableError:
                        continue
                    if kept is not None:
                        break


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["restart", "crash"])
async def test_fault_38_a_server_that_restarts_under_load_loses_and_repeats_nothing(
    how: signal.Signals,
) -> None:
    with PostgresServer() as server:
        base = fresh_postgres(server.url, reconnect_ms=10, reconnect_max_ms=100)
        async with Database.open(base) as one, Database.open(base) as other:
            await one.write(found)
            acknowledged: list[int] = []

            async def give(storage: Database, numbers: range) -> None:
                for number in numbers:
                    await persist(storage, gift(number))
                    acknowledged.append(number)

            giving = [
                asyncio.create_task(give((one, other)[lane % 2], range(lane, 400, 8)))
                for lane in range(8)
            ]
            for share in (100, 200, 300):
                await until(lambda share=share: len(acknowledged) >= share)  # type: ignore[misc]
                await asyncio.to_thread(server.restart, how)
            async with asyncio.timeout(LIMIT_S):
                await asyncio.gather(*giving)
            assert await alices(one) == 1_400
            assert await other.verify() == []
