"""Machines and slots as the use cases show them, made from what a test cares about."""

from collections.abc import Sequence
from dataclasses import replace

from drink_frontend.domain.entities import Machine, Slot
from drink_frontend.domain.stock import Sensor


def make_slot(
    machine: str, number: int, item: str, price: int, on_hand: int, **more: object
) -> Slot:
    """A slot with an item that can be bought."""
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
    """A machine that can be reached."""
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
