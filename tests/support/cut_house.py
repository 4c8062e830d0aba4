"""Two frontends and a person at a prompt on one PostgreSQL; one frontend is cut off at will.

After each cut everybody is asked again what they were told, and what there is must explain it: each
order has one drop, each drop one outcome, and the buyers' credits are what their cans left over.
"""

import asyncio
import random
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self
from urllib.parse import urlsplit

import psycopg

from drink_frontend.domain.drop import Cause, State, Verdict
from drink_frontend.domain.entities import Drop, Result
from drink_frontend.domain.errors import PriceAboveCeilingError, StorageUnavailableError
from drink_frontend.domain.ledger import FUNDING_ACCOUNT
from drink_frontend.storage.database import Database
from drink_frontend.storage.needs import Needs
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.placement import DropOrder, Placed, Placement
from drink_frontend.usecases.settings import DropSettings
from tests.fakes.cutting_proxy import Cut, CuttingProxy
from tests.support import books
from tests.support.batches import Unit, reporting
from tests.support.books import NOW, PRICE, add_machine, fund, load, move
from tests.support.gates import held
from tests.support.ids import ALICE, BOB, id_of
from tests.support.postgres import execute

CREDITS = 900_000
"""What each buyer begins with: numbers of as many digits all the way."""

CAROL = id_of("carol")
"""Made and given credits by whoever sits at the prompt, of which no event tells."""

CANS = 9_000
EPOCHS = {"d": 1, "e": 1, "f": 1}
SETTINGS = DropSettings(waiting_max=1_000)

AT_FAULT = (1, 2, 3, 4)
"""Where the unit that the database refuses stands among the five others: not first, not last."""

VERIFY_EVERY = 50
"""Cuts between two checks of the books: what is wrong in them stays."""

LIMIT_S = 30
"""Seconds in which anybody is answered."""


class Turn(StrEnum):
    """What a turn of the frontend that is cut off carries."""

    ORDER = "order"
    """One drop, which is dispatched."""
    RESULT = "result"
    """One drop's outcome."""
    SOME = "some"
    """A result, three orders of two buyers, and one that is refused."""
    DIVIDED = "divided"
    """The same and a move of credits that the database refuses, so that the batch is divided."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A unit of work that is asked for once more after the cut.

    Attributes:
        unit: What to carry out.
        needs: What it names.
        placement: The order, if it is one.
        refusal: The error that it ends with if it is carried out.
    """

    unit: Unit
    needs: Needs | None = None
    placement: Placement | None = None
    refusal: type[Exception] | None = None


class Person:
    """Writes to the books at a prompt, from a thread of its own; a context manager.

    What concerns numbers that a program gives away is done within a turn, what does not is not.
    Every other time it is taken back.

    Args:
        settings: Of the database.
        seed: Of what is written.

    Attributes:
        given: Credits given to carol so far.
        refused: Transactions that the server undid since a frontend's was in the way.
        done: Transactions that ended as they were meant to.
    """

    def __init__(self, settings: StorageSettings, seed: int) -> None:
        self._settings = settings
        self._rng = random.Random(seed)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._write, name="person")
        self._failure: BaseException | None = None
        self.writing = threading.Lock()
        self.given = self.refused = self.done = 0

    def __enter__(self) -> Self:
        execute(
            self._settings,
            "INSERT INTO accounts (id, kind, admin, closed, created_ms, debits_pending,"
            f" debits_posted, credits_pending, credits_posted) VALUES ('{CAROL}', 'USER',"
            f" 0, 0, {NOW}, 0, 0, 0, 0)",
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(LIMIT_S)
        assert self._failure is None, self._failure

    def _write(self) -> None:
        try:
            with psycopg.connect(self._settings.url or "", autocommit=True) as driver:
                # Whoever sits at a prompt is the one that gives way.
                driver.execute("SET deadlock_timeout = '20ms'")
                while not self._stopped.wait(self._rng.uniform(0, 0.01)):
                    with self.writing:
                        self._once(driver)
        except BaseException as error:
            self._failure = error

    def _once(self, driver: psycopg.Connection[Any]) -> None:
        gift = self._rng.randint(1, 9) if self._rng.random() < 0.5 else 0
        keeps = self._rng.random() < 0.5
        try:
            driver.execute("BEGIN")
            if gift:
                self._give(driver, gift)
            else:
                # No turn is taken: a frontend that writes the same row is undone and tries again.
                word = f"hash {self._rng.random()}"
                driver.execute(
                    "UPDATE accounts SET password_hash = %s WHERE id = %s", (word, ALICE)
                )
            driver.execute("COMMIT" if keeps else "ROLLBACK")
        except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected):
            self.refused += 1
            driver.execute("ROLLBACK")
            return
        self.done += 1
        self.given += gift if keeps else 0

    def _give(self, driver: psycopg.Connection[Any], amount: int) -> None:
        driver.execute("LOCK TABLE alembic_version IN EXCLUSIVE MODE")
        driver.execute(
            "INSERT INTO transfers (id, kind, debit_account, credit_account, amount, created_ms,"
            " actor, request_id)"
            " SELECT id, 'MOVE', %s, %s, %s, %s, 'root', id"
            " FROM (SELECT 'prompt-' || gen_random_uuid() AS id) AS named",
            (FUNDING_ACCOUNT, CAROL, amount, NOW),
        )
        driver.execute(
            "UPDATE accounts SET debits_posted = debits_posted + %s WHERE id = %s",
            (amount, FUNDING_ACCOUNT),
        )
        driver.execute(
            "UPDATE accounts SET credits_posted = credits_posted + %s WHERE id = %s",
            (amount, CAROL),
        )


class CutHouse:
    """The frontends, the person, and what they know.

    Args:
        settings: Of the database.
        proxy: Between the first frontend and the database.
        first: A frontend that reaches it through the proxy.
        second: One that does not.
        person: Who writes at the prompt.
        seed: Of when the second frontend writes.

    Attributes:
        person: The same.
        refused: Units of work that were refused because of a cut.
    """

    def __init__(
        self,
        settings: StorageSettings,
        proxy: CuttingProxy,
        first: Database,
        second: Database,
        person: Person,
        seed: int,
    ) -> None:
        self._prompt = psycopg.connect(settings.url or "", autocommit=True)
        self._proxy = proxy
        self._first, self._second = first, second
        self.person = person
        self._rng = random.Random(seed)
        self._number = 100_000
        self._ordered = dict.fromkeys((ALICE, BOB), 0)
        self._cuts = 0
        self.refused = 0

    async def length(
        self, turn: Turn, *, fresh: bool, of: Callable[[Iterable[int]], int] = min
    ) -> tuple[int, ...]:
        """Bytes and messages up, bytes and messages down of a turn that is not cut.

        Args:
            turn: Which.
            fresh: Whether it begins on a new connection, so that it logs in first.
            of: Chooses among the lengths of such turns: how often a batch is divided depends on
                where the unit at fault stands.
        """
        # The first one prepares statements.
        await self._measure(turn, AT_FAULT[0], fresh)
        lengths = [await self._measure(turn, place, fresh) for place in AT_FAULT]
        return tuple(of(each) for each in zip(*lengths, strict=True))

    async def _measure(self, turn: Turn, at_fault: int, fresh: bool) -> tuple[int, ...]:
        asked = await self._prepare(turn, at_fault)
        with self.person.writing:
            if fresh:
                self._proxy.cut_all()
            commits = self._first.stats.commits
            await self._together(asked, None)
            turns = self._first.stats.commits - commits
            alone = 1 + (len(asked) > 1)
            assert (turns > alone) is (turn is Turn.DIVIDED), f"{turns} turns"
            up, down = self._proxy.passed.values()
        await self._settle_all()
        return up.count, len(up.ends), down.count, len(down.ends)

    async def cut(self, turn: Turn, cut: Cut, *, fresh: bool) -> bool:
        """Carries out a turn that is cut at a place, and looks at what is left of it.

        Returns:
            Whether the turn was so long that it came to that place.
        """
        asked = await self._prepare(turn, self._rng.choice(AT_FAULT))
        cuts = self._proxy.cuts
        if fresh:
            self._proxy.cut_all()
        rival = asyncio.create_task(self._rival(self._rng.uniform(0, 0.005)))
        answers = await self._together(asked, cut)
        self._proxy.arm(None)
        await rival
        self._compare(asked, answers)
        # Whoever was not answered asks again, of another frontend.
        again = await self._ask(self._second, [self._repeated(one) for one in asked])
        for one, before, after in zip(asked, answers, again, strict=True):
            self._explain(one, before, after)
        await self._settle_all()
        self._cuts += 1
        if self._cuts % VERIFY_EVERY == 0:
            await self.check()
        return self._proxy.cuts > cuts

    async def check(self) -> None:
        """The books are right, and the buyers have what their cans and gifts left over."""
        with self.person.writing:
            problems = await self._second.verify()
            assert not problems, problems
            found = self._query(
                "SELECT id, credits_posted - debits_posted, debits_pending FROM accounts"
                f" WHERE id IN ('{ALICE}', '{BOB}', '{CAROL}')",
            )
            left = {user: CREDITS - PRICE * count for user, count in self._ordered.items()}
            left[CAROL] = self.person.given
            assert sorted(found) == sorted((user, own, 0) for user, own in left.items())
            drops = self._query("SELECT state, count(*) FROM drops GROUP BY state")
            assert drops == [("DISPENSED", sum(self._ordered.values()))]

    def close(self) -> None:
        """Ends its own connection."""
        self._prompt.close()

    def _query(self, sql: str) -> list[tuple[Any, ...]]:
        return self._prompt.execute(sql.encode()).fetchall()

    async def _prepare(self, turn: Turn, at_fault: int) -> list[Asked]:
        if turn is Turn.ORDER:
            return [self._order(ALICE, "d", 1)]
        order = self._order(ALICE, "d", 1)
        (placed,) = await self._ask(self._second, [order])
        assert isinstance(placed, Placed)
        result = self._result(placed.drop)
        if turn is Turn.RESULT:
            return [result]
        number = self._next()
        too_dear = DropOrder(BOB, f"request-{number}", "e", 2, price_ceiling=1)
        some = [
            result,
            self._order(BOB, "e", 1),
            replace(_placing(too_dear, number), placement=None, refusal=PriceAboveCeilingError),
            self._order(ALICE, "d", 2),
            self._order(ALICE, "e", 2),
        ]
        if turn is Turn.DIVIDED:
            request = f"too much {number}"
            too_much = Asked(
                lambda tx: move(tx, BOB, ALICE, CREDITS + 1, request), refusal=psycopg.Error
            )
            some.insert(at_fault, too_much)
        return some

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _order(self, user: str, machine: str, slot: int) -> Asked:
        number = self._next()
        self._ordered[user] += 1
        return _placing(DropOrder(user, f"request-{number}", machine, slot), number)

    def _repeated(self, asked: Asked) -> Asked:
        """The same once more: an order with its request_id, for a drop of another id."""
        return _placing(asked.placement.order, self._next()) if asked.placement else asked

    def _result(self, drop: Drop) -> Asked:
        result = Result(drop.id, 1, State.DISPENSED, Cause.BOARD_ACK, {}, self._next())
        needs = Needs(
            drops={drop.id}, machines={drop.machine}, queues={drop.machine}, new_transfers=1
        )
        return Asked(reporting(result, EPOCHS, NOW + result.journal_sequence), needs)

    async def _together(self, asked: Sequence[Asked], cut: Cut | None) -> list[object]:
        """The answers of the first frontend to units of work that one turn carries.

        Several wait until the turn before theirs, whose commit is counted too, is let go on.
        """
        if len(asked) == 1:
            self._proxy.arm(cut)
            return await self._ask(self._first, asked)
        async with asyncio.timeout(LIMIT_S), held(self._first.write):
            self._proxy.arm(cut)
            asking = [asyncio.create_task(self._first.write(one.unit, one.needs)) for one in asked]
            await asyncio.sleep(0)
        return await asyncio.gather(*asking, return_exceptions=True)

    async def _ask(self, storage: Database, asked: Sequence[Asked]) -> list[object]:
        async with asyncio.timeout(LIMIT_S):
            return await asyncio.gather(
                *(storage.write(one.unit, one.needs) for one in asked), return_exceptions=True
            )

    async def _rival(self, after_s: float) -> None:
        """The second frontend sells a can to the same buyer."""
        await asyncio.sleep(after_s)
        (placed,) = await self._ask(self._second, [self._order(ALICE, "f", 1)])
        assert isinstance(placed, Placed), placed
        assert placed.is_new

    def _compare(self, asked: Sequence[Asked], answers: Sequence[object]) -> None:
        """What was said to be kept is kept, and what was refused is not."""
        for one, answer in zip(asked, answers, strict=True):
            if one.placement is None:
                continue
            known = isinstance(answer, Placed)
            assert not isinstance(answer, Placed) or answer.is_new, "it was carried out twice"
            assert known or isinstance(answer, StorageUnavailableError), answer
            self.refused += not known
            kept = self._query(f"SELECT id FROM drops WHERE id = '{one.placement.drop_id}'")
            assert bool(kept) == known, f"{answer}, and {kept}"

    def _explain(self, asked: Asked, before: object, after: object) -> None:
        """The answer to the repetition fits the first one."""
        if asked.placement is not None:
            assert isinstance(after, Placed), after
            assert after.is_new is not isinstance(before, Placed)
            assert after.is_new or after.drop.id == asked.placement.drop_id
        elif asked.refusal is not None:
            assert isinstance(after, asked.refusal), after
            assert isinstance(before, asked.refusal | StorageUnavailableError), before
        else:
            assert isinstance(after, tuple), after
            assert isinstance(before, tuple | StorageUnavailableError), before
            # An agent repeats its result until it is taken.
            self.refused += not isinstance(before, tuple)
            if isinstance(before, tuple):
                assert before[0].verdict is not Verdict.REPEATED, "it was carried out twice"
            assert isinstance(before, tuple) == (after[0].verdict is Verdict.REPEATED), after

    async def _settle_all(self) -> None:
        """The agents tell of all that was dispatched, and of what was dispatched then."""
        while under_way := self._query(
            "SELECT id FROM drops WHERE state = 'DISPATCHED' ORDER BY sequence"
        ):
            ids = [drop_id for (drop_id,) in under_way]
            drops = await self._second.read(lambda tx, ids=ids: [tx.drops.get(i) for i in ids])  # type: ignore[misc]
            results = [self._result(drop) for drop in drops if drop is not None]
            for answer in await self._ask(self._second, results):
                assert isinstance(answer, tuple), answer


def _placing(order: DropOrder, number: int) -> Asked:
    made = Placement(
        order, SETTINGS, f"{number:026d}", f"hold-{number}", EPOCHS[order.machine], NOW + number
    )
    return Asked(made.carry_out, made.needs, made)


def through(settings: StorageSettings, port: int) -> StorageSettings:
    """The same database through another port."""
    parts = urlsplit(settings.url or "")
    host = parts.netloc.rpartition(":")[0]
    url = parts._replace(netloc=f"{host}:{port}").geturl()
    return settings.model_copy(update={"url": url})


def furnish(tx: Transaction) -> None:
    """Three machines with many cans, two buyers with many credits."""
    books.found(tx)
    for machine in ("e", "f"):
        add_machine(tx, machine)
    for machine in EPOCHS:
        for slot in (1, 2):
            load(tx, machine, slot, CANS)
    # Alice has 1,000 already.
    fund(tx, ALICE, CREDITS - 1_000, "alice's")
    fund(tx, BOB, CREDITS, "bob's")
