"""The loaded rows: each is read once, and what nobody named is read when it is asked for."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from drink_frontend.domain.drop import State
from drink_frontend.storage import loaders
from drink_frontend.storage.identity_map import IdentityMap
from drink_frontend.storage.loaded_rows import LoadedRows, calls_for
from drink_frontend.storage.needs import Needs
from drink_frontend.storage.sqlite_engine import DIALECT, SqliteConnection, SqliteEngine
from drink_frontend.storage.statements import Call, Executor
from drink_frontend.storage.transaction import Transaction
from tests.support.books import NOW, drop, found, reserve, token
from tests.support.databases import fresh_sqlite
from tests.support.ids import ALICE

EVERYTHING = Needs(
    tokens={"t", "nothing"},
    accounts={ALICE, "nobody"},
    names={"alice", "ALICE", "nobody", ALICE},
    drops={drop(1).id, "nothing"},
    requests={(ALICE, "request-1"), (ALICE, "other")},
    machines={"d", "nowhere"},
    slots={("d", 1), ("d", 9)},
    queues={"d", "nowhere"},
    moves={("root", "founding"), ("root", "other")},
    grants={"founding", "other"},
    new_drops=2,
    new_transfers=1,
)


class CountingExecutor(Executor):
    """Counts what is asked of the database."""

    def __init__(self, cursor: Any) -> None:
        super().__init__(cursor, DIALECT)
        self.asked: list[Call] = []

    def exchange(self, calls: Iterable[Call]) -> Sequence[Any]:
        waiting = list(calls)
        self.asked += waiting
        return super().exchange(waiting)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[SqliteConnection]:
    connection = SqliteEngine(fresh_sqlite(tmp_path), exclusive=False).connect(read_only=False)
    with closing(connection):
        connection.begin()
        rows = IdentityMap(connection.executor)
        tx = Transaction(rows, 9)
        found(tx)
        tx.tokens.add(token("t", expires_ms=NOW + 1))
        for number in (1, 2, 3):
            reserve(tx, drop(number))
        rows.store()
        yield connection


@pytest.fixture
def executor(connection: SqliteConnection) -> CountingExecutor:
    return CountingExecutor(connection._cursor)


def look(rows: LoadedRows) -> None:
    """Asks for everything in EVERYTHING."""
    alice = rows.account(ALICE)
    assert alice is not None
    assert alice.name == "alice"
    assert rows.account("nobody") is None
    assert [rows.account_named(name) for name in ("alice", "ALICE", ALICE)] == [alice] * 3
    assert rows.account_named("nobody") is None
    founding = rows.move_of("root", "founding")
    assert founding is not None
    assert list(rows.grants("founding")) == [founding]
    assert rows.move_of("root", "other") is None
    assert list(rows.grants("other")) == []
    bearer = rows.token("t")
    assert bearer is not None
    assert bearer.account == ALICE
    assert rows.token("nothing") is None
    one = rows.drop(drop(1).id)
    assert one is not None
    assert rows.drop("nothing") is None
    assert rows.drop_of(ALICE, "request-1") is one
    assert rows.drop_of(ALICE, "other") is None
    assert rows.machine("d") is not None
    assert rows.machine("nowhere") is None
    assert rows.slot("d", 1) is not None
    assert rows.slot("d", 9) is None
    assert [queued.id for queued in rows.queue("d")] == [drop(n).id for n in (1, 2, 3)]
    assert {queued.state for queued in rows.queue("d")} == {State.RESERVED}
    assert list(rows.queue("nowhere")) == []
    assert rows.next_reserved("d") is one
    numbers = [rows.number(loaders.DROP_NUMBERS) for _ in range(2)]
    assert numbers == [one.sequence + 3, one.sequence + 4]
    assert rows.number(loaders.TRANSFER_NUMBERS) > 0


@pytest.mark.parametrize("count", range(1, 10))
def test_a_queue_has_each_drop_once_however_many_are_loaded(
    connection: SqliteConnection, count: int
) -> None:
    rows = LoadedRows(connection.executor)
    others = {f"a{number}" for number in range(1, count)}
    needs = Needs(queues={"d", *others}, drops={drop(1).id}, machines={"d", *others})
    rows.take(needs, connection.executor.exchange(calls_for(needs)))
    assert [queued.id for queued in rows.queue("d")] == [drop(n).id for n in (1, 2, 3)]


def test_what_was_named_is_asked_for_once(executor: CountingExecutor) -> None:
    rows = LoadedRows(executor)
    calls = calls_for(EVERYTHING)
    rows.take(EVERYTHING, executor.exchange(calls))
    asked = len(executor.asked)
    assert asked == len(calls) == 13
    look(rows)
    # On SQLite the drop that comes first is asked for when it is needed.
    assert [statement for statement, _ in executor.asked[asked:]] == [loaders.FREE_DROPS]


def test_what_nobody_named_is_asked_for_when_it_is_needed(executor: CountingExecutor) -> None:
    rows = LoadedRows(executor)
    look(rows)
    asked = len(executor.asked)
    assert rows.account(ALICE) is not None
    assert rows.drop(drop(1).id) is not None
    assert len(executor.asked) == asked


def test_needs_that_name_nothing_ask_nothing() -> None:
    assert calls_for(Needs()) == []
