"""The books against a model of them: whatever is done or tried, both agree and verify."""

import sqlite3
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.ledger import TransferKind
from drink_frontend.domain.movements import MovementSelection
from drink_frontend.storage.engine import DatabaseConnection, Query
from drink_frontend.storage.identity_map import IdentityMap
from drink_frontend.storage.postgres_engine import PostgresEngine
from drink_frontend.storage.sqlite_engine import SqliteEngine
from drink_frontend.storage.transaction import Transaction
from drink_frontend.storage.verify import verify_books
from tests.support.books import (
    NOW,
    PRICE,
    adjust,
    advance,
    found,
    fund,
    limit,
    load,
    move,
    refund,
    reserve,
    resolution_of,
)
from tests.support.books import drop as order
from tests.support.databases import fresh_sqlite
from tests.support.ids import ALICE, BOB
from tests.support.postgres import fresh_postgres

OUTCOMES = {
    State.DISPATCHED: Cause.NONE,
    State.DISPENSED: Cause.BOARD_ACK,
    State.NOT_DISPENSED: Cause.BOARD_REFUSED,
    State.UNKNOWN: Cause.BOARD_SILENT,
}
USERS = st.sampled_from([ALICE, BOB])
AMOUNTS = st.sampled_from([0, 1, 49, 50, 999, 1_000, 1_000_000])


def move_stock(tx: Transaction, slot: int, change: int) -> None:
    """A person changes a slot by so many items."""
    kept = tx.machines.slot("d", slot)
    assert kept is not None
    load(tx, "d", slot, kept.on_hand + change)


class Model:
    """What the books must say: a few sums."""

    def __init__(self) -> None:
        self.owned = {ALICE: 1_000, BOB: 0}
        self.states: list[tuple[str, int, int, State]] = []
        self.refunded: set[int] = set()
        self.limits = {ALICE: 0, BOB: 0}
        self.loaded = {1: 5, 2: 5}

    def held(self, user: str) -> int:
        open_drops = (drop for drop in self.states if drop[0] == user and not drop[3].final)
        return sum(price for _, price, _, _ in open_drops)

    def can_pay(self, user: str, amount: int) -> bool:
        return not amount or self.owned[user] - self.held(user) + self.limits[user] >= amount

    def on_hand(self, slot: int) -> int:
        gone = [
            drop for drop in self.states if drop[2] == slot and drop[3] is not State.NOT_DISPENSED
        ]
        return self.loaded[slot] - len(gone)

    def can_reserve(self, slot: int) -> bool:
        return self.on_hand(slot) > 0

    def can_move(self, number: int, target: State) -> bool:
        state = self.states[number][3]
        if state.final or (state, target) == (State.UNKNOWN, State.DISPATCHED):
            return False
        alone = all(drop[3] is not State.DISPATCHED for drop in self.states)
        return target is not State.DISPATCHED or (alone and state is State.RESERVED)

    def can_refund(self, number: int, amount: int) -> bool:
        _, price, _, state = self.states[number]
        is_paid = state is State.DISPENSED and number not in self.refunded
        return is_paid and 1 <= amount <= price

    def move(self, number: int, target: State) -> None:
        user, price, slot, _ = self.states[number]
        self.states[number] = (user, price, slot, target)
        if target is State.DISPENSED:
            self.owned[user] -= price


class Books(RuleBasedStateMachine):
    """Does to one database and to the model what a program, right or wrong, might do."""

    def __init__(self) -> None:
        super().__init__()
        self.end = ExitStack()
        self.connection = self.connect()
        self.end.callback(self.connection.close)
        self.model, self.requests = Model(), 0
        assert self.carry_out(found)

    def teardown(self) -> None:
        self.end.close()

    def connect(self) -> DatabaseConnection:
        """A writer's connection to a new database."""
        raise NotImplementedError

    def books(self) -> AbstractContextManager[Query]:
        """The books, to verify them."""
        raise NotImplementedError

    def carry_out(self, unit: Any) -> bool:
        """Runs a unit of work; whether the database took it."""
        self.requests += 1
        self.connection.begin()
        rows = IdentityMap(self.connection.executor)
        try:
            unit(Transaction(rows, 9))
            rows.store()
        except (AssertionError, sqlite3.IntegrityError, psycopg.IntegrityError):
            self.connection.rollback()
            return False
        self.connection.commit()
        return True

    @rule(user=USERS, amount=AMOUNTS)
    def add_credits(self, user: str, amount: int) -> None:
        assert self.carry_out(lambda tx: fund(tx, user, amount, f"{self.requests}"))
        self.model.owned[user] += amount

    @rule(user=USERS, amount=AMOUNTS)
    def set_limit(self, user: str, amount: int) -> None:
        assert self.carry_out(lambda tx: limit(tx, user, amount))
        self.model.limits[user] = amount

    @rule(sender=USERS, amount=AMOUNTS)
    def transfer(self, sender: str, amount: int) -> None:
        recipient = BOB if sender == ALICE else ALICE
        expected = self.model.can_pay(sender, amount)
        taken = self.carry_out(lambda tx: move(tx, sender, recipient, amount, f"{self.requests}"))
        assert taken == expected
        if taken:
            self.model.owned[sender] -= amount
            self.model.owned[recipient] += amount

    @rule(user=USERS, price=AMOUNTS, slot=st.sampled_from([1, 2]))
    def reserve(self, user: str, price: int, slot: int) -> None:
        number = len(self.model.states)
        expected = self.model.can_pay(user, price) and self.model.can_reserve(slot)
        new = order(number, account=user, price=price, slot=slot)
        assert self.carry_out(lambda tx: reserve(tx, new)) == expected
        if expected:
            self.model.states.append((user, price, slot, State.RESERVED))

    @precondition(lambda self: self.model.states)
    @rule(data=st.data(), goal=st.sampled_from(list(OUTCOMES)))
    def move_drop(self, data: st.DataObject, goal: State) -> None:
        number = data.draw(st.integers(0, len(self.model.states) - 1))
        expected = self.model.can_move(number, goal)
        drop_id, cause = order(number).id, OUTCOMES[goal]
        assert self.carry_out(lambda tx: advance(tx, drop_id, goal, cause)) == expected
        if expected:
            self.model.move(number, goal)

    @precondition(lambda self: self.model.states)
    @rule(data=st.data(), amount=AMOUNTS)
    def refund_drop(self, data: st.DataObject, amount: int) -> None:
        number = data.draw(st.integers(0, len(self.model.states) - 1))
        user, price, slot, _ = self.model.states[number]
        expected = self.model.can_refund(number, amount)
        kept = order(number, account=user, price=price, slot=slot)
        taken = self.carry_out(lambda tx: refund(tx, kept, amount, f"{self.requests}"))
        assert taken == expected
        if taken:
            self.model.refunded.add(number)
            self.model.owned[user] += amount

    @rule(slot=st.sampled_from([1, 2]), change=st.integers(-6, 3))
    def move_stock(self, slot: int, change: int) -> None:
        """Invariant 27: as many items as are on hand can leave a slot, each with its movement."""
        expected = self.model.on_hand(slot) + change >= 0
        assert self.carry_out(lambda tx: move_stock(tx, slot, change)) == expected
        if expected:
            self.model.loaded[slot] += change

    @rule(slot=st.sampled_from([1, 2]))
    def delete_slot_and_make_it_again(self, slot: int) -> None:
        states = {drop[3] for drop in self.model.states if drop[2] == slot}
        is_settled = all(state.final for state in states)

        def replace_slot(tx: Transaction) -> None:
            tx.machines.delete_slot("d", slot, NOW)
            assert tx.machines.slot("d", slot) is None
            tx.machines.add_slot("d", slot, f"item {slot}", PRICE, NOW)

        expected = is_settled and not self.model.on_hand(slot)
        assert self.carry_out(replace_slot) == expected

    @rule(slot=st.sampled_from([1, 2]), change=st.integers(-1, 1))
    def move_stock_twice_by_one_request(self, slot: int, change: int) -> None:
        request_id = f"{self.requests}"

        def twice(tx: Transaction) -> None:
            for _ in range(2):
                adjust(tx, "d", slot, change, request_id=request_id)

        assert not self.carry_out(twice)

    @rule(user=USERS, amount=AMOUNTS)
    def take_from_sales(self, user: str, amount: int) -> None:
        request_id = f"{self.requests}"
        assert not self.carry_out(lambda tx: move(tx, "sales/d", user, amount, request_id))

    @precondition(lambda self: self.model.states)
    @rule(data=st.data(), kind=st.sampled_from([TransferKind.POST, TransferKind.VOID]))
    def resolve_past_the_drop(self, data: st.DataObject, kind: TransferKind) -> None:
        number = data.draw(st.integers(0, len(self.model.states) - 1))
        user, price, slot, _ = self.model.states[number]
        kept = order(number, account=user, price=price, slot=slot)
        again = resolution_of(kept, kind, id=f"again-{self.requests}")
        assert not self.carry_out(lambda tx: tx.ledger.add(again))

    @invariant()
    def the_books_say_what_the_model_says(self) -> None:
        tx = Transaction(IdentityMap(self.connection.executor), 9)
        for user, owned in self.model.owned.items():
            account = tx.accounts.get(user)
            assert account is not None
            assert (account.posted, account.held) == (owned, self.model.held(user))
        for slot in (1, 2):
            states = [drop[3] for drop in self.model.states if drop[2] == slot]
            kept = tx.machines.slot("d", slot)
            assert kept is not None
            waiting = sum(state in {State.RESERVED, State.DISPATCHED} for state in states)
            expected = (waiting, states.count(State.DISPENSED), states.count(State.UNKNOWN))
            assert (kept.reserved, kept.dispensed, kept.unknown) == expected
            assert kept.on_hand == self.model.on_hand(slot)
            moved = tx.stock.list(None, 1_000, MovementSelection(slot=("d", slot)))
            items = kept.on_hand + kept.reserved + kept.unknown
            assert sum(movement.change for movement in moved) == items

    @invariant()
    def the_books_verify(self) -> None:
        with self.books() as books:
            assert verify_books(books) == []


class BooksOnSqlite(Books):
    def connect(self) -> DatabaseConnection:
        folder = self.end.enter_context(TemporaryDirectory(prefix="drink-books-"))
        engine = SqliteEngine(fresh_sqlite(Path(folder)), exclusive=True)
        self.end.callback(engine.close)
        connection = engine.connect(read_only=False)
        self.driver = connection._driver
        # A sync at each step would test the disk and not the books.
        self.driver.execute("PRAGMA synchronous = OFF")
        return connection

    def books(self) -> AbstractContextManager[Query]:
        return nullcontext(self.driver.execute)


class BooksOnPostgres(Books):
    def connect(self) -> DatabaseConnection:
        base = fresh_postgres()
        assert base.url is not None
        self.reader = self.end.enter_context(psycopg.connect(base.url, autocommit=True))
        return PostgresEngine(base).connect(read_only=False)

    def books(self) -> AbstractContextManager[Query]:
        return nullcontext(lambda sql: self.reader.execute(sql.encode()))


TestBooksOnSqlite = BooksOnSqlite.TestCase
TestBooksOnSqlite.settings = settings(
    max_examples=min(settings().max_examples, 200), stateful_step_count=40, deadline=None
)
# A database for each, and a look at it after each step, take longer here.
TestBooksOnPostgres = BooksOnPostgres.TestCase
TestBooksOnPostgres.settings = settings(
    max_examples=min(settings().max_examples, 20), stateful_step_count=30, deadline=None
)
