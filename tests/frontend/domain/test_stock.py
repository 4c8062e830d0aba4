"""Where the item of a drop is, state by state."""

import pytest

from drink_frontend.domain.drop import TRANSITIONS, State
from drink_frontend.domain.stock import Place, place_of


@pytest.mark.parametrize(
    ("state", "place"),
    [
        (State.SCHEDULED, Place.RESERVED),
        (State.RESERVED, Place.RESERVED),
        (State.DISPATCHED, Place.RESERVED),
        (State.DISPENSED, Place.DISPENSED),
        (State.NOT_DISPENSED, Place.ON_HAND),
        (State.UNKNOWN, Place.UNKNOWN),
    ],
)
def test_each_state_has_one_place(state: State, place: Place) -> None:
    """Invariant 10: an item is in one place, whatever its drop's state."""
    assert place_of(state) is place


def test_every_state_has_a_place() -> None:
    assert {place_of(state) for state in State} == set(Place)


def test_an_item_leaves_the_machines_count_only_with_its_drop_settled_or_unknown() -> None:
    for (source, _), target in TRANSITIONS.items():
        if not target.answered:
            assert place_of(source) is place_of(target) is Place.RESERVED
