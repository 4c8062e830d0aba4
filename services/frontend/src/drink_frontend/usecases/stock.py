"""The unit of work that changes the number of items in a slot."""

from dataclasses import dataclass

from drink_frontend.domain.entities import AuditKind, AuditRecord, Slot
from drink_frontend.domain.errors import (
    FieldInvalidError,
    MachineNotFoundError,
    RequestIdReusedError,
    SlotChangedError,
    SlotNotFoundError,
    StockInvalidError,
)
from drink_frontend.domain.limits import check_etag, check_range, check_request_id, check_text
from drink_frontend.domain.movements import StockMovement
from drink_frontend.domain.stock import STOCK_MAX, MovementKind
from drink_frontend.storage.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class StockOrder:
    """What is asked for: a change or a count.

    Attributes:
        request_id: Chosen by the caller; the same request changes the stock once.
        machine: Name of the machine.
        slot: Slot number.
        change: Items put in, or taken out if negative; None for a count.
        count: Items on hand, counted; None for a change.
        kind: LOADED, TAKEN_OUT, LOST or COUNTED; None for what follows from the numbers.
        etag: The slot's etag when the caller read it; empty for any, but not with a count.
        reason: Why, for people; empty for none.
    """

    request_id: str
    machine: str
    slot: int
    change: int | None = None
    count: int | None = None
    kind: MovementKind | None = None
    etag: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        check_request_id(self.request_id)
        check_text(self.reason, "reason")
        if self.etag:
            check_etag(self.etag)
        if (self.change is None) is (self.count is None):
            raise FieldInvalidError("change", "or count must be given, and not both")
        if self.count is not None:
            check_range(self.count, "count", 0, STOCK_MAX)
            if not self.etag:
                raise FieldInvalidError("etag", "must be given with a count")
        if self.change is not None:
            check_range(self.change, "change", -STOCK_MAX, STOCK_MAX)
            if not self.change:
                raise FieldInvalidError("change", "must not be 0")
        if self.movement_kind not in self._kinds():
            raise FieldInvalidError("kind", f"must be one of {', '.join(self._kinds())}")

    @property
    def movement_kind(self) -> MovementKind:
        """The kind of the movement."""
        return self.kind or self._kinds()[0]

    def _kinds(self) -> tuple[MovementKind, ...]:
        """The kinds that the movement may have; the first is meant where none is given."""
        if self.change is None:
            return (MovementKind.COUNTED,)
        if self.change > 0:
            return (MovementKind.LOADED,)
        return MovementKind.TAKEN_OUT, MovementKind.LOST


@dataclass(frozen=True, slots=True)
class Adjusting:
    """The unit of work that changes the number of items in a slot once.

    Attributes:
        order: What is asked for.
        actor: Name of the administrator who asks.
        now_ms: Now, for people.
    """

    order: StockOrder
    actor: str
    now_ms: int

    def carry_out(self, tx: Transaction) -> tuple[StockMovement, Slot]:
        """Changes the slot, or finds that the same request did so before.

        Returns:
            The movement, and the slot as it stands.

        Raises:
            DrinkError: nothing was changed.
        """
        order = self.order
        before = slot_named(tx, order.machine, order.slot)
        made = tx.stock.by_request(self.actor, order.request_id)
        if made is not None:
            self._check_same(made)
            return made, before
        if order.etag and order.etag != before.etag:
            raise SlotChangedError("the slot has changed since it was read", on_hand=before.on_hand)
        self._audit(tx, before.on_hand, tx.stock.adjust(self._movement(before)))
        movement = tx.stock.by_request(self.actor, order.request_id)
        assert movement is not None
        return movement, slot_named(tx, order.machine, order.slot)

    def _check_same(self, made: StockMovement) -> None:
        order = self.order
        wanted, done = (
            (order.change, made.change) if order.count is None else (order.count, made.on_hand)
        )
        same = (order.machine, order.slot, order.movement_kind, wanted, order.reason or None)
        if same != (made.machine, made.slot, made.kind, done, made.reason):
            raise RequestIdReusedError("request_id was used for something else")

    def _movement(self, before: Slot) -> StockMovement:
        order = self.order
        change = order.change if order.count is None else order.count - before.on_hand
        assert change is not None
        on_hand = before.on_hand + change
        if on_hand < 0:
            raise StockInvalidError(f"the slot has {before.on_hand} items that are not reserved")
        check_room(before, on_hand)
        return StockMovement(
            machine=order.machine,
            slot=order.slot,
            kind=order.movement_kind,
            change=change,
            at_ms=self.now_ms,
            actor=self.actor,
            reason=order.reason or None,
            request_id=order.request_id,
        )

    def _audit(self, tx: Transaction, on_hand: int, movement: StockMovement) -> None:
        facts = {
            "slot": movement.slot,
            "from": {"on_hand": on_hand},
            "to": {"on_hand": movement.on_hand},
            "movement": movement.kind,
            "why": movement.reason,
        }
        tx.audit.add(
            AuditRecord(
                AuditKind.STOCK_CHANGED,
                self.now_ms,
                self.actor,
                machine=movement.machine,
                facts=facts,
            )
        )


def check_room(before: Slot, on_hand: int) -> None:
    """Refuses more items than fit into a slot.

    Raises:
        StockInvalidError: people would put in more than the slot may have.
    """
    if before.on_hand < on_hand > before.on_hand_max:
        raise StockInvalidError(f"the slot has room for {before.on_hand_max} items")


def slot_named(tx: Transaction, machine: str, number: int) -> Slot:
    """One slot.

    Raises:
        MachineNotFoundError: there is no such machine.
        SlotNotFoundError: the machine has no such slot.
    """
    slot = tx.machines.slot(machine, number)
    if slot is not None:
        return slot
    if tx.machines.alone(machine) is None:
        raise MachineNotFoundError("no such machine")
    raise SlotNotFoundError("the machine has no such slot")
