"""The real use cases of one frontend over a real SQLite database, for tests of them and of edges.

The clock, ids, password hashes and links are fakes. The database is a copy of a file that is
migrated once per process, so that a test pays some 20 ms for it.
"""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from drink_frontend.domain.agents import AgentStats
from drink_frontend.domain.cards import CardKey
from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import (
    Account,
    AuditKind,
    AuditRecord,
    Drop,
    LinkOwnership,
    Reach,
    Result,
    Slot,
)
from drink_frontend.domain.errors import DrinkError, OutcomeUnknownError
from drink_frontend.metrics.instruments import Metrics
from drink_frontend.storage.database import Database
from drink_frontend.storage.engine import Engine
from drink_frontend.storage.needs import Needs
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.accounts import Accounts
from drink_frontend.usecases.agents import Agents, LinkOpening
from drink_frontend.usecases.alarms import AlarmReview
from drink_frontend.usecases.audit import Alarms, Notes
from drink_frontend.usecases.counting import Counting
from drink_frontend.usecases.deadlines import Deadlines
from drink_frontend.usecases.dispatch import Dispatch
from drink_frontend.usecases.drops import Drops
from drink_frontend.usecases.events import Events
from drink_frontend.usecases.items import Items
from drink_frontend.usecases.journals import Journals
from drink_frontend.usecases.links import Links, LinkStatus
from drink_frontend.usecases.machines import Machines
from drink_frontend.usecases.notifications import Notifications
from drink_frontend.usecases.permits import Permits
from drink_frontend.usecases.placement import DropOrder
from drink_frontend.usecases.settings import (
    AccountSettings,
    AlarmSettings,
    DropSettings,
    EventSettings,
    StatisticsSettings,
    TemperatureSettings,
)
from drink_frontend.usecases.statistics import Statistics
from drink_frontend.usecases.temperatures import Temperatures
from drink_frontend.usecases.transfers import Transfers
from drink_frontend.usecases.views import Views
from tests.fakes.clock import FakeClock
from tests.fakes.randomness import CountingRandomness
from tests.support.books import add_account
from tests.support.databases import fresh_sqlite
from tests.support.ids import ANN

T = TypeVar("T")

JOURNAL = "journal-1"
FRONTEND = "frontend-1"


each_outcome = pytest.mark.parametrize(
    ("outcome", "cause"),
    [
        (State.DISPENSED, Cause.BOARD_ACK),
        (State.NOT_DISPENSED, Cause.BOARD_REFUSED),
        (State.UNKNOWN, Cause.BOARD_SILENT),
    ],
)


class HandLink:
    """A link that a test has set, which records what it is told; see `HandLinks`.

    It implements `usecases.links.AgentLink`.
    """

    def __init__(self, links: "HandLinks", machine: str, status: LinkStatus) -> None:
        assert status.epoch is not None
        self.epoch = status.epoch
        self.reach = status.reach
        self.agent_version = ""
        self.stats: AgentStats | None = None
        self._links = links
        self._machine = machine

    def wake(self) -> None:
        self._links.wake(self._machine)

    def command(self, drop: Drop) -> None:
        self._links.commanded.append(drop)

    def fail(self, error: DrinkError) -> None:
        self._links.failed.append((self._machine, type(error)))

    def supersede(self) -> None:
        raise NotImplementedError

    def release(self) -> None:
        raise NotImplementedError


class HandLinks(Links):
    """Links as a test sets them, which record what they are told to do.

    Attributes:
        here: The links to this frontend.
        woken: Machines that were told of a drop, in order.
        commanded: Drops whose commands were to be sent, in order.
        failed: Machines whose links were ended with an error, with its class.
        superseded: Links that were ended, with the newer epoch.
        released: How often all links were ended.
        free: Share of the agent's disk that is free, by machine.
    """

    def __init__(self) -> None:
        super().__init__()
        self.here: dict[str, LinkStatus] = {}
        self.free: dict[str, float] = {}
        self.woken: list[str] = []
        self.commanded: list[Drop] = []
        self.failed: list[tuple[str, type[DrinkError]]] = []
        self.superseded: list[tuple[str, int]] = []
        self.released = 0

    def disks(self) -> dict[str, float]:
        return dict(self.free)

    def wake(self, machine: str) -> None:
        self.woken.append(machine)

    def ready(self, machine: str) -> HandLink | None:
        status = self.here.get(machine)
        if status is None or status.reach is not Reach.READY:
            return None
        return HandLink(self, machine, status)

    def status(self, machine: str) -> LinkStatus | None:
        return self.here.get(machine)

    def supersede(self, machine: str, epoch: int) -> None:
        link = self.here.get(machine)
        if link is not None and link.epoch is not None and link.epoch < epoch:
            self.superseded.append((machine, epoch))

    def release(self) -> int:
        self.released += 1
        return len(self.here)


class CountingDeadlines(Deadlines):
    """Deadlines that count how often they are woken."""

    woken = 0

    def wake(self) -> None:
        self.woken += 1
        super().wake()


class PlainHasher:
    """Passwords behind a prefix; implements `domain.ports.PasswordHasher`.

    Attributes:
        verified: How many hashes were looked at, those that do not exist included.
    """

    def __init__(self) -> None:
        self.verified = 0

    async def hash(self, password: str) -> str:
        return f"hash:{password}"

    async def verify(
        self, password_hash: str | None, password: str, lane: tuple[str, str] = ("", "")
    ) -> bool:
        self.verified += 1
        return password_hash == f"hash:{password}"


class ScriptedDatabase(Database):
    """A real database whose units of work a test can hold up, fail and count.

    Attributes:
        gate: Units of work wait for it before they are handed to the database; queries do not.
        waiting: Set once a unit of work waits at the gate.
        error: Raised in place of every unit of work and query; None for none.
        is_doubtful: Whether the outcome of each commit is unknown to its caller.
        asked: Set by each unit of work.
        under_way: How many units of work have not ended.
        reads: How many queries were made.
    """

    def __init__(self, engine: Engine, settings: StorageSettings, **more: Any) -> None:
        super().__init__(engine, settings, **more)
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = asyncio.Event()
        self.error: BaseException | None = None
        self.is_doubtful = False
        self.asked = asyncio.Event()
        self.under_way = 0
        self.reads = 0

    async def write(self, unit: Callable[[Transaction], T], needs: Needs | None = None) -> T:
        self.asked.set()
        if not self.gate.is_set():
            self.waiting.set()
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.under_way += 1
        try:
            value = await super().write(unit, needs)
        finally:
            self.under_way -= 1
        if self.is_doubtful:
            raise OutcomeUnknownError("the outcome of the commit is unknown")
        return value

    async def read(self, query: Callable[[Transaction], T]) -> T:
        self.reads += 1
        if self.error is not None:
            raise self.error
        return await super().read(query)


CARD_KEY = CardKey(b"the key for cards of the bench, 32")
"""The key of the bench for the numbers of cards."""


class Bench:
    """One frontend's use cases, without edges.

    Ann has 200 credits, Bob 100, Root is an administrator. Machine d has 3 Coke at 50 in slot 1
    and 1 Tea at 30 in slot 2; machine ld has 2 Coke at 50 in slot 1. Both are linked.
    """

    def __init__(
        self,
        storage: ScriptedDatabase,
        path: Path,
        clock: FakeClock,
        prefix: str,
        metrics: Metrics | None = None,
    ) -> None:
        self.metrics = metrics or Metrics()
        self.storage = storage
        self.path = path
        self.clock = clock
        self.links = HandLinks()
        self.hasher = PlainHasher()
        randomness = CountingRandomness(prefix)
        self.journals = Journals(storage, keep_s=0.01)
        self.alarms = Alarms(storage, clock, AlarmSettings())
        self.review = AlarmReview(storage, clock)
        self.notifications = Notifications(storage, clock)
        self.events = Events(storage, clock, EventSettings())
        self.counting = Counting(storage, StatisticsSettings(time_zone="Europe/Berlin"))
        self.statistics = Statistics(storage, clock)
        self.temperatures = Temperatures(storage, clock, TemperatureSettings())
        self.agents = Agents(
            storage, clock, self.journals, self.alarms, FRONTEND, temperatures=self.temperatures
        )
        self.dispatch = Dispatch(storage, clock, self.journals, self.alarms, self.metrics)
        self.deadlines = CountingDeadlines(storage, self.links, clock, DropSettings())
        self.drops = Drops(
            storage,
            self.links,
            clock,
            randomness,
            deadlines=self.deadlines,
            settings=DropSettings(waiting_max=5, waiting_per_account_max=4, scheduled_max=3),
        )
        self.accounts = Accounts(
            storage,
            self.hasher,
            clock,
            randomness,
            AccountSettings(),
            card_key=CARD_KEY,
            sleep=clock.sleep,
        )
        self.transfers = Transfers(storage, clock, randomness, AccountSettings())
        self.items = Items(storage, clock)
        self.machines = Machines(storage, clock, randomness)
        self.permits = Permits(storage, clock)
        self.views = Views(storage.changes, self.accounts.balance, self.machines.get)
        self.notes = Notes(storage, clock)

    async def furnish(self) -> None:
        root = await self.storage.write(lambda tx: add_account(tx, "root", admin=True))
        for name, credits_given in (("ann", 200), ("bob", 100)):
            await self.storage.write(partial(add_account, name=name))
            await self.transfers.add_credits(root, f"first-{name}", name, credits_given)
        for name in ("d", "ld"):
            await self.machines.create("test", name, name.upper())
        await self.machines.create_slot("test", "d", 1, item="Coke", price=50, available=3)
        await self.machines.create_slot("test", "d", 2, item="Tea", price=30, available=1)
        await self.machines.create_slot("test", "ld", 1, item="Coke", price=50, available=2)
        for name in ("d", "ld"):
            await self.link(name)

    async def link(
        self, machine: str = "d", journal: str = JOURNAL, sequence: int = 0, version: str = ""
    ) -> LinkOpening:
        """The machine's agent connects, and says which version it is if it says so."""
        agent = {"boot_id": "boot-1", "agent_version": version}
        return await self.agents.open_link(machine, (journal, sequence), Reach.READY, agent)

    async def reach(self, reach: Reach, machine: str = "d") -> None:
        """The machine's frontend says how far a command gets on its link."""
        frontend = None if reach is Reach.OFFLINE else FRONTEND
        claim = LinkOwnership(machine, await self.epoch(machine), frontend, reach)
        await self.storage.write(lambda tx: tx.machines.keep_ownership(claim, self.clock.now_ms()))

    async def epoch(self, machine: str = "d") -> int:
        return (await self.machines.get(machine)).epoch

    async def place(
        self,
        request_id: str = "r1",
        account: str = ANN,
        machine: str = "d",
        slot: int = 1,
        **terms: Any,
    ) -> Drop:
        return await self.drops.place(DropOrder(account, request_id, machine, slot, **terms))

    async def take(self, machine: str = "d") -> Drop | None:
        """The newest link takes the machine's next drop."""
        return await self.dispatch.take(machine, await self.epoch(machine))

    async def taken(self, machine: str = "d") -> Drop:
        """The machine's next drop, taken by the newest link."""
        drop = await self.take(machine)
        assert drop is not None
        return drop

    async def returned(self, drop: Drop) -> None:
        """The machine's agent says on a new link that it did not receive the drop's command."""
        opening = await self.link(drop.machine)
        await self.dispatch.not_received(drop.machine, opening.epoch, drop.id)

    async def dispatched(self, request_id: str = "r1", **order: Any) -> Drop:
        """A drop that was placed and handed to its agent."""
        drop = await self.place(request_id, **order)
        assert (await self.taken(drop.machine)).id == drop.id
        return await self.drop(drop.id)

    async def unknown(self, request_id: str = "r1", **order: Any) -> Drop:
        """A drop whose board fell silent."""
        drop = await self.dispatched(request_id, **order)
        await self.report(drop, State.UNKNOWN, Cause.BOARD_SILENT)
        return await self.drop(drop.id)

    async def report(
        self,
        drop: Drop | str,
        outcome: State = State.DISPENSED,
        cause: Cause = Cause.BOARD_ACK,
        *,
        revision: int = 1,
        machine: str = "d",
        evidence: dict[str, Any] | None = None,
        journal: tuple[str, int] = (JOURNAL, 0),
        epoch: int | None = None,
    ) -> Drop | None:
        """The machine's agent says what became of the drop."""
        return await self.dispatch.result(
            drop.machine if isinstance(drop, Drop) else machine,
            Result(
                drop.id if isinstance(drop, Drop) else drop,
                revision,
                outcome,
                cause,
                evidence or {},
                journal[1],
            ),
            journal[0],
            epoch,
        )

    async def drop(self, drop_id: str) -> Drop:
        drop = await self.storage.read(lambda tx: tx.drops.get(drop_id))
        assert drop is not None
        return drop

    async def state(self, drop: Drop | str) -> tuple[State, Cause]:
        now = await self.drop(drop.id if isinstance(drop, Drop) else drop)
        return now.state, now.cause

    async def account(self, name: str) -> Account:
        return await self.accounts.named(name)

    async def credits(self, name: str = "ann") -> tuple[int, int]:
        """Posted and held credits."""
        account = await self.account(name)
        return account.posted, account.held

    async def slot(self, machine: str = "d", number: int = 1) -> Slot:
        slot = await self.storage.read(lambda tx: tx.machines.slot(machine, number))
        assert slot is not None
        return slot

    async def stock(self, machine: str = "d", number: int = 1) -> tuple[int, int, int, int]:
        """Items on hand, reserved, dispensed and unknown."""
        slot = await self.slot(machine, number)
        return slot.on_hand, slot.reserved, slot.dispensed, slot.unknown

    async def books(self) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
        """Ann's credits, and the stock of the first slot of machine d."""
        return await self.credits(), await self.stock()

    async def change_slot(self, machine: str, number: int, **changes: Any) -> Slot:
        """An administrator changes a slot."""
        root = await self.account("root")
        return await self.machines.update_slot(root, machine, number, **changes)

    async def audit(self, *kinds: AuditKind, drop_id: str | None = None) -> list[AuditRecord]:
        """Records of those kinds, oldest first."""

        def records(tx: Transaction) -> list[AuditRecord]:
            return list(tx.audit.list(drop_id=drop_id, kinds=kinds, limit=1_000))

        return (await self.storage.read(records))[::-1]

    async def holds_and_ends(self, drop: Drop, account: str = ANN) -> list[str]:
        """The kinds of every transfer of the drop, oldest first."""
        entries = await self.storage.read(lambda tx: tx.ledger.entries(account, None, 1_000))
        return [entry.kind.value for entry in entries if entry.drop_id == drop.id][::-1]


class BenchDatabase:
    """One test's database, which can be opened again.

    Args:
        folder: The test's own.
        template: The database to begin with; an empty, migrated one if None.
        starts: How often it was opened before.
    """

    def __init__(self, folder: Path, template: Path | None = None, starts: int = 0) -> None:
        self.path = fresh_sqlite(folder).path
        if template is not None:
            shutil.copyfile(template, self.path)
        self.clock = FakeClock()
        self._starts = starts

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Bench, None]:
        """A frontend's use cases from its start to its end; the books must agree then."""
        self._starts += 1
        # No other process writes, unless a test keeps it from the lock for good.
        settings = StorageSettings(path=self.path, readers=1, busy_timeout_ms=200)
        metrics = Metrics(monotonic=self.clock.monotonic)
        async with ScriptedDatabase.open(
            settings, now_ms=self.clock.now_ms, metrics=metrics
        ) as storage:
            yield Bench(storage, self.path, self.clock, f"S{self._starts}", metrics)
            assert await storage.verify() == []

    def back_up(self) -> Path:
        """Copies the database with all that was committed."""
        copy = self.path.with_name("backup.db")
        with (
            closing(sqlite3.connect(self.path)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
        return copy

    def restore(self, copy: Path) -> None:
        """Puts an earlier state back; no frontend may have it open."""
        for name in (self.path.name, f"{self.path.name}-wal", f"{self.path.name}-shm"):
            self.path.with_name(name).unlink(missing_ok=True)
        shutil.copyfile(copy, self.path)
