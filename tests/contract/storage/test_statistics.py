"""The contract of statistics: the sums follow every change once, and agree with those made anew."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.errors import DrinkError, StorageUnavailableError
from drink_frontend.domain.statistics import FIRST, Kind, Numbers, Phase, Span, cover
from drink_frontend.storage import statistics as statistics_module
from drink_frontend.storage.statements import Statement
from drink_frontend.storage.statistics import Selection
from drink_frontend.storage.statistics_tables import statistics, statistics_unknown
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases import counting as counting_module
from drink_frontend.usecases.counting import Counting, carry_out, plan_of
from drink_frontend.usecases.refunds import RefundOrder
from drink_frontend.usecases.settings import StatisticsSettings
from tests.contract.storage.conftest import OpenStorage
from tests.fakes.clock import FakeClock
from tests.support.bench import Bench
from tests.support.ids import ANN, ROOT, id_of

STEPS = 80
ZONE = "Europe/Berlin"


@pytest.fixture(autouse=True)
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units of work so small that a test has many of them."""
    monkeypatch.setattr(counting_module, "BATCHES_AT_ONCE", 25)
    monkeypatch.setattr(counting_module, "DROPS_AT_ONCE", 3)
    monkeypatch.setattr(counting_module, "ROWS_AT_ONCE", 20)
    monkeypatch.setattr(counting_module, "CLEARED_AT_ONCE", 10)
    monkeypatch.setattr(counting_module, "PAUSE_S", 0.0)
    monkeypatch.setattr(statistics_module, "ROWS_AT_ONCE", 2)


@pytest.fixture
async def bench(open_storage: OpenStorage, tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_storage() as storage:
        scripted: Any = storage
        bench = Bench(scripted, tmp_path, FakeClock(), "S")
        await bench.furnish()
        await bench.change_slot("d", 1, available=500)
        await bench.change_slot("ld", 1, available=500)
        root = await bench.account("root")
        for name in ("ann", "bob"):
            await bench.transfers.add_credits(root, f"more-{name}", name, 100_000)
        yield bench
        assert await storage.verify() == []


def rows(tx: Transaction) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """All sums, and the drops that count as UNKNOWN."""
    sums = tx._executor.all(Statement(select(*statistics.c)))
    unknown = tx._executor.all(Statement(select(*statistics_unknown.c)))
    return {tuple(row[:5]): tuple(row[5:]) for row in sums} | {tuple(row): () for row in unknown}


async def total(bench: Bench, owner: str = "", kind: Kind = Kind.DAY) -> Numbers:
    selection = Selection(owner, kind, cover(10_000_101, 99_981_231))
    found = await bench.storage.read(lambda tx: tx.statistics.sums(selection, FIRST, 10))
    return found[0].numbers if found else Numbers()


class Life:
    """Random sales, outcomes, decisions and refunds, at random times."""

    def __init__(self, bench: Bench, seed: int) -> None:
        self.bench = bench
        self.chance = random.Random(seed)
        self.number = 0

    async def step(self) -> None:
        bench, chance = self.bench, self.chance
        self.number += 1
        bench.clock.pass_s(chance.choice((0.1, 60, 5_000, 90_000)))
        machine = chance.choice(("d", "ld"))
        name = chance.choice(("ann", "bob"))
        with suppress(DrinkError):
            match chance.randrange(8):
                case 0 | 1 | 2:
                    drop = await bench.dispatched(
                        f"r{self.number}", account=id_of(name), machine=machine
                    )
                    await bench.report(drop)
                case 3:
                    drop = await bench.dispatched(
                        f"r{self.number}", account=id_of(name), machine=machine
                    )
                    await bench.report(drop, State.NOT_DISPENSED, Cause.BOARD_REFUSED)
                case 4:
                    await bench.unknown(f"r{self.number}", account=id_of(name), machine=machine)
                case 5:
                    owner = await bench.account(name)
                    drop = await bench.place(f"r{self.number}", id_of(name), machine, delay_s=200)
                    await bench.drops.cancel(owner, drop.id)
                case 6:
                    await self.decide()
                case _:
                    await self.refund()

    async def decide(self) -> None:
        def unknown(tx: Transaction) -> list[str]:
            return [drop.id for drop in tx.drops.in_state(State.UNKNOWN)]

        ids = await self.bench.storage.read(unknown)
        if ids:
            await self.bench.drops.decide(
                ROOT,
                self.chance.choice(ids),
                dispensed=self.chance.random() < 0.5,
                why="looked",
            )

    async def refund(self) -> None:
        def paid(tx: Transaction) -> list[str]:
            return [drop.id for drop in tx.drops.after(0, 1_000) if drop.state is State.DISPENSED]

        ids = await self.bench.storage.read(paid)
        if ids:
            order = RefundOrder(
                request_id=f"r{self.number}",
                drop_id=self.chance.choice(ids),
                reason="stale",
                credits_given=self.chance.choice((None, 7)),
            )
            await self.bench.drops.refund(await self.bench.account("root"), order)


async def test_the_sums_made_anew_are_those_that_followed(
    bench: Bench, request: pytest.FixtureRequest
) -> None:
    """Invariant 29: whatever happens, and however far the sums are at each step."""
    life = Life(bench, request.config.option.hypothesis_seed or 0)
    for number in range(STEPS):
        await life.step()
        if life.chance.random() < 0.4:
            await bench.counting.step()
        if number % 10 == 0:
            assert await bench.storage.verify() == []
    await bench.counting.catch_up()
    followed = await bench.storage.read(rows)
    assert (await total(bench)).dispensed > 5
    assert (await total(bench)).refunds > 0
    await bench.counting.rebuild()
    assert await bench.storage.read(rows) == followed
    for kind in (Kind.DAY, Kind.ITEM, Kind.HOUR, Kind.ACCOUNT):
        assert await total(bench, kind=kind) == await total(bench)


async def test_sales_go_on_while_the_sums_are_made_anew(
    bench: Bench, request: pytest.FixtureRequest
) -> None:
    """Invariant 29: a drop that changes before, while and after it is counted is counted once."""
    life = Life(bench, (request.config.option.hypothesis_seed or 0) + 1)
    for _ in range(40):
        await life.step()
    await bench.counting.catch_up()
    await bench.counting._begin_anew()
    phases = set()
    while True:
        progress = await bench.counting.step()
        phases.add(None if progress is None else progress.phase)
        if progress is None or (progress.phase is Phase.FOLLOWING and len(phases) == 3):
            break
        for _ in range(2):
            await life.step()
        assert await bench.storage.verify() == []
    assert phases == set(Phase)
    await bench.counting.catch_up()
    followed = await bench.storage.read(rows)
    await bench.counting.rebuild()
    assert await bench.storage.read(rows) == followed


async def test_fault_31_two_frontends_that_count_at_once_count_once(
    open_storage: OpenStorage, engine: str, bench: Bench, request: pytest.FixtureRequest
) -> None:
    """Invariant 29: of two units of work from the same place one is carried out."""
    life = Life(bench, (request.config.option.hypothesis_seed or 0) + 2)
    for _ in range(30):
        await life.step()
    zone = StatisticsSettings(time_zone=ZONE)
    # SQLite lets one frontend in; beside it a command may do the same work.
    async with open_storage(beside=engine == "sqlite") as other:
        await asyncio.gather(
            bench.counting.catch_up(), Counting(other, zone).catch_up(), life.step()
        )
        await asyncio.gather(bench.counting.catch_up(), Counting(other, zone).rebuild())
    await bench.counting.catch_up()
    assert await bench.storage.verify() == []
    assert (await total(bench)).dispensed > 0


async def test_a_plan_from_another_place_adds_nothing(bench: Bench) -> None:
    drop = await bench.dispatched()
    await bench.report(drop)
    await bench.counting.catch_up()
    await bench.report(await bench.dispatched("r2"))
    plan = await bench.storage.read(lambda tx: plan_of(tx, ZONE))
    assert plan is not None
    first = await bench.storage.write(lambda tx: carry_out(tx, plan))
    again = await bench.storage.write(lambda tx: carry_out(tx, plan))
    assert first == again == plan.after
    assert (await total(bench)).dispensed == 2


async def test_fault_24_a_unit_that_is_not_committed_is_carried_out_again(bench: Bench) -> None:
    """Invariant 29: a process may be killed between any two units, and within each."""
    await bench.report(await bench.dispatched())
    await bench.unknown("r2", machine="ld")

    def killed(tx: Transaction) -> None:
        plan = plan_of(tx, ZONE)
        assert plan is not None
        carry_out(tx, plan)
        raise StorageUnavailableError("killed")

    while True:
        with pytest.raises(StorageUnavailableError):
            await bench.storage.write(killed)
        assert await bench.storage.verify() == []
        progress = await bench.counting.step()
        if progress is not None and progress.phase is Phase.FOLLOWING:
            break
    assert await total(bench) == Numbers(dispensed=1, spent=50, unknown=1, held=50)


async def test_events_that_were_deleted_before_they_were_counted(bench: Bench) -> None:
    await bench.counting.catch_up()
    await bench.report(await bench.dispatched())
    await bench.report(await bench.dispatched("r2"))
    await bench.storage.write(lambda tx: tx.events.remove_before(2**62, 1_000))
    await bench.report(await bench.dispatched("r3"))
    progress = await bench.counting.step()
    assert progress is not None
    assert progress.phase is Phase.CLEARING
    await bench.counting.catch_up()
    assert (await total(bench)).dispensed == 3


async def test_sums_are_grouped_paged_and_bounded(bench: Bench) -> None:
    for day in range(40):
        drop = await bench.dispatched(f"r{day}", machine="d" if day % 2 else "ld")
        await bench.report(drop)
        bench.clock.pass_s(86_400)
    await bench.counting.catch_up()

    async def sums(**terms: Any) -> list[tuple[int, str, str, int]]:
        selection = Selection(
            **{"owner": "", "kind": Kind.ITEM, "ranges": cover(10_000_101, 99_981_231), **terms}
        )
        found, after = [], FIRST
        while page := await bench.storage.read(
            lambda tx, after=after: tx.statistics.sums(selection, after, 3)  # type: ignore[misc]
        ):
            found += page
            after = (page[-1].period, page[-1].machine, page[-1].subject)
        return [(row.period, row.machine, row.subject, row.numbers.dispensed) for row in found]

    assert await sums() == [(0, "", "", 40)]
    assert await sums(by_machine=True, by_subject=True) == [
        (0, "d", "Coke", 20),
        (0, "ld", "Coke", 20),
    ]
    assert await sums(machine="d") == [(0, "", "", 20)]
    days = await sums(span=Span.DAY, ranges=cover(10_000_101, 99_981_231, Span.DAY))
    assert len(days) == 40
    assert {number for *_, number in days} == {1}
    each = await sums(
        span=Span.DAY, ranges=cover(10_000_101, 99_981_231, Span.DAY), by_machine=True
    )
    assert [(period, number) for period, *_, number in each] == [(day, 1) for day, *_ in days]
    inner = await sums(span=Span.DAY, ranges=cover(days[3][0], days[36][0], Span.DAY))
    assert inner == days[3:37]
    months = await sums(span=Span.MONTH, ranges=cover(10_000_101, 99_981_231, Span.MONTH))
    assert sum(number for *_, number in months) == 40
    first, last = days[3][0], days[36][0]
    assert await sums(ranges=cover(first, last)) == [(0, "", "", 34)]
    inner = await sums(ranges=cover(first, last, Span.MONTH), span=Span.MONTH)
    assert sum(number for *_, number in inner) == 34
    assert [period for period, *_ in inner] == [period for period, *_ in months]


async def test_only_those_are_ranked_who_want_to_be(bench: Bench) -> None:
    for number, name in enumerate(("ann", "ann", "bob")):
        await bench.report(await bench.dispatched(f"r{number}", account=id_of(name)))
    await bench.counting.catch_up()
    ever = (100_001, 999_812)

    async def ranked() -> list[tuple[str, int]]:
        return list(await bench.storage.read(lambda tx: tx.statistics.ranked(ever, 10)))

    assert await ranked() == []
    for name in ("ann", "bob"):
        await bench.accounts.preferences.change(id_of(name), ranked=True)
    assert [items for _, items in await ranked()] == [2, 1]
    await bench.accounts.preferences.change(ANN, ranked=False)
    assert [items for _, items in await ranked()] == [1]
    await bench.accounts.change(ROOT, "bob", closed=True)
    assert await ranked() == []


async def test_those_of_some_drops_that_count_as_unknown(bench: Bench) -> None:
    def note(tx: Transaction) -> None:
        tx.statistics.add_unknown(["drop-1", "drop-2", "drop-4"])

    def ask(tx: Transaction) -> list[set[str]]:
        asked: tuple[list[str], ...] = ([], ["drop-3"], ["drop-2", "drop-1", "drop-2", "drop-3"])
        return [tx.statistics.unknown_of(each) for each in asked]

    def forget(tx: Transaction) -> None:
        tx.statistics.remove_unknown(["drop-1", "drop-2", "drop-4"])

    await bench.storage.write(note)
    assert await bench.storage.read(ask) == [set(), set(), {"drop-1", "drop-2"}]
    await bench.storage.write(forget)
