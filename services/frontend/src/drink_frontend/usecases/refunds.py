"""The unit of work that gives back what was paid for a drop."""

from dataclasses import dataclass, replace
from typing import Any

from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import Account, AuditKind, AuditRecord, Drop, Refund
from drink_frontend.domain.errors import (
    AccountClosedError,
    AdminRequiredError,
    DropNotPaidError,
    DropRefundedError,
    FieldInvalidError,
    RefundTooLateError,
    RequestIdReusedError,
    StockInvalidError,
)
from drink_frontend.domain.ledger import CREDITS_MAX, Transfer, TransferKind, sales_account
from drink_frontend.domain.limits import check_range, check_reason, check_request_id
from drink_frontend.domain.movements import StockMovement
from drink_frontend.domain.stock import MovementKind
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.stock import check_room
from drink_frontend.usecases.users import drop_shown, user_of


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundOrder:
    """What is asked for.

    Attributes:
        request_id: Chosen by the caller; the same request gives back once.
        drop_id: The drop.
        reason: Why, for people.
        credits_given: Credits to give back; None for all that was paid.
        restock: Whether the item is back in its slot.
    """

    request_id: str
    drop_id: str
    reason: str
    credits_given: int | None = None
    restock: bool = False

    def __post_init__(self) -> None:
        check_request_id(self.request_id)
        check_reason(self.reason)
        if self.credits_given is not None:
            check_range(self.credits_given, "credits", 1, CREDITS_MAX)


@dataclass(frozen=True, slots=True)
class Refunding:
    """The unit of work that refunds a drop once.

    The paid transfer stays: credits come back by another one, from the machine's sales account.

    Attributes:
        order: What is asked for.
        caller: Who asks: the buyer or an administrator.
        minutes: In which a buyer may ask; 0 for never.
        transfer_id: Of the transfer.
        now_ms: Now, for people.
    """

    order: RefundOrder
    caller: Account
    minutes: int
    transfer_id: str
    now_ms: int

    def carry_out(self, tx: Transaction) -> Drop:
        """Refunds the drop, or finds that the same request did so before.

        Raises:
            DrinkError: nothing was given back.
        """
        self._check_rights()
        drop = drop_shown(self.caller, tx.drops.get(self.order.drop_id))
        if self._is_done(tx, drop):
            return drop
        amount = self._amount(drop)
        if not self.caller.admin and self.now_ms - (drop.settled_ms or 0) > self.minutes * 60_000:
            raise RefundTooLateError(f"a drop can be given back for {self.minutes} minutes")
        if user_of(tx, drop.account).closed:
            raise AccountClosedError("the account is closed")
        return self._refund(tx, drop, amount)

    def _check_rights(self) -> None:
        """Refuses by the caller's rights alone, before the drop is looked at."""
        if self.caller.admin:
            return
        if not self.minutes:
            raise AdminRequiredError("only administrators refund drops")
        if self.order.restock:
            raise AdminRequiredError("only administrators put items back")

    def _is_done(self, tx: Transaction, drop: Drop) -> bool:
        order, earlier = self.order, tx.refunds.get(drop.id)
        made = tx.ledger.by_request(self.caller.id, order.request_id)
        if made is not None:
            wanted = drop.price if order.credits_given is None else order.credits_given
            same = Refund(drop.id, made.id, wanted, order.restock)
            if earlier != same or made.reason != order.reason:
                raise RequestIdReusedError("request_id was used for something else")
        elif earlier is not None:
            raise DropRefundedError("the drop was refunded before", refunded=earlier.amount)
        return made is not None

    def _amount(self, drop: Drop) -> int:
        if drop.state is not State.DISPENSED or not drop.price:
            raise DropNotPaidError(
                f"the drop is {drop.state}" if drop.price else "the drop was free of charge"
            )
        if self.order.credits_given is None:
            return drop.price
        if self.order.credits_given > drop.price:
            raise FieldInvalidError("credits", f"must be 1 to {drop.price}, which was paid")
        return self.order.credits_given

    def _refund(self, tx: Transaction, drop: Drop, amount: int) -> Drop:
        order = self.order
        refunded = replace(drop, refunded=amount)
        refund = Refund(drop.id, self.transfer_id, amount, order.restock)
        tx.refunds.add(refund, refunded)
        tx.ledger.add(
            Transfer(
                id=self.transfer_id,
                kind=TransferKind.MOVE,
                debit_account=sales_account(drop.machine),
                credit_account=drop.account,
                amount=amount,
                created_ms=self.now_ms,
                actor=self.caller.id,
                request_id=order.request_id,
                reason=order.reason,
            )
        )
        facts = {"credits": amount, "why": order.reason, "restocked": order.restock}
        self._audit(tx, AuditKind.DROP_REFUNDED, drop, facts)
        if order.restock:
            self._restock(tx, drop)
        return refunded

    def _restock(self, tx: Transaction, drop: Drop) -> None:
        """Counts the item as put into the slot once more; that it fell stays true."""
        slot = tx.machines.slot(drop.machine, drop.slot)
        if slot is None or slot.item != drop.item:
            raise StockInvalidError("the slot has another item now")
        check_room(slot, slot.on_hand + 1)
        if tx.stock.by_request(self.caller.id, self.order.request_id) is not None:
            raise RequestIdReusedError("request_id was used for something else")
        returned = tx.stock.adjust(
            StockMovement(
                machine=drop.machine,
                slot=drop.slot,
                kind=MovementKind.RETURNED,
                change=1,
                at_ms=self.now_ms,
                actor=self.caller.id,
                reason=self.order.reason,
                drop_id=drop.id,
                request_id=self.order.request_id,
            )
        )
        facts = {
            "slot": drop.slot,
            "from": {"on_hand": slot.on_hand},
            "to": {"on_hand": returned.on_hand},
        }
        self._audit(tx, AuditKind.STOCK_CHANGED, drop, facts)

    def _audit(self, tx: Transaction, kind: AuditKind, drop: Drop, facts: dict[str, Any]) -> None:
        tx.audit.add(
            AuditRecord(
                kind=kind,
                at_ms=self.now_ms,
                actor=self.caller.id,
                drop_id=drop.id,
                machine=drop.machine,
                account=drop.account,
                facts=facts,
            )
        )
