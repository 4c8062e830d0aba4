"""Batches against one unit of work after another: the same rows in every table, the same replies.

Also what a unit of work that breaks a rule does to the others of its batch.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from drink_frontend.domain.alarms import Alarm
from drink_frontend.domain.drop import Cause, DropEvent, State
from drink_frontend.domain.entities import Account, AuditKind, AuditRecord, Drop
from drink_frontend.domain.errors import (
    AccountNotFoundError,
    DrinkError,
    InsufficientCreditsError,
    RequestIdReusedError,
    SlotEmptyError,
    TokenInvalidError,
)
from drink_frontend.domain.events import Event
from drink_frontend.domain.kiosks import Kiosk
from drink_frontend.domain.ledger import TransferKind
from drink_frontend.domain.statistics import Tally
from drink_frontend.domain.stock import STOCK_MAX
from drink_frontend.storage.engine import Engine
from drink_frontend.storage.event_codec import decode
from drink_frontend.storage.identity_map import IdentityMap
from drink_frontend.storage.needs import Needs
from drink_frontend.storage.postgres_engine import PostgresEngine
from drink_frontend.storage.rows import SEQUENCE
from drink_frontend.storage.sqlite_engine import SqliteEngine
from drink_frontend.storage.statements import Statement
from drink_frontend.storage.tables import metadata
from drink_frontend.storage.transaction import Transaction
from drink_frontend.storage.verify import verify_books
from drink_frontend.storage.workers import Job, JobResult
from drink_frontend.storage.writer import Writer
from drink_frontend.usecases.advance import advance, sale_of
from drink_frontend.usecases.counting import Plan, carry_out, plan_of
from drink_frontend.usecases.placement import DropOrder, Placed, Placement
from drink_frontend.usecases.transfers import _Order
from tests.support.batches import BATCHES, CAROL, SETTINGS, Script, Unit, count, furnish, moving
from tests.support.books import (
    NOW,
    adjust,
    drop,
    fund,
    hold_of,
    move,
    refund,
    reserve,
    resolution_of,
    token,
)
from tests.support.databases import fresh_sqlite
from tests.support.ids import ALICE, BOB
from tests.support.postgres import fresh_postgres

Case = tuple[Unit, Needs | None]
"""A unit of work and what it names."""


class House:
    """One database with its writer."""

    def __init__(self, engine: Engine, settings: Any) -> None:
        self.engine = engine
        self.broken: list[BaseException] = []
        self.writer = Writer(engine, settings, self.broken.append, lambda: NOW)
        self.events: list[Event] = []
        self._future = asyncio.get_running_loop().create_future()

    def carry_out(self, units: Sequence[tuple[Unit, Needs | None]]) -> Sequence[JobResult]:
        """Carries out units of work in one batch."""
        plan = self._plan()

        def add_up(tx: Transaction) -> None:
            carry_out(tx, plan)

        jobs = [
            Job(add_up if unit is count else unit, self._future, needs) for unit, needs in units
        ]
        results, changes = self.writer.carry_out(jobs)
        assert not self.broken
        self.events += changes.events
        return results

    def rows(self) -> dict[str, list[Any]]:
        """All rows of all tables, with their sequences as numbers, and all events."""
        with closing(self.engine.connect(read_only=True)) as reader:
            reader.begin()
            tables: dict[str, list[Any]] = {
                name: sorted(map(tuple, reader.executor.all(Statement(select(table)))), key=str)
                for name, table in metadata.tables.items()
                if name not in {"writers", "event_log"}
            }
            reader.rollback()
        # How far the sums are is told in rows of events, of which each batch has one.
        assert tables.pop("statistics_progress")
        stored = sorted(tables.pop("events"))
        tables["events"] = [_counted(event) for _, _, text in stored for event in decode(text)]
        return {name: _numbered(name, tables) for name in tables}

    def _plan(self) -> Plan:
        """What the next unit of work of statistics does, from a snapshot."""
        with closing(self.engine.connect(read_only=True)) as reader:
            reader.begin()
            tx = Transaction(IdentityMap(reader.executor), 0)
            present = tx.statistics.progress()
            plan = plan_of(tx, "UTC") or Plan(present, present, Tally())
            reader.rollback()
        return plan

    def count(self) -> None:
        """Counts what there is into the sums of statistics."""
        while (plan := self._plan()).before != plan.after:
            assert self.carry_out([(count, None)])[0].error is None

    def verify(self) -> Sequence[str]:
        """What is wrong with the books."""
        with self.engine.reading() as query:
            return verify_books(query)

    def close(self) -> None:
        """Closes the database."""
        self.writer.close()
        self.engine.close()


@pytest.fixture
def new_house(engine: str, tmp_path: Path) -> Iterator[Callable[[], House]]:
    with ExitStack() as end:

        def make() -> House:
            number = len(list(tmp_path.iterdir()))
            if engine == "sqlite":
                (tmp_path / f"{number}").mkdir()
                settings = fresh_sqlite(tmp_path / f"{number}")
                house = House(SqliteEngine(settings, exclusive=True), settings)
            else:
                settings = fresh_postgres()
                house = House(PostgresEngine(settings), settings)
            end.callback(house.close)
            for result in house.carry_out([(furnish, None)]):
                assert result.error is None
            return house

        yield make


def _numbered(name: str, tables: dict[str, list[Any]]) -> list[Any]:
    """The rows of a table, with sequences, its own and those it refers to, as numbers from 0.

    Numbers that an undone transaction has taken are missing on PostgreSQL.
    """
    rows = tables[name]
    if name == "events":
        return rows
    for place, column in enumerate(metadata.tables[name].c):
        of = {key.column.table.name for key in column.foreign_keys if key.column.name == SEQUENCE}
        if not (of or column.name == SEQUENCE):
            continue
        (owner,) = of or {name}
        at = list(metadata.tables[owner].c.keys()).index(SEQUENCE)
        numbers = {row: number for number, row in enumerate(sorted(r[at] for r in tables[owner]))}
        rows = [(*row[:place], numbers.get(row[place]), *row[place + 1 :]) for row in rows]
    own = metadata.tables[name].c.keys()
    return sorted(rows, key=itemgetter(own.index(SEQUENCE)) if SEQUENCE in own else str)


def _counted(event: Event) -> Event:
    """An event without the number that the database has given its alarm or kiosk."""
    if not isinstance(event.state, Alarm | Kiosk):
        return event
    return replace(event, state=replace(event.state, sequence=0))


def said(result: JobResult) -> object:
    """A reply without what the database counts."""
    if result.error is not None:
        text = str(result.error) if isinstance(result.error, DrinkError) else ""
        return type(result.error).__name__, text
    return _plain(result.value)


def _plain(value: object) -> object:
    if isinstance(value, Drop):
        return replace(value, sequence=0)
    if isinstance(value, Placed):
        return value.is_new, value.behind, _plain(value.drop), _plain(value.commanded)
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return getattr(value, "verdict", value)


@pytest.mark.parametrize("number", range(3))
async def test_a_batch_does_what_its_units_do_one_after_another(
    new_house: Callable[[], House], number: int
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}, number {number}")
    script, together, apart = Script(seed), new_house(), new_house()
    for _ in range(BATCHES):
        units = script.batch()
        replies = [said(result) for result in together.carry_out(units)]
        alone = [said(result) for unit in units for result in apart.carry_out([unit])]
        assert replies == alone
        for house in (together, apart):
            house.count()
        assert together.rows() == apart.rows()
        assert together.verify() == []
    assert together.writer.stats.commits < apart.writer.stats.commits


def dispatch_early(tx: Transaction) -> None:
    """Dispatches a drop whose time has not come."""
    kept = reserve(tx, replace(drop(900), state=State.SCHEDULED, not_before_ms=NOW + 1))
    tx.drops.move(kept, State.DISPATCHED, Cause.NONE, NOW, epoch=1, journal_id="j")


def bad_units() -> dict[str, Unit]:
    """Mistakes of a program, by the rule that refuses them."""
    order = drop(900)

    def dispatch_two(tx: Transaction) -> None:
        for number in (901, 902):
            kept = reserve(tx, drop(number))
            moved = {"epoch": 1, "journal_id": "j"}
            tx.drops.move(kept, State.DISPATCHED, Cause.NONE, NOW, **moved)  # type: ignore[arg-type]

    def settle_again(tx: Transaction) -> None:
        kept = reserve(tx, order)
        settled = tx.drops.move(kept, State.NOT_DISPENSED, Cause.CANCELLED, NOW)
        tx.ledger.add(resolution_of(order, TransferKind.VOID))
        tx.drops.move(settled, State.DISPENSED, Cause.BOARD_ACK, NOW)

    def resolve_a_waiting_one(tx: Transaction) -> None:
        reserve(tx, order)
        tx.ledger.add(resolution_of(order, TransferKind.POST))

    def move_twice(tx: Transaction) -> None:
        for _ in range(2):
            move(tx, CAROL, ALICE, 1, "twice")

    return {
        "drops_dispatched_alone": dispatch_two,
        "drops_settled_stay": settle_again,
        "drops_move_with_hold": lambda tx: tx.drops.move(
            tx.drops.add(order), State.NOT_DISPENSED, Cause.CANCELLED, NOW
        ),
        "transfers_hold_fits": lambda tx: tx.ledger.add(hold_of(order)),
        "transfers_resolution_fits": resolve_a_waiting_one,
        "accounts_available": lambda tx: move(tx, BOB, ALICE, 1_000, "too much"),
        "slots_places": lambda tx: [reserve(tx, drop(number)) for number in range(910, 920)],
        "transfers_debit_account_exists": lambda tx: move(tx, "nobody", ALICE, 1, "from nobody"),
        "transfers_one_request": move_twice,
        "drops_account_once": lambda tx: [
            tx.drops.add(replace(order, id=f"{number:026d}")) for number in (903, 904)
        ],
        "drops_dispatched_from_reserved": dispatch_early,
        "refunds_fit": lambda tx: refund(tx, reserve(tx, order), 1),
        "stock_movements_fit": lambda tx: tx.stock.add(sale_of(reserve(tx, order), "agent:d", NOW)),
        "slots_loaded_within_limit": lambda tx: adjust(tx, "d", 1, STOCK_MAX),
        "tokens_key": lambda tx: tx.tokens.add(token(f"token-{BOB}", BOB)),
        "drops_price": lambda tx: tx.drops.add(replace(order, price=-1)),
        "transfers_refund_fits": lambda tx: move(tx, "sales/d", ALICE, 1, "from sales"),
        "audit_facts": lambda tx: tx.audit.add(
            AuditRecord(AuditKind.NOTE, NOW, "root", facts={"words": "x" * 70_000})
        ),
    }


@pytest.mark.parametrize("rule", bad_units())
async def test_one_unit_of_64_that_breaks_a_rule_is_found_and_the_others_are_served(
    new_house: Callable[[], House], rule: str
) -> None:
    house = new_house()
    units: list[tuple[Unit, Needs | None]] = [
        (lambda tx, number=number: fund(tx, ALICE, 1, f"gift {number}"), None)  # type: ignore[misc]
        for number in range(64)
    ]
    place = random.randrange(64)
    print(f"place {place}")
    units[place] = bad_units()[rule], None
    results = house.carry_out(units)
    assert [number for number, result in enumerate(results) if result.error] == [place]
    error = results[place].error
    assert type(error).__module__.split(".")[0] in {"sqlite3", "psycopg"}
    alice = next(row for row in house.rows()["accounts"] if row[0] == ALICE)
    assert 1_063 in alice
    assert house.verify() == []


async def test_a_batch_larger_than_a_statement_is_stored_whole(
    new_house: Callable[[], House],
) -> None:
    house = new_house()

    def unit(tx: Transaction) -> None:
        for number in range(6_000):
            tx.audit.add(AuditRecord(AuditKind.NOTE, NOW, "root", facts={"number": number}))

    (result,) = house.carry_out([(unit, None)])
    assert result.error is None
    notes = [row for row in house.rows()["audit"] if row[1] == "NOTE"]
    assert [row[-1] for row in notes] == [f'{{"number":{number}}}' for number in range(6_000)]


async def test_a_unit_sees_what_another_process_has_removed(
    new_house: Callable[[], House],
) -> None:
    house = new_house()
    assert house.carry_out([(lambda tx: tx.tokens.holder(f"token-{BOB}", NOW), None)])[0].value
    other = Writer(house.engine, house.writer._settings, house.broken.append, lambda: NOW)
    with closing(other):
        job = Job(lambda tx: tx.tokens.remove_all(BOB), house._future)
        assert other.carry_out([job])[0][0].error is None
    needs = Needs(tokens={f"token-{BOB}"})
    (result,) = house.carry_out([(lambda tx: tx.tokens.holder(f"token-{BOB}", NOW), needs)])
    assert result.value is None


def order_of(user: str, number: int, request: str) -> Case:
    """An order of a can from machine e's first slot, with the buyer's bearer token."""
    order = DropOrder(user, request, "e", 1, token=f"token-{user}")
    made = Placement(order, SETTINGS, f"{number:026d}", f"hold-{number}", None, NOW + number)
    return made.carry_out, made.needs


def cancelling(number: int) -> Case:
    """What a buyer does who cancels that drop."""

    def unit(tx: Transaction) -> object:
        kept = tx.drops.get(f"{number:026d}")
        assert kept is not None
        return advance(
            tx, kept, DropEvent.CANCEL, Cause.CANCELLED, actor=ALICE, now_ms=NOW
        ).drop.state

    return unit, Needs(drops={f"{number:026d}"}, new_transfers=1)


def refusing(tx: Transaction) -> None:
    """Changes something and refuses."""
    fund(tx, ALICE, 7, "half")
    raise SlotEmptyError("on second thoughts")


REVOKE: Case = (lambda tx: tx.tokens.remove_all(ALICE), None)

CASES: dict[str, tuple[list[Case], list[object]]] = {
    # Machine e's slots have two cans each.
    "the last can": (
        [order_of(user, number, f"r{number}") for number, user in enumerate((ALICE, CAROL, ALICE))],
        [True, True, SlotEmptyError],
    ),
    "the last can, which is cancelled": (
        [
            order_of(ALICE, 0, "r0"),
            order_of(CAROL, 1, "r1"),
            order_of(CAROL, 2, "r2"),
            cancelling(0),
            order_of(CAROL, 3, "r3"),
        ],
        [True, True, SlotEmptyError, State.NOT_DISPENSED, True],
    ),
    "one request_id twice": (
        [order_of(ALICE, 0, "r0"), order_of(ALICE, 1, "r0"), order_of(CAROL, 2, "r0")],
        [True, False, True],
    ),
    "a cancel after a place": (
        [order_of(ALICE, 0, "r0"), cancelling(0), order_of(ALICE, 1, "r0")],
        [True, State.NOT_DISPENSED, False],
    ),
    "a token revoked in mid-batch": (
        [order_of(ALICE, 0, "r0"), REVOKE, order_of(ALICE, 1, "r1"), order_of(CAROL, 2, "r2")],
        [True, None, TokenInvalidError, True],
    ),
    "a job that refuses between two that do not": (
        [order_of(ALICE, 0, "r0"), (refusing, None), order_of(CAROL, 1, "r1")],
        [True, SlotEmptyError, True],
    ),
    "a transfer by one request_id twice, and another one": (
        [moving(_Order(CAROL, "m1", CAROL, ALICE, amount, "")) for amount in (60, 60, 61)],
        [4_940, 4_940, RequestIdReusedError],
    ),
    "a grant by two administrators, and what is paid with it": (
        [
            moving(_Order("root", "g1", None, "bob", 900, "")),
            (refusing, None),
            moving(_Order(CAROL, "g1", None, "BOB", 900, "")),
            moving(_Order(BOB, "g1", BOB, "carol", 1_000, "")),
            moving(_Order(BOB, "g2", BOB, "carol", 1_000, "")),
        ],
        [1_020, SlotEmptyError, 1_020, 20, InsufficientCreditsError],
    ),
    "an account renamed in mid-batch": (
        [
            moving(_Order(CAROL, "m1", CAROL, "alice", 1, "")),
            (lambda tx: tx.accounts.rename(ALICE, "alison"), None),
            moving(_Order(CAROL, "m2", CAROL, "alice", 1, "")),
            moving(_Order(CAROL, "m3", CAROL, "Alison", 1, "")),
        ],
        [4_999, None, AccountNotFoundError, 4_998],
    ),
}
"""Units of work, and what each comes to: whether its drop is new, its error, the credits of its
account, or its value."""


@pytest.mark.parametrize("naming", [True, False], ids=["named", "unnamed"])
@pytest.mark.parametrize("case", CASES)
async def test_units_of_one_batch_see_what_those_before_them_decided(
    new_house: Callable[[], House], case: str, naming: bool
) -> None:
    units, expected = CASES[case]
    if not naming:
        units = [(unit, None) for unit, _ in units]
    together, apart = new_house(), new_house()
    commits = together.writer.stats.commits
    results = together.carry_out(units)
    assert together.writer.stats.commits == commits + 1
    alone = [result for unit in units for result in apart.carry_out([unit])]
    assert [came_to(result) for result in results] == expected
    assert [said(result) for result in results] == [said(result) for result in alone]
    assert together.rows() == apart.rows()
    assert together.verify() == []


def came_to(result: JobResult) -> object:
    """What is expected of a unit of work."""
    if result.error is not None:
        return type(result.error)
    if isinstance(result.value, Account):
        return result.value.posted
    return result.value.is_new if isinstance(result.value, Placed) else result.value
