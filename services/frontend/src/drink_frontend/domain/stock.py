"""Stock: each item of a slot is in exactly one place, and a drop moves it from one to another.

`loaded = on_hand + reserved + dispensed + unknown` holds at every commit. `loaded` counts the items
that people have put into the slot since it was created.
"""

from enum import StrEnum

from drink_frontend.domain.drop import State

STOCK_MAX = 10_000
"""Most items on hand in one slot. Far more than a machine holds; it limits typing errors."""


class Place(StrEnum):
    """Where an item of a slot is."""

    ON_HAND = "on_hand"
    RESERVED = "reserved"
    DISPENSED = "dispensed"
    UNKNOWN = "unknown"


class MovementKind(StrEnum):
    """Why the number of items in a slot changed."""

    LOADED = "LOADED"
    """A person put items in."""
    TAKEN_OUT = "TAKEN_OUT"
    """A person took items out."""
    COUNTED = "COUNTED"
    """A person counted, and the slot's number was corrected by the difference."""
    LOST = "LOST"
    """Items are gone and were not sold: stolen, broken, or past their date."""
    SOLD = "SOLD"
    """A drop was settled as dispensed."""
    RETURNED = "RETURNED"
    """A person put the item of a refunded drop back."""


def place_of(state: State) -> Place:
    """Where the item of a drop in `state` is."""
    match state:
        case State.SCHEDULED | State.RESERVED | State.DISPATCHED:
            return Place.RESERVED
        case State.DISPENSED:
            return Place.DISPENSED
        case State.NOT_DISPENSED:
            return Place.ON_HAND
        case State.UNKNOWN:
            return Place.UNKNOWN


class Sensor(StrEnum):
    """What a slot's sensor reports."""

    UNSPECIFIED = "UNSPECIFIED"
    """There is no sensor, or it has not reported yet."""
    STOCKED = "STOCKED"
    EMPTY = "EMPTY"
