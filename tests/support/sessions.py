"""Sessions over the real use cases, and their clients, with a socket and without."""

import asyncio
import inspect
import socket
import struct
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self, TypeVar, cast

import pytest

from drink_frontend.domain.drop import Cause, DropEvent, State
from drink_frontend.domain.entities import ALL_DROPS, Account, Drop, Machine, Reach, Slot
from drink_frontend.sessions.codec import LineDecoder
from drink_frontend.sessions.context import Services
from drink_frontend.sessions.dialects import CLASSIC, Dialect
from drink_frontend.sessions.server import SessionServer
from drink_frontend.sessions.session import Session
from drink_frontend.storage.identity_map import IdentityMap
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.sqlite_engine import SqliteEngine
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.advance import advance
from drink_frontend.usecases.drops import Drops
from drink_frontend.usecases.placement import DropOrder
from drink_frontend.usecases.views import Views
from tests.fakes.clock import FakeClock
from tests.support.bench import Bench, BenchDatabase
from tests.support.entities import make_machine, make_slot
from tests.support.tasks import cancel

T = TypeVar("T")

PATIENCE_S = 20.0
"""Longest wait of a test for something that must come."""

STARTED_MS = 1_795_405_840_000
"""Mon, 23 Nov 2026 03:50:40 GMT."""

IBUTTON = "1234567890ABCDEF"


async def until(true: Callable[[], bool]) -> None:
    """Waits until a condition is true that gives no sign of its own."""
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


MACHINES = (
    make_machine(
        "d",
        "Big Drink",
        [
            make_slot("d", 1, "Coke", 50, 13),
            make_slot("d", 2, "Mountain Dew", 50, 15),
            make_slot("d", 3, "Sprite", 5, 1),
            make_slot("d", 4, "Dr. Pepper", 10, 0),
            make_slot("d", 5, "Broken", 10, 5, enabled=False),
        ],
        temperature_celsius=3.5,
    ),
    make_machine(
        "ld",
        "Little Drink",
        [make_slot("ld", 1, "Jolt", 20, 3), make_slot("ld", 2, "Bawls", 500, 3)],
        location="NRH (South)",
    ),
)

USERS = (("user", 100), ("user2", 30), ("admin", 50))


class PassingClock(FakeClock):
    """A clock on which every wait passes at once, unless a test holds it.

    Attributes:
        is_held: Whether waits last until the test lets time pass.
    """

    is_held = False

    async def sleep(self, seconds: float) -> None:
        if self.is_held:
            await super().sleep(seconds)
        else:
            self.pass_s(seconds)


class World:
    """The real use cases with two machines and three users; boards act as the test says.

    Attributes:
        outcomes: Outcomes of the next drops, in order; (DISPENSED, BOARD_ACK) when empty.
        holding: Whether boards keep drops until `settle`.
        broken: Errors that use cases raise, by the name of the operation; one is used per call.
        calls: How often each operation was called.
        origins: Where logins with a password came from, in order.
        stopped: Arguments of SHUTDOWN.
        placed: Set once a drop was placed.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.clock = cast("PassingClock", bench.clock)
        self.outcomes: list[tuple[State, Cause]] = []
        self.holding = False
        self.broken: dict[str, list[Exception]] = {}
        self.calls: Counter[str] = Counter()
        self.origins: list[str] = []
        self.stopped: list[bool] = []
        self.placed = asyncio.Event()
        self._drops = _Boards(self)
        self._engine = SqliteEngine(StorageSettings(path=bench.path), exclusive=False)
        self._reader = self._engine.connect(read_only=True)
        accounts, machines = self._watched(bench.accounts), self._watched(bench.machines)
        self._services: dict[str, Any] = {
            "accounts": accounts,
            "permits": bench.permits,
            "transfers": self._watched(bench.transfers),
            "drops": self._watched(self._drops),
            "machines": machines,
            "notes": self._watched(bench.notes),
            "views": Views(bench.storage.changes, accounts.balance, machines.get),
        }

    def close(self) -> None:
        self._reader.close()
        self._engine.close()

    def services(self, *, may_stop: bool = False) -> Services:
        return Services(
            **self._services,
            version="1.2.3",
            started_ms=STARTED_MS,
            shutdown=self.stopped.append if may_stop else None,
            choose=lambda slots: slots[-1],
        )

    def forget_views(self) -> None:
        """Nothing is in memory from now on."""
        for view in (self._services["views"].accounts, self._services["views"].machines):
            view.get_cached = lambda _name: None

    def _watched(self, part: T) -> T:
        return cast("T", _Watched(part, self))

    # What there is, read from the database.

    def read(self, query: Callable[[Transaction], T]) -> T:
        self._reader.begin()
        try:
            return query(Transaction(IdentityMap(self._reader.executor), tokens_max=0))
        finally:
            self._reader.rollback()

    @property
    def accounts(self) -> Mapping[str, Account]:
        users = self.read(lambda tx: tx.accounts.list_users())
        return MappingProxyType({account.name: account for account in users})

    @property
    def machines(self) -> Mapping[str, Machine]:
        machines = self.read(lambda tx: tx.machines.list())
        return MappingProxyType({machine.name: machine for machine in machines})

    @property
    def drops(self) -> list[Drop]:
        """All drops, oldest first."""
        return list(self.read(lambda tx: tx.drops.list(ALL_DROPS, None, 1_000)))[::-1]

    @property
    def permits_held(self) -> list[str]:
        """Name of the account of each login that is registered."""
        held = self.bench.permits._held
        ids = [each for each, permits in held.items() for _ in permits]
        return sorted(self.read(lambda tx: [tx.accounts.get(each).name for each in ids]))  # type: ignore[union-attr]

    # What tests change.

    async def settle(self, state: State = State.DISPENSED, cause: Cause = Cause.BOARD_ACK) -> None:
        """Gives the oldest open drop its outcome, whatever state it is in."""
        events = {
            State.DISPENSED: DropEvent.PROVE_DISPENSED,
            State.NOT_DISPENSED: DropEvent.PROVE_NOT_DISPENSED,
            State.UNKNOWN: DropEvent.LOSE,
        }

        def settle(tx: Transaction) -> None:
            open_drops = [
                drop
                for drop in reversed(tx.drops.list(ALL_DROPS, None, 1_000))
                if not drop.state.answered
            ]
            now_ms = self.clock.now_ms()
            advance(tx, open_drops[0], events[state], cause, actor="board", now_ms=now_ms, facts={})

        await self.bench.storage.write(settle)

    async def reach(self, machine: str, reach: Reach) -> None:
        await self.bench.reach(reach, machine)

    async def change_slot(self, machine: str, number: int, **changes: Any) -> Slot:
        admin = self.accounts["admin"]
        return await self.bench.machines.update_slot(admin, machine, number, **changes)

    async def change_machine(self, name: str, **changes: Any) -> None:
        await self.bench.machines.change("test", name, **changes)

    async def add_machine(self, machine: Machine, reach: Reach = Reach.READY) -> None:
        await _add_machine(self.bench, self.accounts["admin"], machine)
        await self.reach(machine.name, reach)

    async def change_temperature(self, machine: str, celsius: float | None) -> None:
        now_ms = self.bench.clock.now_ms()
        await self.bench.storage.write(
            lambda tx: tx.machines.set_temperature(machine, celsius, now_ms)
        )

    async def add_slot(self, slot: Slot) -> None:
        await self.bench.machines.create_slot(
            "test", slot.machine, slot.number, item=slot.item, price=slot.price,
            available=slot.on_hand,
        )  # fmt: skip

    async def close_account(self, name: str) -> None:
        await self.bench.accounts.change("test", name, closed=True)

    async def add_credits(self, name: str, credits_added: int) -> None:
        await self.bench.transfers.add_credits(
            self.accounts["admin"], f"gift-{name}-{credits_added}", name, credits_added
        )


class _Boards(Drops):
    """Drops that boards settle at once, unless the test keeps them."""

    def __init__(self, world: World) -> None:
        self.__dict__.update(world.bench.drops.__dict__)
        self._world = world

    async def place(self, order: DropOrder) -> Drop:
        world = self._world
        drop = await super().place(order)
        world.placed.set()
        if not world.holding:
            await world.settle(*(world.outcomes.pop(0) if world.outcomes else ()))
        return drop


class _Watched:
    """A use case whose calls are counted, and fail where the test says so."""

    def __init__(self, part: object, world: World) -> None:
        self._part = part
        self._world = world

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._part, name)
        if not inspect.iscoroutinefunction(method):
            return method

        async def call(*arguments: Any, **named: Any) -> Any:
            self._world.calls[name] += 1
            if name == "login_password":
                self._world.origins.append(arguments[-1])
            if self._world.broken.get(name):
                raise self._world.broken[name].pop(0)
            return await method(*arguments, **named)

        return call


async def _add_machine(bench: Bench, admin: Account, machine: Machine) -> None:
    name, machines = machine.name, bench.machines
    await machines.create("test", name, machine.display_name, machine.location)
    await bench.link(name)
    celsius, now_ms = machine.temperature_celsius, bench.clock.now_ms()
    await bench.storage.write(lambda tx: tx.machines.set_temperature(name, celsius, now_ms))
    for slot in machine.slots:
        terms: dict[str, Any] = {"item": slot.item, "price": slot.price, "available": slot.on_hand}
        await machines.create_slot("test", name, slot.number, **terms)
        if not slot.enabled:
            await machines.update_slot(admin, name, slot.number, enabled=False)


async def furnish(folder: Path) -> Path:
    """A database with the machines and users of a world, to be copied for each test."""
    database = BenchDatabase(folder)
    async with database.open() as bench:
        for name, _ in USERS:
            admin = await bench.accounts.create("test", name, password="pw", admin=name == "admin")
        await bench.accounts.change("test", "user", ibutton=IBUTTON)
        for name, credits_given in USERS:
            await bench.transfers.add_credits(admin, f"first-{name}", name, credits_given)
        for machine in MACHINES:
            await _add_machine(bench, admin, machine)
    return database.path


@asynccontextmanager
async def open_world(folder: Path, template: Path) -> AsyncGenerator[World, None]:
    """A world from its start to its end; the books must agree then."""
    database = BenchDatabase(folder, template, starts=1)
    database.clock = PassingClock()
    async with database.open() as bench:
        world = World(bench)
        looking = asyncio.create_task(bench.permits.run())
        try:
            yield world
        finally:
            await cancel(looking)
            world.close()


class Typist:
    """Types into a session and reads what it says, line after line, without a socket."""

    def __init__(
        self,
        world: World,
        dialect: Dialect = CLASSIC,
        machine: str | None = "d",
        *,
        line_max: int = 512,
        may_stop: bool = False,
    ) -> None:
        self.session = Session(
            world.services(may_stop=may_stop), dialect, "192.0.2.7", machine, login_failures_max=3
        )
        self.decoder = LineDecoder(line_max)
        self.hung_up = False

    async def send(self, data: bytes) -> bytes:
        """The replies to what comes with these bytes."""
        self.decoder.feed(data)
        replies = b""
        while not self.hung_up and (event := self.decoder.next_event()) is not None:
            answer = self.session.answer_now(event) or await self.session.answer_pending()
            replies += b"".join(answer.parts)
            self.hung_up = answer.hang_up
        return replies

    async def type(self, line: str) -> str:
        """The reply to one line, as text."""
        return (await self.send(line.encode() + b"\n")).decode()

    async def login(self, name: str = "user") -> Self:
        await self.type(f"USER {name}")
        assert "OK" in await self.type("PASS pw")
        return self


class Caller:
    """A client with a socket."""

    def __init__(self, server: SessionServer, listener: int = 0, **more: Any) -> None:
        self.address = server.addresses[listener]
        self.more = more

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(*self.address, **self.more)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.writer.transport.abort()
        await asyncio.sleep(0)

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def read(self, end: bytes = b"\n") -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readuntil(end)

    async def read_lines(self, count: int) -> list[bytes]:
        return [await self.read() for _ in range(count)]

    async def read_all(self) -> bytes:
        """Everything until the server hangs up."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.read()

    async def ask(self, line: bytes, end: bytes = b"\n") -> bytes:
        self.send(line)
        return await self.read(end)

    def reset(self) -> None:
        """Goes away without a word: the server gets a reset, not an end of the stream."""
        at_once = struct.pack("ii", 1, 0)
        own_socket = self.writer.get_extra_info("socket")
        own_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        self.writer.transport.abort()

    async def login(self, name: bytes = b"user") -> Self:
        await self.read()
        await self.ask(b"USER " + name + b"\n")
        assert b"OK" in await self.ask(b"PASS pw\n")
        return self


@asynccontextmanager
async def deaf_client(server: SessionServer) -> AsyncGenerator[None, None]:
    """A client that sends commands without end and reads nothing; must be cut off in the end."""
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    deaf.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(deaf, server.addresses[0])
    sending = asyncio.ensure_future(loop.sock_sendall(deaf, b"STAT\n" * 2_000_000))
    try:
        yield
        with pytest.raises(OSError):  # noqa: PT011  reset or broken pipe, as it happens
            await sending
    finally:
        deaf.close()
