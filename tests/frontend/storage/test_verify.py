"""The verifier: silent about sound books, and it finds every way in which they can be wrong."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from drink_frontend.domain.drop import Cause, State
from drink_frontend.storage import verify
from drink_frontend.storage.identity_map import IdentityMap
from drink_frontend.storage.migrations import migrate
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.sqlite_engine import SqliteEngine
from drink_frontend.storage.tables import metadata
from drink_frontend.storage.transaction import Transaction
from drink_frontend.storage.verify import LINES_MAX, remarks_on, verify_books
from tests.support.books import (
    add_machine,
    advance,
    drop,
    found,
    fund,
    limit,
    load,
    move,
    open_house,
    refund,
    reserve,
)
from tests.support.databases import fresh_sqlite
from tests.support.ids import ALICE, BOB
from tests.support.postgres import fresh_postgres


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """A sound house with a drop in every state, copied to tables that nothing guards."""
    settings = fresh_sqlite(tmp_path_factory.mktemp("house"))
    engine = SqliteEngine(settings, exclusive=False)
    connection = engine.connect(read_only=False)
    rows = IdentityMap(connection.executor)
    tx = Transaction(rows, 9)
    connection.begin()
    found(tx)
    add_machine(tx, "s")
    move(tx, ALICE, BOB, 100, "gift")
    limit(tx, BOB, 70)
    move(tx, BOB, ALICE, 170, "loan")
    limit(tx, BOB, 60)
    move(tx, ALICE, BOB, 5, "a part of it")
    for number in range(1, 6):
        reserve(tx, drop(number))
    reserve(tx, drop(6, slot=2, state=State.SCHEDULED, not_before_ms=1))
    advance(tx, drop(1).id, State.DISPENSED, Cause.BOARD_ACK)
    refund(tx, drop(1), 20)
    advance(tx, drop(2).id, State.NOT_DISPENSED, Cause.CANCELLED)
    advance(tx, drop(3).id, State.DISPATCHED, Cause.NONE)
    advance(tx, drop(3).id, State.UNKNOWN, Cause.BOARD_SILENT)
    advance(tx, drop(4).id, State.DISPATCHED, Cause.NONE)
    advance(tx, drop(4).id, State.RESERVED, Cause.NOT_RECEIVED)
    advance(tx, drop(4).id, State.DISPATCHED, Cause.NONE)
    load(tx, "d", 1, 9)
    rows.store()
    connection.commit()
    connection.close()
    engine.close()
    unguarded = sqlite3.connect(":memory:", isolation_level=None)
    unguarded.execute("ATTACH ? AS sound", (str(settings.path),))
    for table in metadata.tables:
        unguarded.execute(f"CREATE TABLE {table} AS SELECT * FROM sound.{table}")
    unguarded.execute("DETACH sound")
    yield unguarded
    unguarded.close()


def test_sound_books_give_nothing(books: sqlite3.Connection) -> None:
    assert verify_books(books.execute) == []


def copy(table: str, where: str, **changes: str) -> str:
    """A statement that adds a changed copy of a row."""
    changes = {"sequence": "sequence + 1000", **changes}
    values = [changes.get(column.name, column.name) for column in metadata.tables[table].columns]
    return f"INSERT INTO {table} SELECT {', '.join(values)} FROM {table} WHERE {where}"


D = {number: f"'{drop(number).id}'" for number in range(1, 10)}

WRONGS: dict[str, tuple[str, str]] = {
    "a balance was raised by hand": (
        "UPDATE accounts SET credits_posted = credits_posted + 1 WHERE name = 'alice'",
        f"1: the totals of account {ALICE} do not follow",
    ),
    "a hold was forgotten in a balance": (
        "UPDATE accounts SET debits_pending = debits_pending - 50 WHERE name = 'alice'",
        f"1: the totals of account {ALICE} do not follow",
    ),
    "a sale was forgotten": (
        "UPDATE accounts SET credits_posted = 0 WHERE name = 'sales/d'",
        "1: the books do not balance: posted 1345 to 1295",
    ),
    "a transfer was removed": (
        "DELETE FROM transfers WHERE id = 'move-gift'",
        f"1: the totals of account {BOB} do not follow",
    ),
    "an amount was changed": (
        "UPDATE transfers SET amount = 51 WHERE id = 'hold-5'",
        f"5: HOLD hold-5 of drop {drop(5).id} is not its price",
    ),
    "a user spent what was not there": (
        copy("transfers", "id = 'move-gift'", id="'x'", amount="5000", request_id="'x'"),
        f"2: account {ALICE} could spend only -4",
    ),
    "a user owed more than the limit": (
        "UPDATE audit SET facts = replace(facts, ':70', ':69')",
        f"2: account {BOB} could spend only -70 after transfer 3, its limit was 69",
    ),
    "a limit was not recorded": (
        "UPDATE accounts SET credit_limit = 1000 WHERE name = 'alice'",
        f"2: account {ALICE} has the limit 1000, its last record says 0",
    ),
    "a limit has the wrong sign": (
        "UPDATE accounts SET credit_limit = -credit_limit WHERE name = 'bob'",
        f"2: account {BOB} has the limit -60, its last record says 60",
    ),
    "a hold is missing": (
        "DELETE FROM transfers WHERE id = 'hold-5'",
        f"3: drop {drop(5).id} has 0 holds",
    ),
    "a drop has two holds": (
        copy("transfers", "id = 'hold-5'", id="'x'"),
        f"3: drop {drop(5).id} has 2 holds",
    ),
    "a hold belongs to nothing": (
        copy("transfers", "id = 'hold-5'", id="'x'", drop_id="'nothing'"),
        "3: hold x belongs to no drop",
    ),
    "a hold was posted twice": (
        copy("transfers", "id = 'hold-1-post'", id="'x'"),
        "3: hold hold-1 is resolved 2 times",
    ),
    "a drop that fell was not paid": (
        "DELETE FROM transfers WHERE id = 'hold-1-post'",
        f"3: drop {drop(1).id} is DISPENSED, its hold's resolution is none",
    ),
    "a drop that did not fall was paid": (
        "UPDATE transfers SET kind = 'POST' WHERE id = 'hold-2-void'",
        f"3: drop {drop(2).id} is NOT_DISPENSED, its hold's resolution is POST",
    ),
    "an unknown drop was paid": (
        copy("transfers", "id = 'hold-3'", id="'x'", kind="'POST'", resolves="'hold-3'"),
        f"3: drop {drop(3).id} is UNKNOWN, its hold's resolution is POST",
    ),
    "somebody else paid": (
        f"UPDATE transfers SET debit_account = '{BOB}' WHERE drop_id = " + D[1],
        f"5: POST hold-1-post of drop {drop(1).id} is not its price between its buyer",
    ),
    "another machine was paid": (
        "UPDATE transfers SET credit_account = 'sales/s' WHERE id = 'hold-1-post'",
        f"5: POST hold-1-post of drop {drop(1).id} is not its price between its buyer",
    ),
    "the price was changed later": (
        "UPDATE drops SET price = 60 WHERE id = " + D[5],
        f"5: drop {drop(5).id} was reserved for 50, its price is 60",
    ),
    "silence was taken for a drop": (
        "UPDATE drops SET cause = 'BOARD_SILENT' WHERE id = " + D[1],
        f"8: drop {drop(1).id} is DISPENSED because of BOARD_SILENT",
    ),
    "a void has no proof": (
        "UPDATE drops SET cause = 'AGENT_LOST' WHERE id = " + D[2],
        f"8: drop {drop(2).id} is NOT_DISPENSED because of AGENT_LOST",
    ),
    "nobody decided": (
        "UPDATE drops SET cause = 'OPERATOR' WHERE id = " + D[1],
        f"8: drop {drop(1).id} is DISPENSED because of OPERATOR",
    ),
    "an outcome is claimed for what is under way": (
        "UPDATE drops SET cause = 'BOARD_ACK' WHERE id = " + D[4],
        f"8: drop {drop(4).id} is DISPATCHED because of BOARD_ACK",
    ),
    "a drop was given back twice": (
        f"INSERT INTO refunds SELECT * FROM refunds WHERE drop_id = {D[1]}",
        f"26: drop {drop(1).id} was refunded 2 times",
    ),
    "more was given back than was paid": (
        "UPDATE refunds SET amount = 51",
        f"26: 51 credits of drop {drop(1).id} were given back, which is DISPENSED and cost 50",
    ),
    "what did not fall was given back": (
        f"UPDATE refunds SET drop_id = {D[2]}",
        f"26: 20 credits of drop {drop(2).id} were given back, which is NOT_DISPENSED",
    ),
    "a refund went to somebody else": (
        f"UPDATE transfers SET credit_account = '{BOB}' WHERE id = 'move-refund'",
        f"26: the refund of drop {drop(1).id} is not its transfer move-refund",
    ),
    "sales were paid out": (
        "DELETE FROM refunds",
        "26: transfer move-refund took 20 credits from sales/d without a refund",
    ),
    "an item was conjured up": (
        "UPDATE slots SET on_hand = on_hand + 1, loaded = loaded + 1 WHERE machine = 'd'",
        "10: slot d/1 says 14 loaded, its records add up to 13",
    ),
    "the places do not add up": (
        "UPDATE slots SET on_hand = on_hand + 1 WHERE machine = 'd' AND number = 2",
        "10: slot d/2 counts 5 on hand, 1 reserved, 0 dispensed, 0 unknown of 5 loaded",
    ),
    "a reserved item was given away": (
        "UPDATE slots SET reserved = 0, on_hand = 5 WHERE machine = 'd' AND number = 2",
        "10: slot d/2 counts 5 on hand, 0 reserved",
    ),
    "a can is counted twice": (
        "UPDATE slots SET dispensed = 1, reserved = 1 WHERE machine = 'd' AND number = 1",
        "10: slot d/1 counts 9 on hand, 1 reserved, 1 dispensed, 1 unknown of 13 loaded",
    ),
    "a movement was not written": (
        "DELETE FROM stock_movements WHERE kind = 'SOLD'",
        "27: slot d/1 has 12 items, its movements add up to 13",
    ),
    "a movement was changed": (
        "UPDATE stock_movements SET change = change + 1 WHERE slot = 2",
        "27: slot d/2 has 5 items, its movements add up to 6",
    ),
    "a drop was sold that is not paid": (
        f"UPDATE stock_movements SET drop_id = {D[5]} WHERE kind = 'SOLD'",
        f"27: movement 5 of d/1 names drop {drop(5).id}, which is RESERVED",
    ),
    "a drop was sold by another slot": (
        "UPDATE stock_movements SET slot = 2 WHERE kind = 'SOLD'",
        "27: slot d/1 has 12 items, its movements add up to 13",
    ),
    "a drop was sold twice": (
        copy("stock_movements", "kind = 'SOLD'"),
        f"27: drop {drop(1).id} has 2 movements SOLD",
    ),
    "a board got two commands": (
        "UPDATE drops SET state = 'DISPATCHED', epoch = 1 WHERE id = " + D[5],
        "11: 2 drops of machine d are dispatched",
    ),
    "a request made two drops": (
        copy("drops", f"id = {D[5]}", id="'x'", hold_id="'y'"),
        f"12: account {ALICE} has 2 drops of request request-5",
    ),
    "a request made two transfers": (
        copy("transfers", "id = 'move-gift'", id="'x'"),
        "12: root made 2 transfers by request gift",
    ),
    "an epoch is from the future": (
        "UPDATE drops SET epoch = 7 WHERE id = " + D[4],
        f"14: drop {drop(4).id} was dispatched in epoch 7, its machine is in epoch 1",
    ),
    "a move was not recorded": (
        "UPDATE drops SET state = 'UNKNOWN', cause = 'AGENT_LOST' WHERE id = " + D[4],
        f"21: drop {drop(4).id} is UNKNOWN because of AGENT_LOST, its last record says DISPATCHED",
    ),
    "a record was removed": (
        f"DELETE FROM audit WHERE drop_id = {D[4]} AND facts LIKE '%NOT_RECEIVED%'",
        f"21: drop {drop(4).id} moved from RESERVED, it was DISPATCHED",
    ),
    "a drop was never reserved": (
        "DELETE FROM audit WHERE drop_id = " + D[5],
        f"21: drop {drop(5).id} has no record of its reservation",
    ),
    "the reservation's record is missing": (
        "DELETE FROM audit WHERE facts LIKE '%RESERVE\"%' AND drop_id = " + D[4],
        f"21: the first record of drop {drop(4).id} is not its reservation",
    ),
}


@pytest.mark.parametrize("wrong", WRONGS)
def test_what_is_wrong_is_found_and_named(books: sqlite3.Connection, wrong: str) -> None:
    statement, line = WRONGS[wrong]
    assert books.execute(statement).rowcount > 0
    found_lines = verify_books(books.execute)
    assert [text for text in found_lines if text.startswith(line)], found_lines


def test_a_flood_of_problems_is_cut_short(books: sqlite3.Connection) -> None:
    for number in range(LINES_MAX + 1):
        books.execute(
            f"INSERT INTO slots SELECT machine, number + {number + 2}, item, price,"
            " enabled, 1, 1, 0, 0, 0, sensor, updated_ms, NULL, 0, 0, NULL FROM slots"
            " WHERE machine = 'd' AND number = 2"
        )
    problems = [line for line in verify_books(books.execute) if line.startswith("10")]
    assert len(problems) == LINES_MAX + 1
    assert problems[-1] == "10: and more"


TWIN = (
    "INSERT INTO accounts SELECT '~0000000001', kind, admin, closed, password_hash, ibutton_digest,"
    " created_ms, 0, 0, 0, 0, 0, 'Alice', NULL FROM accounts WHERE name = 'alice'"
)
GIVEN_AGAIN = (
    "INSERT INTO transfers (sequence, id, kind, debit_account, credit_account, amount, created_ms,"
    " actor, request_id) SELECT sequence + 100, 'again', kind, debit_account, credit_account,"
    " amount, created_ms, 'anna', request_id FROM transfers WHERE request_id = 'gift'"
)


def person(settings: StorageSettings, *statements: str) -> None:
    """Writes past every rule of the program."""
    if settings.url is not None:
        with psycopg.connect(settings.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())
        return
    file = sqlite3.connect(settings.path)
    with file:
        for statement in statements:
            file.execute(statement)
    file.close()


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_pairs_of_names_and_gifts_that_were_given_twice(engine: str, tmp_path: Path) -> None:
    settings = fresh_sqlite(tmp_path) if engine == "sqlite" else fresh_postgres()
    async with open_house(settings) as storage:
        await storage.write(lambda tx: fund(tx, ALICE, 5, "gift"))
        assert await storage.remarks() == []
        person(settings, TWIN, GIVEN_AGAIN)
        told = await storage.remarks()
    assert told == [
        "the accounts Alice and alice differ only in case: each is found by its exact name only",
        (
            "the request_id gift gave or took credits 2 times, by anna and root:"
            " see whether all were meant"
        ),
    ]
    assert migrate(settings) == told


def test_no_more_are_told_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "LINES_MAX", 2)
    rows = [("a", "A"), ("b", "B"), ("c", "C"), ("d", "D")]
    told = remarks_on(lambda query: rows if "accounts AS one" in query else [])
    assert len(told) == 3
    assert told[-1] == "and 2 more like the last one"
