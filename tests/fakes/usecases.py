"""The use cases as sessions need them, in memory, with boards that do as the test says."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import Account, Drop, Machine, Reach, Slot
from drink_frontend.domain.errors import (
    AccountClosedError,
    AccountNotFoundError,
    AdminRequiredError,
    AlreadyExistsError,
    BoardUnreachableError,
    CredentialsInvalidError,
    FieldInvalidError,
    InsufficientCreditsError,
    MachineDisabledError,
    MachineNotFoundError,
    MachineOfflineError,
    SlotDisabledError,
    SlotEmptyError,
    SlotNotFoundError,
)
from drink_frontend.domain.ledger import AccountKind
from drink_frontend.domain.limits import check_account, check_item, check_password, check_text
from drink_frontend.domain.stock import Sensor
from drink_frontend.sessions.services import Services
from drink_frontend.usecases.placing import DropOrder
from tests.fakes.permits import HandPermits

STARTED_MS = 1_795_405_840_000
"""Mon, 23 Nov 2026 03:50:40 GMT."""


def make_slot(
    machine: str, number: int, item: str, price: int, on_hand: int, **more: object
) -> Slot:
    slot = Slot(
        machine=machine,
        number=number,
        item=item,
        price=price,
        enabled=True,
        on_hand=on_hand,
        reserved=0,
        dispensed=0,
        unknown=0,
        sensor=Sensor.UNSPECIFIED,
        updated_ms=0,
    )
    return replace(slot, **more)  # type: ignore[arg-type]


def make_machine(name: str, display_name: str, slots: Sequence[Slot], **more: object) -> Machine:
    machine = Machine(
        name=name,
        display_name=display_name,
        location="NRH (North)",
        enabled=True,
        epoch=1,
        journal_id=None,
        journal_sequence=0,
        temperature_celsius=None,
        slots=tuple(slots),
    )
    return replace(machine, **more)  # type: ignore[arg-type]


class FakeClock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def now_ms(self) -> int:
        return STARTED_MS + round(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class World:
    """Everything there is: two machines, three users, and how the boards behave.

    Attributes:
        outcomes: What becomes of the next drops, in order; (DISPENSED, BOARD_ACK) when empty.
        holding: Whether boards keep drops until `settle`.
        broken: Errors that use cases raise, by the name of the operation; one is used per call.
        calls: How often each operation was called.
        stopped: What SHUTDOWN was told, if it came.
        at_hand: Whether what is only shown is in memory.
        turns: Cleared while logins with a password have to wait for their turn.
        permits: By what sessions are logged in.
        origins: Where logins with a password came from, in order.
    """

    accounts: dict[str, Account] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    ibuttons: dict[str, str] = field(default_factory=dict)
    machines: dict[str, Machine] = field(default_factory=dict)
    reach: dict[str, Reach] = field(default_factory=dict)
    drops: dict[str, Drop] = field(default_factory=dict)
    by_request: dict[tuple[str, str], str] = field(default_factory=dict)
    notes: list[tuple[str, str]] = field(default_factory=list)
    outcomes: list[tuple[State, Cause]] = field(default_factory=list)
    holding: bool = False
    broken: dict[str, list[Exception]] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    stopped: list[bool] = field(default_factory=list)
    at_hand: bool = True
    clock: FakeClock = field(default_factory=FakeClock)
    placed: asyncio.Event = field(default_factory=asyncio.Event)
    bell: asyncio.Condition = field(default_factory=asyncio.Condition)
    turns: asyncio.Event = field(default_factory=asyncio.Event)
    origins: list[str] = field(default_factory=list)
    permits: HandPermits = field(default_factory=HandPermits)

    def __post_init__(self) -> None:
        self.turns.set()
        self.add_user("user", "pw", 100, ibutton="1234567890ABCDEF")
        self.add_user("user2", "pw", 30)
        self.add_user("admin", "pw", 50, admin=True)
        self.add_machine(
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
            )
        )
        self.add_machine(
            make_machine(
                "ld",
                "Little Drink",
                [make_slot("ld", 1, "Jolt", 20, 3), make_slot("ld", 2, "Bawls", 500, 3)],
                location="NRH (South)",
            )
        )

    def add_user(
        self, name: str, password: str, posted: int, *, admin: bool = False, ibutton: str = ""
    ) -> None:
        self.accounts[name] = Account(
            name=name,
            kind=AccountKind.USER,
            admin=admin,
            closed=False,
            password_hash=None,
            posted=posted,
            held=0,
        )
        self.passwords[name] = password
        if ibutton:
            self.ibuttons[ibutton] = name

    def add_machine(self, machine: Machine, reach: Reach = Reach.READY) -> None:
        self.machines[machine.name] = machine
        self.reach[machine.name] = reach

    def change_slot(self, machine: str, number: int, **changes: object) -> Slot:
        before = self.machines[machine]
        slots = tuple(
            replace(slot, **changes) if slot.number == number else slot  # type: ignore[arg-type]
            for slot in before.slots
        )
        self.machines[machine] = replace(before, slots=slots)
        slot = self.machines[machine].slot(number)
        assert slot is not None
        return slot

    def strike(self, operation: str) -> None:
        self.calls[operation] += 1
        if self.broken.get(operation):
            raise self.broken[operation].pop(0)

    async def settle(self, drop_id: str, state: State, cause: Cause) -> None:
        drop = self.drops[drop_id]
        account, slot = self.accounts[drop.account], self.machines[drop.machine].slot(drop.slot)
        assert slot is not None
        if state is not State.UNKNOWN:
            paid = drop.price if state is State.DISPENSED else 0
            self.accounts[drop.account] = replace(
                account, posted=account.posted - paid, held=account.held - drop.price
            )
        moved = {State.DISPENSED: "dispensed", State.UNKNOWN: "unknown"}.get(state, "on_hand")
        self.change_slot(
            drop.machine,
            drop.slot,
            reserved=slot.reserved - 1,
            **{moved: getattr(slot, moved) + 1},
        )
        self.drops[drop_id] = replace(drop, state=state, cause=cause)
        async with self.bell:
            self.bell.notify_all()

    def services(self, *, may_stop: bool = False) -> Services:
        return Services(
            accounts=FakeAccounts(self),
            permits=self.permits,
            drops=FakeDrops(self),
            machines=FakeMachines(self),
            notes=FakeNotes(self),
            views=FakeViews(self),
            clock=self.clock,
            version="1.2.3",
            started_ms=STARTED_MS,
            shutdown=self.stopped.append if may_stop else None,
            choose=lambda slots: slots[-1],
        )


class FakeAccounts:
    def __init__(self, world: World) -> None:
        self.world = world

    async def login_password(self, name: str, password: str, origin: str) -> Account:
        self.world.origins.append(origin)
        self.world.strike("login_password")
        await self.world.turns.wait()
        account = self.world.accounts.get(name)
        if account is None or account.closed or self.world.passwords[name] != password:
            raise CredentialsInvalidError("the credentials do not match")
        return account

    async def login_ibutton(self, ibutton: str, origin: str) -> Account:
        self.world.strike("login_ibutton")
        name = self.world.ibuttons.get(ibutton.upper())
        if name is None:
            raise CredentialsInvalidError("the credentials do not match")
        return self.world.accounts[name]

    async def balance(self, name: str) -> Account:
        self.world.strike("balance")
        if name not in self.world.accounts:
            raise AccountNotFoundError("no such account")
        return self.world.accounts[name]

    async def find(self, name: str) -> Account | None:
        self.world.strike("find")
        return self.world.accounts.get(name)

    async def add_credits(
        self, actor: Account, request_id: str, name: str, credits_added: int
    ) -> Account:
        self.world.strike("add_credits")
        if not actor.admin:
            raise AdminRequiredError("only administrators add credits")
        if credits_added == 0:
            raise FieldInvalidError("credits", "must not be 0")
        account = await self.balance(name)
        if account.available + credits_added < 0:
            raise InsufficientCreditsError("not enough credits")
        self.world.accounts[name] = replace(account, posted=account.posted + credits_added)
        return self.world.accounts[name]

    async def transfer(
        self, sender: Account, request_id: str, recipient: str, credits_sent: int
    ) -> Account:
        self.world.strike("transfer")
        if recipient == sender.name:
            raise FieldInvalidError("recipient", "must be another account")
        to = await self.balance(recipient)
        if to.closed:
            raise AccountClosedError("the account is closed")
        account = await self.balance(sender.name)
        if account.available < credits_sent:
            raise InsufficientCreditsError("not enough credits")
        self.world.accounts[recipient] = replace(to, posted=to.posted + credits_sent)
        self.world.accounts[sender.name] = replace(account, posted=account.posted - credits_sent)
        return self.world.accounts[sender.name]

    async def create(
        self, actor: str, name: str, *, password: str | None = None, readmit: bool = False
    ) -> Account:
        self.world.strike("create")
        check_account(name)
        if password is not None:
            check_password(password)
        earlier = self.world.accounts.get(name)
        if earlier is not None and not (readmit and earlier.closed):
            raise AlreadyExistsError("the account exists")
        if earlier is not None:
            self.world.passwords[name] = password or ""
            self.world.accounts[name] = replace(
                earlier, admin=False, closed=False, since_ms=earlier.since_ms + 1
            )
            return self.world.accounts[name]
        self.world.add_user(name, password or "", 0)
        return self.world.accounts[name]

    async def change(
        self,
        actor: str,
        name: str,
        *,
        password: str | None = None,
        admin: bool | None = None,
        closed: bool | None = None,
    ) -> Account:
        self.world.strike("change")
        if password is not None:
            check_password(password)
        account = await self.balance(name)
        if password is not None:
            self.world.passwords[name] = password
        self.world.accounts[name] = replace(
            account,
            admin=account.admin if admin is None else admin,
            closed=account.closed if closed is None else closed,
            password_hash=account.password_hash if password is None else f"hash of {password}",
        )
        return self.world.accounts[name]


class FakeDrops:
    def __init__(self, world: World) -> None:
        self.world = world

    async def place(self, order: DropOrder) -> Drop:
        world = self.world
        world.strike("place")
        key = (order.account, order.request_id)
        if key in world.by_request:
            return world.drops[world.by_request[key]]
        slot = self._open_slot(order)
        account = world.accounts[order.account]
        if account.available < slot.price:
            raise InsufficientCreditsError("not enough credits")
        world.accounts[order.account] = replace(account, held=account.held + slot.price)
        world.change_slot(
            order.machine, order.slot, on_hand=slot.on_hand - 1, reserved=slot.reserved + 1
        )
        drop = self._drop(order, slot)
        world.drops[drop.id] = drop
        world.by_request[key] = drop.id
        world.placed.set()
        if not world.holding:
            default = (State.DISPENSED, Cause.BOARD_ACK)
            outcome = world.outcomes.pop(0) if world.outcomes else default
            await world.settle(drop.id, *outcome)
        return drop

    def _open_slot(self, order: DropOrder) -> Slot:
        machine = self.world.machines.get(order.machine)
        if machine is None:
            raise MachineNotFoundError("no such machine")
        slot = machine.slot(order.slot)
        if slot is None:
            raise SlotNotFoundError("the machine has no such slot")
        if not machine.enabled:
            raise MachineDisabledError("the machine is out of service")
        match self.world.reach[order.machine]:
            case Reach.OFFLINE:
                raise MachineOfflineError("the machine is not connected")
            case Reach.BOARD_DOWN:
                raise BoardUnreachableError("the machine's board does not answer")
        if not slot.enabled:
            raise SlotDisabledError("the slot is out of service")
        if slot.available < 1:
            raise SlotEmptyError("the slot is empty")
        return slot

    def _drop(self, order: DropOrder, slot: Slot) -> Drop:
        return Drop(
            id=f"{len(self.world.drops) + 1:026}",
            sequence=len(self.world.drops) + 1,
            account=order.account,
            request_id=order.request_id,
            fingerprint=order.fingerprint,
            machine=order.machine,
            slot=order.slot,
            item=slot.item,
            price=slot.price,
            hold_id="",
            state=State.SCHEDULED if order.delay_s else State.RESERVED,
            cause=Cause.NONE,
            decided_by=None,
            epoch=None,
            journal_id=None,
            revision=0,
            created_ms=0,
            not_before_ms=order.delay_s * 1000 or None,
            dispatched_ms=None,
            settled_ms=None,
        )

    async def outcome(self, drop_id: str) -> Drop:
        self.world.strike("outcome")
        async with self.world.bell:
            await self.world.bell.wait_for(lambda: self.world.drops[drop_id].state.answered)
        return self.world.drops[drop_id]


class FakeMachines:
    def __init__(self, world: World) -> None:
        self.world = world

    async def list(self) -> Sequence[Machine]:
        self.world.strike("list")
        return [self._view(name) for name in sorted(self.world.machines)]

    async def get(self, name: str) -> Machine:
        self.world.strike("get")
        if name not in self.world.machines:
            raise MachineNotFoundError("no such machine")
        return self._view(name)

    async def update_slot(
        self,
        actor: Account,
        machine: str,
        number: int,
        *,
        item: str | None = None,
        price: int | None = None,
        enabled: bool | None = None,
        available: int | None = None,
    ) -> Slot:
        self.world.strike("update_slot")
        if not actor.admin:
            raise AdminRequiredError("only administrators change slots")
        if item is not None:
            check_item(item)
        found = (await self.get(machine)).slot(number)
        if found is None:
            raise SlotNotFoundError("the machine has no such slot")
        wanted = {"item": item, "price": price, "enabled": enabled, "on_hand": available}
        changes = {name: value for name, value in wanted.items() if value is not None}
        return self.world.change_slot(machine, number, **changes)

    def _view(self, name: str) -> Machine:
        return replace(self.world.machines[name], reach=self.world.reach[name])


class FakeNotes:
    def __init__(self, world: World) -> None:
        self.world = world

    async def add(self, actor: str, words: str) -> None:
        self.world.strike("note")
        self.world.notes.append((actor, check_text(words, "words")))


class FakeViews:
    """Everything is in memory unless the world says otherwise, or breaks what reads it."""

    def __init__(self, world: World) -> None:
        self.accounts = FakeAccountView(world)
        self.machines = FakeMachineView(world)


class FakeAccountView:
    def __init__(self, world: World) -> None:
        self.world = world

    def at_hand(self, name: str) -> Account | None:
        known = self.world.at_hand and not self.world.broken.get("balance")
        return self.world.accounts.get(name) if known else None

    async def get(self, name: str) -> Account:
        return await FakeAccounts(self.world).balance(name)


class FakeMachineView:
    def __init__(self, world: World) -> None:
        self.world = world

    def at_hand(self, name: str) -> Machine | None:
        known = self.world.at_hand and not self.world.broken.get("get")
        return self.world.machines.get(name) if known else None

    async def get(self, name: str) -> Machine:
        return await FakeMachines(self.world).get(name)
