"""The unit of work that places a drop: checks, reservation, and the dispatch if it is its turn."""

from dataclasses import dataclass

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import (
    Account,
    AuditKind,
    AuditRecord,
    Drop,
    Machine,
    Queue,
    Reach,
    Slot,
)
from drink_frontend.domain.errors import (
    AccountClosedError,
    BoardUnreachableError,
    FieldInvalidError,
    InsufficientCreditsError,
    MachineBusyError,
    MachineDisabledError,
    MachineNotFoundError,
    MachineOfflineError,
    PriceAboveCeilingError,
    RequestIdReusedError,
    SlotDisabledError,
    SlotEmptyError,
    SlotNotFoundError,
    TokenInvalidError,
    TokenScopeError,
    TooManyWaitingError,
)
from drink_frontend.domain.ledger import Transfer, TransferKind, sales_account
from drink_frontend.domain.limits import DELAY_MAX_S, SLOT_MAX, check_request_id
from drink_frontend.domain.stock import Place
from drink_frontend.domain.tokens import KioskLogin
from drink_frontend.storage.needs import Needs
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.advance import dispatch_next
from drink_frontend.usecases.settings import DropSettings
from drink_frontend.usecases.users import user_of


@dataclass(frozen=True, slots=True)
class DropOrder:
    """What a buyer asks for.

    Attributes:
        account: Id of the buyer.
        request_id: Chosen by the buyer's side; names this purchase for ever.
        machine: Where.
        slot: Slot number.
        delay_s: Seconds to wait before dispatching, 0 to DELAY_MAX_S.
        price_ceiling: Most credits the buyer will pay; None for any price.
        token: Digest of the bearer token that speaks for the buyer, looked at again in the unit
            that takes the credits; None in a session, which logs in once.
        traceparent: The span that orders it, as its header; None if it is not traced.
    """

    account: str
    request_id: str
    machine: str
    slot: int
    delay_s: int = 0
    price_ceiling: int | None = None
    token: str | None = None
    traceparent: str | None = None

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


@dataclass(frozen=True, slots=True)
class Placed:
    """Outcome of an order.

    Attributes:
        drop: The order's drop.
        is_new: Whether it was made now.
        behind: Whether it waits for the outcome of an earlier drop, which dispatches the next one.
        commanded: The drop dispatched in the same unit: its machine's next, mostly itself.
    """

    drop: Drop
    is_new: bool = False
    behind: bool = False
    commanded: Drop | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """The unit of work that places a drop, and dispatches it if its machine waits for it here.

    Attributes:
        order: What is asked for.
        settings: Limits.
        drop_id: Of the drop.
        hold_id: Of its hold.
        epoch: The machine's link to this frontend; None if it takes no commands.
        now_ms: Now, for people.
    """

    order: DropOrder
    settings: DropSettings
    drop_id: str
    hold_id: str
    epoch: int | None
    now_ms: int

    @property
    def needs(self) -> Needs:
        """What it reads, as far as the order says it."""
        order = self.order
        return Needs(
            # A token's account comes with it.
            tokens=set() if order.token is None else {order.token},
            accounts={order.account} if order.token is None else set(),
            requests={(order.account, order.request_id)},
            machines={order.machine},
            slots={(order.machine, order.slot)} if 1 <= order.slot <= SLOT_MAX else set(),
            queues={order.machine},
            new_drops=1,
            new_transfers=1,
        )

    def carry_out(self, tx: Transaction) -> Placed:
        """Places the drop, or finds the drop that the same request made before.

        Raises:
            DrinkError: there is no drop.
        """
        order = self.order
        account, kiosk = self._account(tx)
        earlier = tx.drops.by_request(order.account, order.request_id)
        if earlier is not None:
            if earlier.fingerprint != order.fingerprint:
                raise RequestIdReusedError("request_id was used for another drop")
            return Placed(earlier)
        if account.closed:
            raise AccountClosedError("the account is closed")
        if kiosk is not None and self.now_ms >= kiosk.buys_until_ms:
            raise TokenInvalidError("the login at the kiosk has ended")
        machine, slot, queue = self._open_slot(tx)
        self._check(tx, account, slot, queue)
        drop = self._reserve(tx, account, slot, kiosk)
        if drop.state is not State.RESERVED or queue.at_motor:
            return Placed(drop, is_new=True, behind=queue.at_motor)
        only = None if queue.length else drop
        commanded = dispatch_next(
            tx, machine.name, self.epoch, self.now_ms, known=machine, only=only
        )
        if commanded is not None and commanded.id == drop.id:
            drop = commanded
        return Placed(drop, is_new=True, commanded=commanded)

    def _open_slot(self, tx: Transaction) -> tuple[Machine, Slot, Queue]:
        """Machine, slot and queue; raises the most actionable refusal first."""
        # A number that no slot has may be too long for a database.
        number = self.order.slot if 1 <= self.order.slot <= SLOT_MAX else 0
        found = tx.machines.with_slot(self.order.machine, number, self.order.account)
        if found is None:
            raise MachineNotFoundError("no such machine")
        machine, queue = found
        slot = machine.slot(number)
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
        return machine, slot, queue

    def _account(self, tx: Transaction) -> tuple[Account, KioskLogin | None]:
        """Who buys, and what limits a login at a kiosk."""
        account_id, token = self.order.account, self.order.token
        if token is not None:
            bearer = tx.tokens.holder(token, self.now_ms)
            if bearer is None or bearer.account.id != account_id or bearer.account.closed:
                raise TokenInvalidError("the token is not known")
            if bearer.kiosk is not None and bearer.kiosk.machine != self.order.machine:
                raise TokenScopeError(
                    "a login at a kiosk buys only at the kiosk's machine", scope=bearer.scope.value
                )
            if bearer.is_used_before(self.now_ms):
                tx.tokens.mark_used(token, self.now_ms)
            return bearer.account, bearer.kiosk
        return user_of(tx, account_id), None

    def _check(self, tx: Transaction, account: Account, slot: Slot, queue: Queue) -> None:
        """Refuses an order that its price, the account's credits or the queue do not allow."""
        order = self.order
        if order.price_ceiling is not None and slot.price > order.price_ceiling:
            raise PriceAboveCeilingError("the price is above the ceiling", price=slot.price)
        if account.available < slot.price:
            raise InsufficientCreditsError(
                "not enough credits", available=account.available, price=slot.price
            )
        limit = self.settings.waiting_per_account_max
        if queue.of_buyer >= limit:
            raise TooManyWaitingError(
                "too many drops of the account wait for this machine", waiting_max=limit
            )
        if order.delay_s:
            busy = tx.drops.scheduled(order.machine) >= self.settings.scheduled_max
        else:
            busy = queue.length >= self.settings.waiting_max
        if busy:
            raise MachineBusyError("too many drops wait for this machine")

    def _reserve(
        self, tx: Transaction, account: Account, slot: Slot, kiosk: KioskLogin | None
    ) -> Drop:
        """Adds the drop, holds its price, reserves its item and records that."""
        order, now_ms = self.order, self.now_ms
        drop = tx.drops.add(
            Drop(
                id=self.drop_id,
                account=order.account,
                request_id=order.request_id,
                fingerprint=order.fingerprint,
                machine=order.machine,
                slot=order.slot,
                item=slot.item,
                price=slot.price,
                hold_id=self.hold_id,
                state=State.SCHEDULED if order.delay_s else State.RESERVED,
                cause=Cause.NONE,
                created_ms=now_ms,
                not_before_ms=now_ms + order.delay_s * 1000 if order.delay_s else None,
                buyer=account.name,
                traceparent=order.traceparent,
            )
        )
        tx.ledger.add(self._hold(slot.price))
        tx.machines.move_item(order.machine, order.slot, Place.ON_HAND, Place.RESERVED, now_ms)
        facts = {
            "event": "RESERVE",
            "to": drop.state,
            "slot": drop.slot,
            "item": drop.item,
            "price": drop.price,
            "not_before_ms": drop.not_before_ms,
            **({} if kiosk is None else {"kiosk": kiosk.kiosk}),
        }
        record = AuditRecord(
            kind=AuditKind.DROP_MOVED,
            at_ms=now_ms,
            actor=order.account,
            drop_id=drop.id,
            machine=drop.machine,
            account=drop.account,
            facts=facts,
        )
        tx.audit.add(record)
        return drop

    def _hold(self, price: int) -> Transfer:
        return Transfer(
            id=self.hold_id,
            kind=TransferKind.HOLD,
            debit_account=self.order.account,
            credit_account=sales_account(self.order.machine),
            amount=price,
            created_ms=self.now_ms,
            drop_id=self.drop_id,
        )
