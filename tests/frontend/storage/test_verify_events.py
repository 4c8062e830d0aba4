"""The check of the events: silent about a sound log, and it finds what is left out or wrong."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from drink_frontend.storage.verify_events import check_events
from tests.support.bench import BenchDatabase
from tests.support.ids import ANN, BOB, ROOT

Batches = list[list[list[Any]]]
"""The changes of each row of events."""


@pytest.fixture
async def house(tmp_path: Path) -> Path:
    """The database of a house in which everything was sold, refunded and changed."""
    database = BenchDatabase(tmp_path)
    async with database.open() as bench:
        await bench.furnish()
        sold = await bench.dispatched("r1")
        await bench.report(sold)
        await bench.unknown("r2", account=BOB, machine="ld")
        await bench.accounts.change(ROOT, "bob", credit_limit=7)
        await bench.change_slot("d", 2, price=31)
        await bench.machines.change(ROOT, "d", location="hall")
    return database.path


@pytest.fixture
def books(house: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(house)) as connection:
        yield connection


def read(books: sqlite3.Connection) -> dict[int, list[list[Any]]]:
    rows = books.execute("SELECT sequence, changes FROM events ORDER BY sequence")
    return {sequence: json.loads(changes) for sequence, changes in rows}


def write(books: sqlite3.Connection, batches: dict[int, list[list[Any]]]) -> None:
    for sequence, events in batches.items():
        changed = json.dumps(events), sequence
        books.execute("UPDATE events SET changes = ? WHERE sequence = ?", changed)


def places(books: sqlite3.Connection, kind: str, name: str) -> list[tuple[int, int]]:
    """Where the events of a kind and a name are."""
    return [
        (sequence, index)
        for sequence, events in read(books).items()
        for index, (event, _, state) in enumerate(events)
        if event == kind
        and name in {state.get(field) for field in ("account", "id", "name", "machine")}
    ]


def remove(kind: str, name: str, number: int) -> Callable[[sqlite3.Connection], None]:
    def change(books: sqlite3.Connection) -> None:
        sequence, index = places(books, kind, name)[number]
        events = read(books)[sequence]
        del events[index]
        write(books, {sequence: events})

    return change


def repeat(kind: str, name: str, number: int) -> Callable[[sqlite3.Connection], None]:
    def change(books: sqlite3.Connection) -> None:
        sequence, index = places(books, kind, name)[number]
        events = read(books)[sequence]
        events.insert(index, events[index])
        write(books, {sequence: events})

    return change


def test_a_sound_log_gives_nothing(books: sqlite3.Connection) -> None:
    assert list(check_events(books.execute)) == []
    assert places(books, "CREDITS", ANN)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (remove("DROP", ANN, 0), None),
        (remove("DROP", ANN, 1), "28: the events of drop"),
        (remove("DROP", ANN, -1), "28: the last event of drop"),
        (repeat("DROP", ANN, 1), "28: the events of drop"),
        (remove("CREDITS", ANN, 1), f"28: the events of account {ANN}"),
        (repeat("CREDITS", BOB, 0), f"28: the events of account {BOB}"),
        (remove("ACCOUNT", BOB, -1), f"28: the last event of account {BOB}"),
        (remove("SLOT", "d", -1), "28: the last event of slot d/2"),
        (remove("STOCK", "ld", -1), "28: the last event of slot ld/1"),
        (remove("MACHINE", "d", -1), "28: the last event of machine d"),
        (remove("REACH", "ld", -1), "28: the last event of machine ld"),
    ],
)
def test_an_event_that_is_left_out_or_repeated_is_found(
    books: sqlite3.Connection, wrong: Callable[[sqlite3.Connection], None], problem: str | None
) -> None:
    """Invariant 28: only the oldest events of anything may be missing."""
    wrong(books)
    problems = list(check_events(books.execute))
    if problem is None:
        assert problems == []
    else:
        assert any(each.startswith(problem) for each in problems), problems


def test_a_change_without_an_event_is_found(books: sqlite3.Connection) -> None:
    books.execute("UPDATE alarms SET count = count + 1")
    (problem,) = check_events(books.execute)
    assert problem.startswith("28: the last event of alarm")


def test_what_was_deleted_as_too_old_is_no_problem(books: sqlite3.Connection) -> None:
    sequences = list(read(books))
    for sequence in sequences[:-1]:
        books.execute("DELETE FROM events WHERE sequence = ?", (sequence,))
        assert list(check_events(books.execute)) == []
