"""What a session can answer, whatever the dialect."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from drink_frontend.domain.entities import Machine, Slot
from drink_frontend.sessions.commands import Verb
from drink_frontend.sessions.phrases import Phrase


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
