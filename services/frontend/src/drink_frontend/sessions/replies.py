"""What a session can answer, whatever the dialect."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from drink_frontend.domain.entities import Machine, Slot
from drink_frontend.sessions.commands import Verb
from drink_frontend.sessions.phrases import Phrase

UNKNOWN_PLACE = "Unknown"
"""Where a machine stands that has no location."""


def title(machine: Machine) -> str:
    """What a machine is called to people: its display name, or its name if it has none."""
    return machine.display_name.strip() or machine.name


def place(machine: Machine) -> str:
    """Where a machine stands, in words without a full stop at the end."""
    return machine.location.strip().removesuffix(".").strip() or UNKNOWN_PLACE


@dataclass(frozen=True, slots=True)
class Say:
    """One line."""

    phrase: Phrase
    facts: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WrongArity:
    """The verb was given too few or too many arguments; some dialects say how to use it."""

    verb: Verb


@dataclass(frozen=True, slots=True)
class SlotList:
    """Slots, a line each, and how many."""

    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class MachineList:
    """Machines that can be reached, a line each; at least one."""

    machines: tuple[Machine, ...]


Reply = Say | WrongArity | SlotList | MachineList
