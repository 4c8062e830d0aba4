"""What a house has, in numbers: its machines and the drops without a final outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import Machine


@dataclass(frozen=True, slots=True)
class OpenDrops:
    """The drops in one state without a final outcome.

    Attributes:
        count: How many there are.
        credits: What is held for them.
        oldest_ms: When the oldest of them was reserved, in milliseconds since the epoch.
    """

    count: int
    credits: int
    oldest_ms: int


@dataclass(frozen=True, slots=True)
class House:
    """What the database has.

    Attributes:
        machines: The first machines by name, with their slots.
        machines_total: Number of all machines.
        drops: The drops without a final outcome, by state; only states with drops.
        schema_revision: Of the database.
    """

    machines: Sequence[Machine]
    machines_total: int
    drops: Mapping[State, OpenDrops]
    schema_revision: str = ""
