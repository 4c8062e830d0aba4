"""Placing, following and cancelling drops, for the people and programs that buy."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass

import structlog

from drink_frontend.domain.drop import Cause, Event, State, Verdict
from drink_frontend.domain.entities import Account, AuditKind, AuditRecord, Drop, Reach, Slot
from drink_frontend.domain.errors import (
    AccountClosedError,
    AccountNotFoundError,
    BoardUnreachableError,
    DropNotCancellableError,
    DropNotFoundError,
    FieldInvalidError,
    InsufficientCreditsError,
    MachineBusyError,
    MachineDisabledError,
    MachineNotFoundError,
    MachineOfflineError,
    NotOwnerError,
    PriceAboveCeilingError,
    RequestIdReusedError,
    ShuttingDownError,
    SlotDisabledError,
    SlotEmptyError,
    SlotNotFoundError,
)
from drink_frontend.domain.ledger import AccountKind, Transfer, TransferKind, sales_account
from drink_frontend.domain.limits import DELAY_MAX_S, check_request_id
from drink_frontend.domain.ports import Clock, Links, Randomness, Storage, Subscription, Transaction
from drink_frontend.domain.stock import Place
from drink_frontend.usecases.advance import advance
from drink_frontend.usecases.settings import DropSettings

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DropOrder:
    """What a buyer asks for.

    Attributes:
        account: The buyer.
        request_id: Chosen by the buyer's side; names this purchase for ever.
        machine: Where.
        slot: Slot number.
        delay_s: Seconds to wait before dispatching, 0 to DELAY_MAX_S.
        price_ceiling: Most credits the buyer will pay; None for any price.
    """

    account: str
    request_id: str
    machine: str
    slot: int
    delay_s: int = 0
    price_ceiling: int | None = None

    def __post_init__(self) -> None:
        check_request_id(self.request_id)
        if not 0 <= self.delay_s <= DELAY_MAX_S:
            raise FieldInvalidError("delay", f"must be 0 to {DELAY_MAX_S} seconds")
        if self.price_ceiling is not None and self.price_ceiling < 0:
            raise FieldInvalidError("price_ceiling", "must not be negative")

    @property
    def fingerprint(self) -> str:
        """What makes two orders of one request_id the same order."""
        ceiling = "any" if self.price_ceiling is None else self.price_ceiling
        return f"{self.machine}/{self.slot} delay={self.delay_s} ceiling={ceiling}"


class Drops:
    """The buyers' side of drops.

    Args:
        storage: What is kept.
        links: Who dispatches.
        clock: Time.
        randomness: Ids.
        settings: Limits.
        on_scheduled: Told when a drop was scheduled, so that its time is not missed.
    """

    def __init__(
        self,
        storage: Storage,
        links: Links,
        clock: Clock,
        randomness: Randomness,
        *,
        settings: DropSettings,
        on_scheduled: Callable[[], None],
    ) -> None:
        self._storage = storage
        self._links = links
        self._clock = clock
        self._randomness = randomness
        self._on_scheduled = on_scheduled
        self._settings = settings
        self._followed: dict[Subscription, str] = {}
        self._draining = False

    def drain(self) -> None:
        """Refuses new drops from now on; those under way run on."""
        self._draining = True

    async def place(self, order: DropOrder) -> Drop:
        """Reserves credits and item durably, or finds the drop that this request made before.

        Returns:
            The drop as it stands, without waiting for its outcome.

        Raises:
            DrinkError: the drop was not made; nothing changed.
        """
        if self._draining:
            raise ShuttingDownError("the frontend is shutting down")
        drop_id, hold_id = self._randomness.drop_id(), self._randomness.id()
        now_ms = self._clock.now_ms()

        def reserve(tx: Transaction) -> Drop:
            earlier = tx.drops.by_request(order.account, order.request_id)
            if earlier is not None:
                if earlier.fingerprint != order.fingerprint:
                    raise RequestIdReusedError("request_id was used for another drop")
                return earlier
            slot = self._check(tx, order)
            drop = _new_drop(order, slot, drop_id, hold_id, now_ms)
            _reserve(tx, drop)
            return drop

        drop = await self._storage.write(reserve)
        if drop.id == drop_id:
            log.info(
                "drop_reserved",
                drop_id=drop.id,
                account=drop.account,
                machine=drop.machine,
                slot=drop.slot,
                price=drop.price,
                state=drop.state,
            )
        if drop.state is State.RESERVED:
            self._links.wake(drop.machine)
        elif drop.state is State.SCHEDULED:
            self._on_scheduled()
        return drop

    def _check(self, tx: Transaction, order: DropOrder) -> Slot:
        """The slot, or why it cannot be bought from; what helps the buyer most comes first."""
        account = tx.accounts.get(order.account)
        if account is None or account.kind is not AccountKind.USER:
            raise AccountNotFoundError("no such account")
        if account.closed:
            raise AccountClosedError("the account is closed")
        slot = _open_slot(tx, order)
        if order.price_ceiling is not None and slot.price > order.price_ceiling:
            raise PriceAboveCeilingError("the price is above the ceiling", price=slot.price)
        if account.available < slot.price:
            raise InsufficientCreditsError(
                "not enough credits", available=account.available, price=slot.price
            )
        if order.delay_s:
            busy = tx.drops.scheduled(order.machine) >= self._settings.scheduled_max
        else:
            busy = tx.drops.waiting(order.machine) >= self._settings.waiting_max
        if busy:
            raise MachineBusyError("too many drops wait for this machine")
        return slot

    async def outcome(self, drop_id: str) -> Drop:
        """Waits until the drop is DISPENSED, NOT_DISPENSED or UNKNOWN, and returns it.

        Raises:
            DropNotFoundError: there is no such drop.
        """
        with self._follow(drop_id) as subscription:
            while not (drop := await self._read(drop_id)).state.answered:
                await subscription.changed()
        return drop

    async def watch(self, drop_id: str) -> AsyncIterator[Drop]:
        """The drop now and after each change; ends after its final state.

        Raises:
            DropNotFoundError: there is no such drop.
        """
        with self._follow(drop_id) as subscription:
            while True:
                drop = await self._read(drop_id)
                yield drop
                if drop.state.final:
                    return
                await subscription.changed()

    @contextlib.contextmanager
    def _follow(self, drop_id: str) -> Iterator[Subscription]:
        with self._storage.changes.drop(drop_id) as subscription:
            self._followed[subscription] = drop_id
            try:
                yield subscription
            finally:
                del self._followed[subscription]

    async def settle(self) -> None:
        """Waits for the outcome of each drop under way that concerns this frontend.

        Those are the ones that somebody here waits for, and those at the motors of machines that
        are linked here. All others are other frontends', or for whoever gets the link next.
        """

        def under_way(tx: Transaction) -> list[Drop]:
            return [*tx.drops.in_state(State.DISPATCHED), *tx.drops.in_state(State.RESERVED)]

        for drop in await self._storage.read(under_way):
            is_followed = drop.id in self._followed.values()
            at_motor = drop.state is State.DISPATCHED and self._links.held(drop.machine)
            if is_followed or at_motor:
                await self.outcome(drop.id)

    async def get(self, caller: Account, drop_id: str) -> Drop:
        """One drop of the caller; any drop for an administrator.

        Raises:
            DropNotFoundError: there is no such drop, or it is another account's.
        """
        return _owned(caller, await self._storage.read(lambda tx: tx.drops.get(drop_id)))

    async def list(
        self,
        caller: Account,
        account: str | None,
        states: Sequence[State],
        before: int | None,
        limit: int,
    ) -> Sequence[Drop]:
        """Drops with a sequence below `before`, newest first; `account` None means everyone's.

        Raises:
            NotOwnerError: they are not the caller's, who is no administrator.
        """
        if account != caller.name and not caller.admin:
            raise NotOwnerError("only administrators see others' drops")
        return await self._storage.read(lambda tx: tx.drops.list(account, states, before, limit))

    async def cancel(self, caller: Account, drop_id: str) -> Drop:
        """Cancels a drop that has not been dispatched; a second time changes nothing.

        Raises:
            DropNotFoundError: there is no such drop, or it is another account's.
            DropNotCancellableError: it has been dispatched.
        """
        now_ms = self._clock.now_ms()

        def cancel(tx: Transaction) -> Drop:
            drop = _owned(caller, tx.drops.get(drop_id))
            if drop.cause is Cause.CANCELLED:
                return drop
            answer = advance(
                tx, drop, Event.CANCEL, Cause.CANCELLED, actor=caller.name, now_ms=now_ms
            )
            if answer.verdict is Verdict.REFUSED:
                raise DropNotCancellableError(f"the drop is {drop.state}")
            return _owned(caller, tx.drops.get(drop_id))

        return await self._storage.write(cancel)

    async def _read(self, drop_id: str) -> Drop:
        drop = await self._storage.read(lambda tx: tx.drops.get(drop_id))
        if drop is None:
            raise DropNotFoundError("no such drop")
        return drop


def _owned(caller: Account, drop: Drop | None) -> Drop:
    if drop is None or (drop.account != caller.name and not caller.admin):
        raise DropNotFoundError("no such drop")
    return drop


def _open_slot(tx: Transaction, order: DropOrder) -> Slot:
    machine = tx.machines.get(order.machine)
    if machine is None:
        raise MachineNotFoundError("no such machine")
    slot = machine.slot(order.slot)
    if slot is None:
        raise SlotNotFoundError("the machine has no such slot")
    if not machine.enabled:
        raise MachineDisabledError("the machine is out of service")
    if machine.reach is Reach.OFFLINE:
        raise MachineOfflineError("the machine is not connected")
    if machine.reach is Reach.BOARD_DOWN:
        raise BoardUnreachableError("the machine's board does not answer")
    if not slot.enabled:
        raise SlotDisabledError("the slot is out of service")
    if slot.available < 1:
        raise SlotEmptyError("the slot is empty")
    return slot


def _new_drop(order: DropOrder, slot: Slot, drop_id: str, hold_id: str, now_ms: int) -> Drop:
    return Drop(
        id=drop_id,
        sequence=0,
        account=order.account,
        request_id=order.request_id,
        fingerprint=order.fingerprint,
        machine=order.machine,
        slot=order.slot,
        item=slot.item,
        price=slot.price,
        hold_id=hold_id,
        state=State.SCHEDULED if order.delay_s else State.RESERVED,
        cause=Cause.NONE,
        decided_by=None,
        epoch=None,
        journal_id=None,
        revision=0,
        created_ms=now_ms,
        not_before_ms=now_ms + order.delay_s * 1000 if order.delay_s else None,
        dispatched_ms=None,
        settled_ms=None,
    )


def _reserve(tx: Transaction, drop: Drop) -> None:
    tx.drops.add(drop)
    tx.ledger.add(
        Transfer(
            id=drop.hold_id,
            kind=TransferKind.HOLD,
            debit_account=drop.account,
            credit_account=sales_account(drop.machine),
            amount=drop.price,
            created_ms=drop.created_ms,
            drop_id=drop.id,
        )
    )
    tx.machines.move_item(drop.machine, drop.slot, Place.ON_HAND, Place.RESERVED, drop.created_ms)
    tx.audit.add(
        AuditRecord(
            kind=AuditKind.DROP_MOVED,
            at_ms=drop.created_ms,
            actor=drop.account,
            drop_id=drop.id,
            machine=drop.machine,
            account=drop.account,
            facts={
                "event": "RESERVE",
                "to": drop.state,
                "slot": drop.slot,
                "item": drop.item,
                "price": drop.price,
                "not_before_ms": drop.not_before_ms,
            },
        )
    )
