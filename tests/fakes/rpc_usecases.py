"""The use cases in memory, as far as the gRPC edge asks for them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from drink_frontend.domain.drop import Cause, DropEvent, State, Verdict, step
from drink_frontend.domain.entities import Account, Drop, LedgerEntry, Machine, Proof, Reach, Slot
from drink_frontend.domain.errors import (
    AccountNotFoundError,
    AdminRequiredError,
    CredentialsInvalidError,
    DropNotCancellableError,
    DropNotFoundError,
    InsufficientCreditsError,
    MachineNotFoundError,
    NotOwnerError,
    RequestIdReusedError,
    ShuttingDownError,
    SlotNotFoundError,
    TokenInvalidError,
)
from drink_frontend.domain.ledger import AccountKind, TransferKind
from drink_frontend.domain.stock import Sensor
from drink_frontend.links.messages import AgentMessage, FrontendMessage
from drink_frontend.usecases.accounts import digest
from drink_frontend.usecases.placing import DropOrder

NOW_MS = 1_750_000_000_123


class CountingRandomness:
    """Ids that count up, so that a test can say which is which."""

    def __init__(self) -> None:
        self.count = 0

    def drop_id(self) -> str:
        self.count += 1
        return f"{self.count:026}"

    def id(self) -> str:
        self.count += 1
        return f"id-{self.count}"

    def token(self) -> str:
        self.count += 1
        return f"token-{self.count}"


class Broken:
    """What goes wrong with the next operations of a use case.

    Attributes:
        error: Raised by every operation; None for none.
        gate: Holds every operation up until it is set.
        entered: Set when an operation has begun.
    """

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()

    async def strike(self) -> None:
        self.entered.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error


class Bell:
    """Wakes everybody who waits for a change, and tells how many do."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._listeners = 0
        self._counted = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()
        self._rung = asyncio.Event()

    @contextmanager
    def listening(self) -> Iterator[Callable[[], asyncio.Event]]:
        """Counts a listener; gives what tells of the next change."""
        self._count(1)
        try:
            yield lambda: self._rung
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        self._listeners += change
        self._counted.set()
        self._counted = asyncio.Event()

    async def heard_by(self, listeners: int) -> None:
        """Waits until that many listen."""
        async with asyncio.timeout(20):
            while self._listeners != listeners:
                await self._counted.wait()


def user(name: str, *, admin: bool = False, posted: int = 100) -> Account:
    return Account(name, AccountKind.USER, admin, False, None, posted, 0)


class MemoryAccounts:
    """Three users: alice and bob with 100 credits, and the administrator root."""

    def __init__(self) -> None:
        self.broken = Broken()
        self.users = {
            "alice": user("alice"),
            "bob": user("bob"),
            "root": user("root", admin=True),
        }
        self.passwords = {"alice": "secret of alice"}
        self.ibuttons = {"0123456789ABCDEF": "bob"}
        self.tokens = {f"token-of-{name}": name for name in self.users}
        self.moves: dict[tuple[str, str], tuple[str, str, int]] = {}
        self.book: dict[str, list[LedgerEntry]] = {name: [] for name in self.users}
        self.origins, self.proofs = list[str](), list[Proof]()
        self.recalled: dict[str, Account] = {}
        self.authenticated = 0

    async def login_password(self, name: str, password: str, origin: str) -> Account:
        await self.broken.strike()
        self.origins.append(origin)
        if self.passwords.get(name) != password:
            raise CredentialsInvalidError("the credentials do not match")
        return self.users[name]

    async def login_ibutton(self, ibutton: str, origin: str) -> Account:
        await self.broken.strike()
        self.origins.append(origin)
        if ibutton not in self.ibuttons:
            raise CredentialsInvalidError("the credentials do not match")
        return self.users[self.ibuttons[ibutton]]

    async def issue_token(self, account: Account, proof: Proof) -> tuple[str, int]:
        self.proofs.append(proof)
        self.tokens[token := f"fresh-token-of-{account.name}"] = account.name
        return token, NOW_MS + 60_000

    async def authenticate(self, token: str) -> Account:
        if token not in self.tokens:
            raise TokenInvalidError("the token is not known")
        self.authenticated += 1
        account = self.recalled[digest(token)] = self.users[self.tokens[token]]
        return account

    def recall(self, token_digest: str) -> Account | None:
        return self.recalled.get(token_digest)

    def forget(self, token_digest: str) -> None:
        self.recalled.pop(token_digest, None)

    async def balance(self, name: str) -> Account:
        if name not in self.users:
            raise AccountNotFoundError("no such account")
        return self.users[name]

    async def get(self, caller: Account, name: str) -> Account:
        await self.broken.strike()
        if name != caller.name and not caller.admin:
            raise NotOwnerError("only administrators see others' accounts")
        return await self.balance(name)

    async def add_credits(
        self, actor: Account, request_id: str, name: str, credits_added: int
    ) -> Account:
        await self.broken.strike()
        if not actor.admin:
            raise AdminRequiredError("only administrators add credits")
        return await self._move(actor, request_id, "funding", name, credits_added)

    async def transfer(
        self, sender: Account, request_id: str, recipient: str, credits_sent: int
    ) -> Account:
        await self.broken.strike()
        available = self.users[sender.name].available
        if available < credits_sent:
            raise InsufficientCreditsError("", available=available, price=credits_sent)
        await self._move(sender, request_id, sender.name, recipient, credits_sent)
        return self.users[sender.name]

    async def _move(
        self, actor: Account, request_id: str, debit: str, credit: str, amount: int
    ) -> Account:
        after, move = await self.balance(credit), (debit, credit, amount)
        if self.moves.setdefault((actor.name, request_id), move) != move:
            raise RequestIdReusedError("request_id was used for another transfer")
        for name, signed, counterpart in ((debit, -amount, credit), (credit, amount, debit)):
            if name in self.users:
                self.change(name, posted=signed)
                self.write(name, TransferKind.MOVE, signed, counterpart)
        return self.users[after.name]

    def change(self, name: str, *, posted: int = 0, held: int = 0) -> None:
        account = self.users[name]
        self.users[name] = replace(
            account, posted=account.posted + posted, held=account.held + held
        )

    def write(
        self,
        name: str,
        kind: TransferKind,
        credits_moved: int,
        counterpart: str,
        drop_id: str | None = None,
    ) -> None:
        sequence = sum(map(len, self.book.values())) + 1
        self.book[name].append(
            LedgerEntry(sequence, f"t{sequence}", kind, credits_moved, counterpart, drop_id, NOW_MS)
        )

    async def entries(
        self, caller: Account, name: str, before: int | None, limit: int
    ) -> Sequence[LedgerEntry]:
        await self.broken.strike()
        if name != caller.name and not caller.admin:
            raise NotOwnerError("only administrators see others' entries")
        kept = [
            entry for entry in self.book.get(name, []) if before is None or entry.sequence < before
        ]
        return kept[::-1][:limit]


class MemoryDrops:
    """Drops that reserve a price of 10 credits; a test settles them."""

    PRICE = 10

    def __init__(self, accounts: MemoryAccounts, randomness: CountingRandomness) -> None:
        self.broken = Broken()
        self.bell = Bell()
        self.draining = False
        self.orders: list[DropOrder] = []
        self.drops: dict[str, Drop] = {}
        self._accounts = accounts
        self._randomness = randomness

    async def place(self, order: DropOrder) -> Drop:
        return await asyncio.shield(asyncio.create_task(self._place(order)))

    async def _place(self, order: DropOrder) -> Drop:
        self.orders.append(order)
        if self.draining:
            raise ShuttingDownError("the frontend is shutting down")
        await self.broken.strike()
        if order.token not in {digest(token) for token in self._accounts.tokens}:
            raise TokenInvalidError("the token is not known")
        if (earlier := self._made_by(order.account, order.request_id)) is not None:
            if earlier.fingerprint != order.fingerprint:
                raise RequestIdReusedError("request_id was used for another drop")
            return earlier
        self._accounts.change(order.account, held=self.PRICE)
        drop = Drop(
            id=self._randomness.drop_id(),
            sequence=len(self.drops) + 1,
            account=order.account,
            request_id=order.request_id,
            fingerprint=order.fingerprint,
            machine=order.machine,
            slot=order.slot,
            item="Cola",
            price=self.PRICE,
            hold_id="hold",
            state=State.SCHEDULED if order.delay_s else State.RESERVED,
            cause=Cause.NONE,
            decided_by=None,
            epoch=None,
            journal_id=None,
            revision=0,
            created_ms=NOW_MS,
            not_before_ms=NOW_MS + order.delay_s * 1000 if order.delay_s else None,
            dispatched_ms=None,
            settled_ms=None,
        )
        self.drops[drop.id] = drop
        self.bell.ring()
        return drop

    async def find(self, caller: Account, request_id: str) -> Drop:
        if (drop := self._made_by(caller.name, request_id)) is None:
            raise DropNotFoundError("no such drop")
        return drop

    def _made_by(self, *key: str) -> Drop | None:
        drops = self.drops.values()
        return next((each for each in drops if (each.account, each.request_id) == key), None)

    def move(self, drop_id: str, event: DropEvent, cause: Cause = Cause.NONE) -> Drop:
        """Takes the drop one step on, as the frontend's other half would."""
        drop = self.drops[drop_id]
        answer = step(drop.state, event)
        assert answer.verdict is Verdict.MOVED
        if answer.state.final:
            posted = -drop.price if answer.state is State.DISPENSED else 0
            self._accounts.change(drop.account, posted=posted, held=-drop.price)
        settled_ms = NOW_MS + 2 if answer.state.answered else None
        self.drops[drop_id] = replace(
            drop,
            state=answer.state,
            cause=cause,
            dispatched_ms=NOW_MS + 1 if answer.state is State.DISPATCHED else drop.dispatched_ms,
            settled_ms=drop.settled_ms or settled_ms,
        )
        self.bell.ring()
        return self.drops[drop_id]

    async def placed(self) -> Drop:
        """The newest drop, as soon as somebody waits for its outcome or watches it."""
        with self.bell.listening() as rung:
            while not self.drops:
                await rung().wait()
        return list(self.drops.values())[-1]

    async def outcome(self, drop_id: str) -> Drop:
        with self.bell.listening() as rung:
            while not self.drops[drop_id].state.answered:
                await rung().wait()
        return self.drops[drop_id]

    async def watch(self, drop_id: str) -> AsyncIterator[Drop]:
        with self.bell.listening() as rung:
            while True:
                bell, drop = rung(), self.drops[drop_id]
                yield drop
                if drop.state.final:
                    return
                await bell.wait()

    async def get(self, caller: Account, drop_id: str) -> Drop:
        drop = self.drops.get(drop_id)
        if drop is None or (drop.account != caller.name and not caller.admin):
            raise DropNotFoundError("no such drop")
        return drop

    async def list(
        self,
        caller: Account,
        account: str | None,
        states: Sequence[State],
        before: int | None,
        limit: int,
    ) -> Sequence[Drop]:
        await self.broken.strike()
        if account != caller.name and not caller.admin:
            raise NotOwnerError("only administrators see others' drops")
        await self._accounts.balance(account or caller.name)
        kept = [
            drop
            for drop in self.drops.values()
            if account in {None, drop.account}
            and (not states or drop.state in states)
            and (before is None or drop.sequence < before)
        ]
        return kept[::-1][:limit]

    async def cancel(self, caller: Account, drop_id: str) -> Drop:
        await self.broken.strike()
        drop = await self.get(caller, drop_id)
        if drop.cause is Cause.CANCELLED:
            return drop
        if step(drop.state, DropEvent.CANCEL).verdict is not Verdict.MOVED:
            raise DropNotCancellableError("the drop is dispatched")
        return self.move(drop_id, DropEvent.CANCEL, Cause.CANCELLED)


def slot_of(machine: str, number: int, **changes: object) -> Slot:
    slot = Slot(machine, number, "Cola", 10, True, 5, 1, 7, 0, Sensor.STOCKED, NOW_MS)
    return replace(slot, **changes)  # type: ignore[arg-type]


class MemoryMachines:
    """Two machines, d with two slots and ld with one."""

    def __init__(self) -> None:
        self.broken = Broken()
        self.bell = Bell()
        self.tokens = {"token-of-d": "d", "token-of-ld": "ld"}
        self.known = {
            "d": Machine(
                "d", "Big Drink", "3rd floor", True, 4, "j", 9, 3.5,
                (slot_of("d", 1), slot_of("d", 2, sensor=Sensor.EMPTY)), Reach.READY,
            ),
            "ld": Machine("ld", "Little Drink", "", False, 0, None, 0, None, (slot_of("ld", 1),)),
        }  # fmt: skip
        self.versions: Counter[str] = Counter()

    async def list(self) -> Sequence[Machine]:
        await self.broken.strike()
        return list(self.known.values())

    async def get(self, name: str) -> Machine:
        await self.broken.strike()
        if name not in self.known:
            raise MachineNotFoundError("no such machine")
        return self.known[name]

    def reach(self, name: str, reach: Reach) -> None:
        """Lets a machine's reach change."""
        self.known[name] = replace(self.known[name], reach=reach)
        self.versions[name] += 1
        self.bell.ring()

    async def watch(self, names: Sequence[str]) -> AsyncIterator[Machine]:
        names = names or list(self.known)
        for name in names:
            await self.get(name)
        shown: dict[str, int] = {}
        with self.bell.listening() as rung:
            while True:
                bell = rung()
                for name in names:
                    if shown.get(name) != self.versions[name]:
                        shown[name] = self.versions[name]
                        yield self.known[name]
                await bell.wait()

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
        await self.broken.strike()
        if not actor.admin:
            raise AdminRequiredError("only administrators change slots")
        slot = (await self.get(machine)).slot(number)
        if slot is None:
            raise SlotNotFoundError("the machine has no such slot")
        given = {"item": item, "price": price, "enabled": enabled, "on_hand": available}
        changes = {name: value for name, value in given.items() if value is not None}
        return replace(slot, **changes)  # type: ignore[arg-type]

    async def authenticate(self, token: str) -> str:
        if token not in self.tokens:
            raise TokenInvalidError("the token is not known")
        return self.tokens[token]


class ScriptedLinks:
    """Links that keep what agents say and say what a test puts on `outgoing`; None ends them."""

    def __init__(self) -> None:
        self.machines: list[str] = []
        self.sizes: list[int] = []
        self.messages_max = 1_000
        self.addresses: list[str] = []
        self.heard: asyncio.Queue[AgentMessage | None] = asyncio.Queue()
        self.outgoing: asyncio.Queue[FrontendMessage | BaseException | None] = asyncio.Queue()
        self.open = 0

    def accepts(self, machine: str, size_bytes: int) -> bool:
        self.sizes.append(size_bytes)
        return len(self.sizes) <= self.messages_max

    async def serve(
        self, machine: str, incoming: AsyncIterator[AgentMessage], address: str = ""
    ) -> AsyncIterator[FrontendMessage]:
        self.machines.append(machine)
        self.addresses.append(address)
        self.open += 1
        hear = asyncio.create_task(self._hear(incoming))
        try:
            while (message := await self.outgoing.get()) is not None:
                if isinstance(message, BaseException):
                    raise message
                yield message
        finally:
            hear.cancel()
            try:
                await asyncio.wait({hear})
            finally:
                self.open -= 1
                self.heard.put_nowait(None)

    async def _hear(self, incoming: AsyncIterator[AgentMessage]) -> None:
        try:
            async for message in incoming:
                self.heard.put_nowait(message)
        except Exception as error:
            self.outgoing.put_nowait(error)
        else:
            self.outgoing.put_nowait(None)
