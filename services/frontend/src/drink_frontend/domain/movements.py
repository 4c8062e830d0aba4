"""Movements of stock: every change of the number of items in a slot."""

from dataclasses import dataclass

from drink_frontend.domain.entities import MS_MAX, MS_MIN
from drink_frontend.domain.stock import MovementKind


@dataclass(frozen=True, slots=True)
class StockMovement:
    """A change of the number of items in a slot. Never changed or removed.

    The changes of a slot add up to its items on hand, reserved and unknown.

    Attributes:
        machine: Name of the machine.
        slot: Slot number.
        kind: Why the number changed.
        change: Items: positive into the slot, negative out of it; 0 for a count that agreed.
        at_ms: When it was stored.
        actor: Who caused it: an account, `agent:<machine>`, or `frontend`.
        reason: Why, in the actor's words; None for none.
        drop_id: The drop that sold or returned the item; None for other kinds.
        request_id: Of the request by which a person caused it, unique for each actor; None without.
        on_hand: Items on hand after it, as the database has them; 0 before it is stored.
        sequence: Order of all movements, counted by the database; 0 before it is stored.
    """

    machine: str
    slot: int
    kind: MovementKind
    change: int
    at_ms: int
    actor: str
    reason: str | None = None
    drop_id: str | None = None
    request_id: str | None = None
    on_hand: int = 0
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class MovementSelection:
    """Which movements of stock are wanted.

    Attributes:
        slot: Machine and number of a slot; None for all slots.
        kinds: Of these kinds; empty for all.
        from_ms: Stored at this time or later.
        before_ms: Stored before this time.
    """

    slot: tuple[str, int] | None = None
    kinds: tuple[MovementKind, ...] = ()
    from_ms: int = MS_MIN
    before_ms: int = MS_MAX


ALL_MOVEMENTS = MovementSelection()
"""Every movement of stock."""
