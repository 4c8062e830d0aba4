"""What follows from the values that are kept."""

from dataclasses import replace

import pytest

from drink_frontend.domain.entities import Account, Machine, Slot
from drink_frontend.domain.ledger import AccountKind
from drink_frontend.domain.stock import Sensor
from tests.support.entities import make_slot


def slot(number: int = 1, *, on_hand: int = 3, sensor: Sensor = Sensor.UNSPECIFIED) -> Slot:
    return make_slot("d", number, "Coke", 50, on_hand, sensor=sensor)


def account(*, posted: int, held: int) -> Account:
    return Account(
        id="~0000000001",
        name="ann",
        kind=AccountKind.USER,
        admin=False,
        closed=False,
        password_hash="$argon2id$never-shown",
        posted=posted,
        held=held,
    )


def test_held_credits_cannot_be_spent() -> None:
    """Invariant 2: what a drop holds is not available to another."""
    assert account(posted=100, held=30).available == 70


def test_a_password_hash_is_never_shown() -> None:
    assert "never-shown" not in repr(account(posted=0, held=0))


@pytest.mark.parametrize(
    ("sensor", "available"),
    [(Sensor.UNSPECIFIED, 3), (Sensor.STOCKED, 3), (Sensor.EMPTY, 0)],
)
def test_fault_49_a_slot_whose_sensor_reads_empty_has_nothing_to_buy(
    sensor: Sensor, available: int
) -> None:
    assert slot(sensor=sensor).available == available


def test_an_erased_account_has_its_id_for_a_name() -> None:
    ann = account(posted=0, held=0)
    assert not ann.is_erased
    assert replace(ann, name=ann.id).is_erased


def test_a_sensor_that_reads_stocked_adds_nothing_to_the_count() -> None:
    assert slot(on_hand=0, sensor=Sensor.STOCKED).available == 0


def test_a_machine_finds_its_slots_by_number() -> None:
    first, third = slot(1), slot(3)
    machine = Machine("d", "Big Drink", "", True, 0, None, 0, None, slots=(first, third))

    assert machine.slot(3) is third
    assert machine.slot(2) is None
