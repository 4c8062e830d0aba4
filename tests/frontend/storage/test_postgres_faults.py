"""Every error that a PostgreSQL server may answer with: what becomes of what was under way."""

import asyncio
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import errors
from sqlalchemy import text

from drink_frontend.domain.errors import OutcomeUnknownError, StorageUnavailableError
from drink_frontend.domain.ledger import AccountKind
from drink_frontend.storage.database import Database
from drink_frontend.storage.engine import Fault
from drink_frontend.storage.identity_map import IdentityMap
from drink_frontend.storage.postgres_connection import PostgresConnection
from drink_frontend.storage.postgres_engine import PostgresEngine
from drink_frontend.storage.postgres_faults import RULES, ErrorAction, fault_of, rule_of
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.statements import Statement
from drink_frontend.storage.transaction import Transaction
from tests.support.books import NOW, add_account, alices, fund, open_house
from tests.support.databases import LIMIT_S, persist
from tests.support.ids import ALICE
from tests.support.postgres import ALL_RIGHTS, PostgresServer, as_role, execute, fresh_postgres

STATES = {key: {2: f"{key}000", 3: f"{key}01"}.get(len(key), key) for key in RULES}
"""A whole state for each row of the table."""

SURVIVED = [key for key in RULES if RULES[key].action is not ErrorAction.END]
"""The rows after which the process goes on."""


@pytest.fixture
def settings() -> StorageSettings:
    return fresh_postgres(reconnect_ms=10, reconnect_max_ms=50, write_retry_ms=1)


def failing_with(sqlstate: str) -> Statement:
    """A statement that the server fails with that state."""
    return Statement(text(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{sqlstate}'; END $$"))


def gift(key: str = "one") -> Callable[[Transaction], None]:
    """May be asked for any number of times, as a buyer's request may."""

    def unit(tx: Transaction) -> None:
        if tx.ledger.by_request("root", f"gift:{key}") is None:
            fund(tx, ALICE, 1, f"gift:{key}")

    return unit


async def test_fault_63_an_error_in_a_unit_is_answered_by_the_table(storage: Database) -> None:
    """Invariant 12: by whichever error the server answers, what is repeated is made once."""
    for number, key in enumerate(SURVIVED, start=1):
        runs: list[int] = []
        give = gift(key)
        unit = _failing_once(failing_with(STATES[key]), give, runs)

        error: BaseException | None = None
        try:
            await storage.write(unit)
        except (StorageUnavailableError, psycopg.Error) as raised:
            error = raised
        match RULES[key].action:
            case ErrorAction.REPEAT:
                assert (error, len(runs)) == (None, 2), key
            case ErrorAction.REFUSE:
                assert (type(error), len(runs)) == (StorageUnavailableError, 1), key
            case _:
                assert isinstance(error, psycopg.Error), key
                assert len(runs) == 1, key
        await persist(storage, give)
        assert await alices(storage) == 1_000 + number, key
    assert await storage.verify() == []


def _failing_once(
    fails: Statement, give: Callable[[Transaction], None], runs: list[int]
) -> Callable[[Transaction], None]:
    def unit(tx: Transaction) -> None:
        runs.append(1)
        give(tx)
        if len(runs) == 1:
            _run(tx, fails)

    return unit


async def test_fault_63_an_error_that_stays_reaches_the_caller(storage: Database) -> None:
    for key in SURVIVED:
        fails, give = failing_with(STATES[key]), gift(key)

        def unit(
            tx: Transaction,
            fails: Statement = fails,
            give: Callable[[Transaction], None] = give,
        ) -> None:
            give(tx)
            _run(tx, fails)

        is_mistake = RULES[key].action is ErrorAction.MISTAKE
        with pytest.raises(psycopg.Error if is_mistake else StorageUnavailableError) as refusal:
            await storage.write(unit)
        assert not isinstance(refusal.value, OutcomeUnknownError), key
        assert await alices(storage) == 1_000, key


@pytest.mark.parametrize("timing", ["BEFORE", "DEFERRED"])
async def test_fault_63_an_error_at_the_end_of_a_batch_or_at_its_commit_never_gives_twice(
    storage: Database, settings: StorageSettings, timing: str
) -> None:
    """Invariant 12: by whichever error the server answers, what is repeated is made once."""
    for number, key in enumerate(SURVIVED, start=1):
        give = gift(key)
        execute(settings, *_fails_once(STATES[key], timing))
        if RULES[key].action is ErrorAction.REPEAT:
            await storage.write(give)
        else:
            with pytest.raises(StorageUnavailableError) as refusal:
                await storage.write(give)
            assert not isinstance(refusal.value, OutcomeUnknownError), key
            assert await alices(storage) == 1_000 + number - 1, key
        await persist(storage, give)
        assert await alices(storage) == 1_000 + number, key
        execute(settings, "DROP SEQUENCE troubles", "DROP FUNCTION trouble CASCADE")


@pytest.mark.parametrize("key", [key for key in RULES if RULES[key].action is ErrorAction.END])
async def test_fault_63_books_that_are_damaged_end_the_process(storage: Database, key: str) -> None:
    fails = failing_with(STATES[key])
    with pytest.raises(StorageUnavailableError):
        await storage.write(lambda tx: _run(tx, fails))
    async with asyncio.timeout(LIMIT_S):
        assert await storage.failure()


def _fails_once(sqlstate: str, timing: str) -> list[str]:
    """A trigger on the last statement of a batch, or on its commit; it fails the first batch."""
    kind = "BEFORE" if timing == "BEFORE" else "AFTER"
    made = "TRIGGER" if timing == "BEFORE" else "CONSTRAINT TRIGGER"
    deferred = "" if timing == "BEFORE" else "DEFERRABLE INITIALLY DEFERRED"
    return [
        "CREATE SEQUENCE troubles",
        # A sequence counts on when its transaction is undone.
        (
            "CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF nextval('troubles') = 1 THEN"
            f" RAISE EXCEPTION USING ERRCODE = '{sqlstate}'; END IF; RETURN NEW; END $$"
        ),
        (
            f"CREATE {made} trouble {kind} INSERT OR UPDATE ON writers {deferred}"
            " FOR EACH ROW EXECUTE FUNCTION trouble()"
        ),
    ]


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (errors.TransactionTimeout, Fault.UNDONE),
        (errors.IdleInTransactionSessionTimeout, Fault.UNDONE),
        (errors.IdleSessionTimeout, Fault.UNDONE),
        (errors.InFailedSqlTransaction, Fault.UNDONE),
        (errors.ReadOnlySqlTransaction, Fault.UNDONE),
        (errors.CannotConnectNow, Fault.UNDONE),
        (errors.CrashShutdown, Fault.UNDONE),
        (errors.DatabaseDropped, Fault.UNDONE),
        (errors.OutOfMemory, Fault.UNAVAILABLE),
        (errors.DiskFull, Fault.UNAVAILABLE),
        (errors.TooManyConnections, Fault.UNAVAILABLE),
        (errors.ConfigurationLimitExceeded, Fault.UNAVAILABLE),
        (errors.InsufficientPrivilege, Fault.UNAVAILABLE),
        (errors.UndefinedTable, Fault.UNAVAILABLE),
        (errors.IoError, Fault.UNAVAILABLE),
        (errors.InternalError_, Fault.UNAVAILABLE),
        (errors.DataCorrupted, Fault.BROKEN),
        (errors.IndexCorrupted, Fault.BROKEN),
        (errors.UniqueViolation, None),
        (errors.SyntaxError, None),
        (errors.UntranslatableCharacter, None),
    ],
)
def test_fault_63_the_drivers_errors_are_those_of_the_table(
    error: type[psycopg.Error], fault: Fault | None
) -> None:
    assert fault_of(error.sqlstate) is fault


def test_the_longest_beginning_counts() -> None:
    assert rule_of("57P03") is RULES["57P"]
    assert rule_of("57014") is RULES["57"]
    assert rule_of("XX002").action is ErrorAction.END
    assert rule_of(None).doubt
    assert rule_of("42601").action is ErrorAction.MISTAKE


@pytest.mark.parametrize(
    ("away", "back"),
    [
        ("ALTER ROLE {role} NOLOGIN", "ALTER ROLE {role} LOGIN"),
        ("ALTER ROLE {role} CONNECTION LIMIT 0", "ALTER ROLE {role} CONNECTION LIMIT -1"),
        (
            "ALTER ROLE {role} SET default_transaction_read_only = on",
            "ALTER ROLE {role} RESET default_transaction_read_only",
        ),
        ("REVOKE INSERT ON transfers FROM {role}", "GRANT INSERT ON transfers TO {role}"),
        ("REVOKE ALL ON alembic_version FROM {role}", "GRANT ALL ON alembic_version TO {role}"),
        ("REVOKE ALL ON writers FROM {role}", "GRANT ALL ON writers TO {role}"),
        ("REVOKE USAGE ON SCHEMA public FROM public", "GRANT USAGE ON SCHEMA public TO public"),
        ("ALTER TABLE transfers RENAME TO away", "ALTER TABLE away RENAME TO transfers"),
        (
            "ALTER TABLE alembic_version RENAME TO away",
            "ALTER TABLE away RENAME TO alembic_version",
        ),
        ("ALTER TABLE writers RENAME TO away", "ALTER TABLE away RENAME TO writers"),
        ("ALTER TABLE accounts RENAME admin TO away", "ALTER TABLE accounts RENAME away TO admin"),
        ("ALTER ROLE {role} SET search_path = nowhere", "ALTER ROLE {role} RESET search_path"),
    ],
)
async def test_fault_63_what_an_administrator_takes_away_is_refused_until_it_is_back(
    settings: StorageSettings, away: str, back: str
) -> None:
    role = as_role(settings, "drink", *ALL_RIGHTS)
    name = (role.url or "").partition("//")[2].partition("@")[0]
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{name}'"
    async with open_house(role) as storage:
        execute(settings, away.format(role=name), end)
        with pytest.raises(StorageUnavailableError):
            await storage.write(gift())
        with pytest.raises(StorageUnavailableError):
            await storage.write(lambda tx: tx.exercise())
        execute(settings, back.format(role=name), end)
        await persist(storage, gift())
        await persist(storage, lambda tx: tx.exercise())
        assert await alices(storage) == 1_001


async def test_fault_63_a_lock_that_a_person_holds_is_waited_for_and_then_refused(
    settings: StorageSettings,
) -> None:
    base = settings.model_copy(update={"busy_timeout_ms": 200})
    async with open_house(base) as storage:
        with psycopg.connect(settings.url or "") as holder:
            holder.execute("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(StorageUnavailableError):
                await storage.write(gift())
        await persist(storage, gift())
        assert await alices(storage) == 1_001


async def test_fault_63_a_table_that_is_changed_under_a_prepared_plan_costs_nobody_an_error(
    storage: Database, settings: StorageSettings
) -> None:
    await storage.write(gift())
    assert await alices(storage) == 1_001
    execute(settings, "ALTER TABLE accounts ALTER COLUMN admin TYPE integer")
    execute(settings, "ALTER TABLE accounts ALTER COLUMN credits_pending TYPE integer")
    await storage.write(lambda tx: fund(tx, ALICE, 1, "another gift"))
    await storage.write(gift())


async def test_fault_63_discarded_prepared_statements_are_prepared_again(
    storage: Database,
) -> None:
    discard = Statement(text("DEALLOCATE ALL"))
    await storage.write(gift())
    await storage.write(lambda tx: _run(tx, discard))
    await storage.write(lambda tx: fund(tx, ALICE, 1, "another gift"))
    assert await alices(storage) == 1_002


def _run(tx: Transaction, statement: Statement) -> None:
    tx.accounts._executor.run(statement)


@pytest.mark.parametrize("ended", ["unit", "commit"])
async def test_fault_63_a_transaction_that_the_server_ends_for_its_length_is_repeated(
    storage: Database, settings: StorageSettings, ended: str
) -> None:
    """By transaction_timeout, in PostgreSQL 17 and newer."""
    with psycopg.connect(settings.url or "") as connection:
        if connection.info.server_version < 170_000:
            pytest.skip("this PostgreSQL has no transaction_timeout")
    runs, give = [], gift()
    bound = Statement(text("SET LOCAL transaction_timeout = 50"))
    sleep = Statement(text("SELECT pg_sleep(10)"))

    def unit(tx: Transaction) -> None:
        runs.append(1)
        give(tx)
        if len(runs) == 1:
            _run(tx, bound)
            if ended == "unit":
                tx.accounts._executor.all(sleep)

    await storage.write(unit)
    assert await alices(storage) == 1_001


async def test_fault_63_a_database_that_is_dropped_refuses_and_does_not_end_the_process(
    settings: StorageSettings,
) -> None:
    with PostgresServer() as server:
        own = fresh_postgres(server.url, reconnect_ms=10, reconnect_max_ms=50)
        async with open_house(own) as storage:
            name = (own.url or "").rpartition("/")[2]
            with psycopg.connect(server.url, autocommit=True) as superuser:
                superuser.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
            for _ in range(3):
                with pytest.raises(StorageUnavailableError):
                    await storage.write(gift())
                with pytest.raises(StorageUnavailableError):
                    await alices(storage)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await storage.failure()


@pytest.fixture
def writer() -> Iterator[PostgresConnection]:
    connection = PostgresEngine(fresh_postgres()).connect(read_only=False)
    connection.begin()
    yield connection
    connection.close()


def test_an_error_does_not_quote_rows(writer: PostgresConnection) -> None:
    with pytest.raises(errors.CheckViolation) as refusal:
        add_account(
            Transaction(IdentityMap(writer.executor), 9), "alice", password_hash="x" * 9, admin=7
        )
    assert str(refusal.value) == (
        'new row for relation "accounts" violates check constraint "accounts_flags"'
    )


def test_no_row_is_like_a_text_that_cannot_be_kept(writer: PostgresConnection) -> None:
    accounts = Transaction(IdentityMap(writer.executor), 9).accounts
    assert accounts.get("~ali\0ce") is None
    with pytest.raises(psycopg.DataError):
        accounts.add(ALICE, AccountKind.USER, NOW, name="ali\0ce")


def test_what_a_failed_query_leaves_is_undone_with_its_transaction(
    writer: PostgresConnection,
) -> None:
    tx = Transaction(IdentityMap(writer.executor), 9)
    add_account(tx, "alice")
    with pytest.raises(errors.NumericValueOutOfRange):
        tx.machines.slot("d", 2**63)
    writer.rollback()
    writer.begin()
    assert Transaction(IdentityMap(writer.executor), 9).accounts.get(ALICE) is None
