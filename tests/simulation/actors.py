"""The people of the system: buyers, who insist, and those who look after machines and money.

All of them use the generated stubs over the network; operators use the command beside the frontend.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration

from drink.v1 import (
    account_service_pb2,
    account_service_pb2_grpc,
    drop_service_pb2,
    drop_service_pb2_grpc,
    machine_service_pb2,
    machine_service_pb2_grpc,
)
from drink_frontend.domain.errors import DrinkError
from drink_frontend.usecases.accounts import Accounts
from drink_frontend.usecases.deadlines import Deadlines
from drink_frontend.usecases.drops import Drops
from drink_frontend.usecases.links import Links
from drink_frontend.usecases.machines import Machines
from drink_frontend.usecases.transfers import Transfers
from tests.simulation.database import DatabaseTrouble
from tests.simulation.hosts import FastHasher
from tests.simulation.rpc import Channel
from tests.simulation.simulated_system import SLOTS, UNLISTED, SimulatedSystem
from tests.simulation.wire import Wire
from tests.simulation.world import Process

ADMIN = "root"
PRICES = (10, 25, 50)
KEEPERS_PRICE, KEEPERS_LIMIT = 5, 500
"""What the keeper pays for a can after all faults, and may owe for it."""

PATIENCE_S = 30.0
"""Seconds that a buyer's program waits for an answer before it repeats the request."""

TRIES_MAX = 120
"""The most tries; together they take longer than the longest fault."""

GIVEN_UP = ("MACHINE_OFFLINE", "BOARD_UNREACHABLE", "MACHINE_BUSY", "TOO_MANY_WAITING")
"""Refusals after which a buyer tries another machine."""

PASSING = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
"""Status codes after which a program repeats a request."""


def set_up(system: SimulatedSystem) -> None:
    """Makes accounts, machines and tokens, before anything runs."""
    process = Process(system.world, "setup")

    async def work() -> None:
        async with system.frontend.database(process, DatabaseTrouble()) as storage:
            clock, ids = system.frontend.clock, system.frontend.randomness
            accounts = Accounts(storage, FastHasher(), clock, ids, system.settings.accounts)
            transfers = Transfers(storage, clock, ids, system.settings.accounts)
            machines = Machines(storage, clock, ids)
            root = await accounts.create("setup", ADMIN, admin=True)
            limits = system.world.stream("credit limits")
            for number in range(system.plan.buyers):
                name = f"buyer{number}"
                account = await accounts.create("setup", name)
                await transfers.add_credits(root, f"first-{name}", name, system.plan.credits)
                limit = limits.choice([0, 0, 50, 200])
                await accounts.change("setup", name, credit_limit=limit)
                system.tokens[name], _ = await accounts.tokens.issue(account)
            # It has no credits, and pays for the last sales.
            await accounts.change("setup", ADMIN, credit_limit=KEEPERS_LIMIT)
            system.tokens[ADMIN], _ = await accounts.tokens.issue(root)
            for name, wire in system.wires.items():
                await machines.create("setup", name, name.upper())
                for slot in SLOTS:
                    await machines.create_slot(
                        "setup",
                        name,
                        slot,
                        item=f"can {slot}",
                        price=PRICES[slot - 1],
                        available=wire.board.counts.cans[slot],
                    )
                await machines.create_slot(
                    "setup", name, UNLISTED, item="ghost", price=PRICES[0], available=5
                )
                system.agents[name].token = await machines.new_token("setup", name)

    task = process.spawn(work())
    assert system.world.run(60, until=task.done)
    task.result()
    process.kill()


class Person:
    """Someone with an account and a program of the system's API.

    Args:
        system: The system.
        process: Where the program runs.
        name: The account.
        program: Begins the ids of its requests.
    """

    def __init__(
        self, system: SimulatedSystem, process: Process, name: str, program: str = "first"
    ) -> None:
        self.system, self.name, self._program = system, name, program
        self.rng = system.world.stream(f"person {name}")
        channel: Any = Channel(system.network, process)
        self.drops = drop_service_pb2_grpc.DropServiceStub(channel)
        self.accounts = account_service_pb2_grpc.AccountServiceStub(channel)
        self.machines = machine_service_pb2_grpc.MachineServiceStub(channel)
        self._requests = 0
        self._bearer = _bearer(system.tokens[name])

    def request_id(self) -> str:
        self._requests += 1
        return f"{self._program}-{self._requests}"

    async def insist(
        self,
        method: Callable[..., Awaitable[Any]],
        request: Any,
        *,
        patient: bool = False,
        actor: str | None = None,
    ) -> Any:
        """Asks until there is an answer, or a refusal; None for the latter.

        Args:
            method: Of a stub.
            request: What to ask.
            patient: Whether to ask on while a machine cannot be reached.
            actor: In whose name to ask, if not in this person's.
        """
        bearer = _bearer(self.system.tokens[actor or self.name])
        for attempt in range(TRIES_MAX):
            try:
                return await method(request, metadata=bearer, timeout=PATIENCE_S)
            except grpc.aio.AioRpcError as error:
                if error.code() not in PASSING or (not patient and _reason_of(error) in GIVEN_UP):
                    self.system.world.note(f"{self.name}: refused, {error.details()}")
                    return None
            await asyncio.sleep(self.rng.uniform(0.2, 1) * min(2**attempt, 5))
        return None

    async def once(self, method: Callable[..., Awaitable[Any]], request: Any) -> Any:
        """Sends a request once and cancels it after a moment."""
        try:
            patience_s = self.rng.choice([0.01, 0.5, PATIENCE_S])
            return await method(request, metadata=self._bearer, timeout=patience_s)
        except grpc.aio.AioRpcError:
            return None


def _bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def _reason_of(error: grpc.aio.AioRpcError) -> str:
    metadata = dict(error.trailing_metadata() or ())
    return str(metadata.get("drink-error-reason", ""))


class Buyer(Person):
    """Buys, and meanwhile repeats, cancels or watches."""

    async def live(self, until: float) -> None:
        """Does one thing after the other."""
        world = self.system.world
        while world.now < until:
            await asyncio.sleep(self.rng.expovariate(1 / self.system.plan.think_s))
            chance = self.rng.random()
            if chance < 0.75:
                await self._buy()
            elif chance < 0.85:
                await self._send_credits()
            else:
                await asyncio.gather(self._buy(), self._buy())

    def _order(self) -> drop_service_pb2.DropRequest:
        rng = self.rng
        machine = rng.choice(list(self.system.agents))
        delay_s = rng.choice([0, 0, 0, 1, 5, 30])
        slot = UNLISTED if rng.random() < 0.05 else rng.choice(SLOTS)
        return drop_service_pb2.DropRequest(
            request_id=self.request_id(),
            slot=f"machines/{machine}/slots/{slot}",
            delay=Duration(seconds=delay_s) if delay_s else None,
            price_ceiling=rng.choice([None, None, 50, 100]),
        )

    async def _buy(self) -> None:
        order, rng = self._order(), self.rng
        match rng.randrange(8):
            case 0:
                # Asked twice at once, as an impatient finger does.
                both = await asyncio.gather(
                    self.insist(self.drops.Drop, order), self.insist(self.drops.Drop, order)
                )
                response = both[0] or both[1]
            case 1:
                # Gone before the answer; and back later, or never.
                await self.once(self.drops.Drop, order)
                if rng.random() < 0.5:
                    return
                await asyncio.sleep(rng.uniform(0, 20))
                response = await self.insist(self.drops.Drop, order)
            case 2:
                response = await self.insist(self.drops.Drop, order)
                order.slot = f"machines/{next(iter(self.system.agents))}/slots/9"
                refused = await self.once(self.drops.Drop, order)
                if response is not None and refused is not None:
                    self.system.world.violate(f"12: {order.request_id} was taken for two orders")
            case _:
                response = await self.insist(self.drops.Drop, order)
        if response is not None:
            await self._follow(response.drop)

    async def _follow(self, drop: drop_service_pb2.Drop) -> None:
        """Watches, cancels or reads a placed drop."""
        rng = self.rng
        if drop.state == drop_service_pb2.Drop.STATE_SCHEDULED and rng.random() < 0.4:
            await asyncio.sleep(rng.uniform(0, 6))
            request = drop_service_pb2.CancelDropRequest(name=drop.name)
            await self.insist(self.drops.CancelDrop, request)
        if rng.random() < 0.4:
            try:
                async with asyncio.timeout(rng.uniform(1, 60)):
                    watch = drop_service_pb2.WatchDropRequest(name=drop.name)
                    async for _ in self.drops.WatchDrop(watch, metadata=self._bearer):
                        pass
            except (TimeoutError, grpc.aio.AioRpcError):
                pass

    async def _send_credits(self) -> None:
        others = [name for name in self.system.tokens if name not in (self.name, ADMIN)]
        request = account_service_pb2.TransferCreditsRequest(
            request_id=self.request_id(),
            recipient=f"accounts/{self.rng.choice(others)}",
            credits=self.rng.randint(1, 60),
        )
        await self.insist(self.accounts.TransferCredits, request)


class Stranger:
    """Someone without an account, who asks for cans as every scanner of the network does.

    Args:
        system: The system.
        process: Where the program runs.
    """

    def __init__(self, system: SimulatedSystem, process: Process) -> None:
        self._system = system
        self._rng = system.world.stream("stranger")
        channel: Any = Channel(system.network, process)
        self._drops = drop_service_pb2_grpc.DropServiceStub(channel)
        self._asked = 0

    async def live(self, until: float) -> None:
        """Reads its drop now and then."""
        while self._system.world.now < until:
            await asyncio.sleep(self._rng.expovariate(1 / 20))
            await self._ask()

    async def _ask(self) -> None:
        system, rng = self._system, self._rng
        machine = rng.choice(list(system.agents))
        self._asked += 1
        order = drop_service_pb2.DropRequest(
            request_id=f"stranger-{self._asked}",
            slot=f"machines/{machine}/slots/{rng.choice(SLOTS)}",
        )
        token = rng.choice([None, "", "guessed", system.agents[machine].token])
        metadata = () if token is None else (("authorization", f"Bearer {token}"),)
        try:
            await self._drops.Drop(order, metadata=metadata, timeout=PATIENCE_S)
        except grpc.aio.AioRpcError:
            return
        system.world.violate(f"a drop without login: {order.request_id}")


class Keeper(Person):
    """Maintains machines, prices and credits."""

    async def live(self, until: float) -> None:
        """Does one thing after the other."""
        world, rng = self.system.world, self.rng
        while world.now < until:
            await asyncio.sleep(rng.expovariate(1 / 15))
            if rng.random() < 0.7:
                await self._change_slot()
            else:
                await self._add_credits()

    async def sell_one(self, machine: str, slot: int, wire: Wire) -> str:
        """Fills a slot, makes it cheap and buys from it on credit; returns the drop's state."""
        wire.tell(wire.board.refill(slot, 5, self.system.world.now))
        request = machine_service_pb2.UpdateSlotRequest(
            name=f"machines/{machine}/slots/{slot}", price=KEEPERS_PRICE, enabled=True, available=5
        )
        await self.insist(self.machines.UpdateSlot, request)
        order = drop_service_pb2.DropRequest(request_id=self.request_id(), slot=request.name)
        response = None
        for _ in range(30):
            # The board tells of its refill in its own time.
            response = response or await self.insist(self.drops.Drop, order, patient=True)
            await asyncio.sleep(1)
        if response is None:
            return "refused"
        return drop_service_pb2.Drop.State.Name(response.drop.state)

    async def _change_slot(self) -> None:
        rng, system = self.rng, self.system
        machine, slot = rng.choice(list(system.agents)), rng.choice(SLOTS)
        request = machine_service_pb2.UpdateSlotRequest(name=f"machines/{machine}/slots/{slot}")
        match rng.randrange(4):
            case 0:
                request.price = rng.randint(0, 80)
            case 1:
                request.enabled = rng.random() < 0.7
            case 2:
                request.item = f"can {rng.randrange(100)}"
            case _:
                wire, cans = system.wires[machine], rng.randint(0, 20)
                wire.tell(wire.board.refill(slot, cans, system.world.now))
                request.available = max(0, cans - rng.choice([0, 0, 1]))
        await self.insist(self.machines.UpdateSlot, request)

    async def _add_credits(self) -> None:
        buyers = [name for name in self.system.tokens if name != ADMIN]
        request = account_service_pb2.AddCreditsRequest(
            request_id=self.request_id(),
            account=f"accounts/{self.rng.choice(buyers)}",
            credits=self.rng.choice([100, 50, -30]),
        )
        await self.insist(self.accounts.AddCredits, request)


class Refunder(Person):
    """Gives back what was paid for drops, as an administrator or in the buyer's name."""

    async def live(self, until: float) -> None:
        """Refunds one drop after the other, some of them twice."""
        world = self.system.world
        while world.now < until:
            await asyncio.sleep(self.rng.expovariate(1 / 20))
            paid = [
                (name, drop)
                for name, drop in self.system.checker.drops.items()
                if drop.state == "DISPENSED"
            ]
            if paid:
                name, drop = self.rng.choice(paid)
                by_buyer = self.rng.random() < 0.3
                await self._refund(name, drop.account if by_buyer else self.name)

    async def _refund(self, drop: str, actor: str) -> None:
        rng = self.rng
        part = rng.choice([None, None, 1, rng.randint(1, 80)])
        first, second = [
            drop_service_pb2.RefundDropRequest(
                request_id=self.request_id(),
                name=f"drops/{drop}",
                credits=part,
                reason="it was warm",
                restock=rng.random() < 0.3 and actor == self.name,
            )
            for _ in range(2)
        ]
        if rng.random() < 0.5:
            # The same request at once with itself, or with another one.
            second = rng.choice([first, second])
        restored = self.system.checker.was_restored
        given = await asyncio.gather(
            *(
                self.insist(self.drops.RefundDrop, request, actor=actor)
                for request in (first, second)
            )
        )
        was_restored = self.system.checker.was_restored or restored
        if first is not second and all(given) and not was_restored:
            self.system.world.violate(f"26: {drop} was given back by two requests")


class Stocker(Person):
    """Loads slots, takes cans out and counts, as an administrator."""

    async def live(self, until: float) -> None:
        """Changes one slot after the other, some twice at once."""
        world = self.system.world
        while world.now < until:
            await asyncio.sleep(self.rng.expovariate(1 / 20))
            machine, slot = self.rng.choice(list(self.system.agents)), self.rng.choice(SLOTS)
            request = machine_service_pb2.AdjustStockRequest(
                request_id=self.request_id(), name=f"machines/{machine}/slots/{slot}"
            )
            if self.rng.random() < 0.6:
                request.change = self.rng.choice([1, 4, -1, -2])
            else:
                await self._count(request)
            await self._adjust(request)

    async def _count(self, request: machine_service_pb2.AdjustStockRequest) -> None:
        rng, machine = self.rng, request.name.partition("/slots/")[0]
        seen = await self.insist(
            self.machines.GetMachine, machine_service_pb2.GetMachineRequest(name=machine)
        )
        if seen is None:
            request.change = 1
            return
        slot = next(each for each in seen.machine.slots if each.name == request.name)
        await asyncio.sleep(rng.uniform(0, 10))
        request.count = max(0, slot.available + rng.choice([0, 0, 1, -1]))
        request.etag = slot.etag

    async def _adjust(self, request: machine_service_pb2.AdjustStockRequest) -> None:
        checker = self.system.checker
        restored = checker.was_restored
        times = self.rng.choice([1, 1, 2])
        answers = await asyncio.gather(
            *(self.insist(self.machines.AdjustStock, request) for _ in range(times))
        )
        made = {answer.movement.name for answer in answers if answer is not None}
        if len(made) > 1 and checker.was_restored == restored:
            self.system.world.violate(f"12: {request.request_id} made the movements {made}")


async def operate(system: SimulatedSystem, process: Process, rng: random.Random) -> None:
    """An administrator's command beside the frontend: one change, then the process ends."""
    async with system.frontend.database(process, DatabaseTrouble(), beside=True) as storage:
        clock, ids, limits = system.frontend.clock, system.frontend.randomness, system.settings
        accounts = Accounts(storage, FastHasher(), clock, ids, limits.accounts)
        machines, links = Machines(storage, clock, ids), Links()
        deadlines = Deadlines(storage, links, clock, limits.drops)
        drops = Drops(storage, links, clock, ids, deadlines=deadlines, settings=limits.drops)
        try:
            await _one_change(system, rng, accounts, machines, drops)
        except DrinkError as error:
            system.world.note(f"operator: refused, {error.reason}")


async def _one_change(
    system: SimulatedSystem,
    rng: random.Random,
    accounts: Accounts,
    machines: Machines,
    drops: Drops,
) -> None:
    machine = rng.choice(list(system.agents))
    unknown = sorted(key for key, drop in system.checker.drops.items() if drop.state == "UNKNOWN")
    match rng.randrange(8):
        case 0 | 1 | 5 if unknown:
            drop_id = rng.choice(unknown)
            dispensed = rng.random() < 0.5
            await drops.decide("operator", drop_id, dispensed=dispensed, why="looked")
        case 2:
            await machines.change("operator", machine, enabled=False)
            await asyncio.sleep(rng.expovariate(1 / 10))
            await machines.change("operator", machine, enabled=True)
        case 3:
            token = await machines.new_token("operator", machine)
            system.agents[machine].token = token
            system.world.fault("network.token", machine, 150)
        case 4:
            buyer = rng.choice([name for name in system.tokens if name != ADMIN])
            await accounts.change("operator", buyer, closed=True)
            await asyncio.sleep(rng.expovariate(1 / 10))
            await accounts.change("operator", buyer, closed=False)
        case 6:
            buyer = rng.choice([name for name in system.tokens if name != ADMIN])
            await accounts.change("operator", buyer, credit_limit=rng.choice([0, 20, 200]))
        case _:
            await machines.change("operator", machine, enabled=True)


async def reopen(system: SimulatedSystem, process: Process) -> None:
    """Returns every machine to service, so that waiting drops can be dispensed."""
    async with system.frontend.database(process, DatabaseTrouble(), beside=True) as storage:
        machines = Machines(storage, system.frontend.clock, system.frontend.randomness)
        for name in system.agents:
            await machines.change("operator", name, enabled=True)
