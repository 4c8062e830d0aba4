"""Conditions whose alarms the frontend raises and closes itself, with hysteresis. Pure.

A condition has two marks, so that a value that moves around one of them changes nothing: beyond the
first it holds, behind the second it is over, and between them what was before stays. Each side has
to last for some seconds before it counts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from drink_frontend.domain.alarms import AlarmKind, machine_subject, slot_subject
from drink_frontend.domain.entities import Machine, Reach, Slot
from drink_frontend.domain.stock import Sensor

Key = tuple[AlarmKind, str]
"""Kind and subject of an alarm."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What may need an alarm, as it is now.

    Attributes:
        kind: Kind of the alarm.
        subject: Subject of the alarm.
        holds: Whether it is beyond the first mark; False behind the second one; None between them,
            or if nobody can tell.
        machine: Name of the machine concerned; None for none.
        facts: Details for the alarm. JSON values; no secrets.
    """

    kind: AlarmKind
    subject: str
    holds: bool | None
    machine: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """Kind and subject."""
        return self.kind, self.subject


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that a condition has to last.

    Attributes:
        raise_s: Until its alarm is raised.
        clear_s: Without it until its alarm is closed.
    """

    raise_s: float = 0
    clear_s: float = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What changes.

    Attributes:
        raised: Conditions whose alarms are to be raised.
        cleared: Kind and subject of alarms that are to be closed.
    """

    raised: Sequence[Condition]
    cleared: Sequence[Key]


class Hysteresis:
    """How long each condition has lasted, and what follows from that.

    Seconds are counted from look to look, each step at most `step_max_s`: while the process or its
    host stood still nobody looked, and nothing is raised or closed because of that time.

    Args:
        patience: For each kind; a kind that is not there has to last for no time.
        step_max_s: Most seconds that one look can add.
    """

    def __init__(self, patience: Mapping[AlarmKind, Patience], step_max_s: float) -> None:
        self._patience = patience
        self._step_max_s = step_max_s
        self._looked: float | None = None
        self._begun: dict[Key, float] = {}
        self._over: dict[Key, float] = {}

    def look(self, conditions: Iterable[Condition], raised: Iterable[Key], now: float) -> Verdict:
        """What the conditions of this look change.

        Args:
            conditions: All that there are; an alarm without one is closed like one whose condition
                is over.
            raised: The alarms of these kinds that are not closed.
            now: Monotonic seconds.
        """
        step = 0.0 if self._looked is None else min(now - self._looked, self._step_max_s)
        self._looked = now
        is_open = set(raised)
        present = {condition.key: condition for condition in conditions}
        begun = [key for key, each in present.items() if each.holds is True and key not in is_open]
        over = [key for key in is_open if key not in present or present[key].holds is False]
        self._begun = _longer(self._begun, begun, step)
        self._over = _longer(self._over, over, step)
        return Verdict(
            [present[key] for key in begun if self._begun[key] >= self._of(key).raise_s],
            sorted(key for key in over if self._over[key] >= self._of(key).clear_s),
        )

    def _of(self, key: Key) -> Patience:
        return self._patience.get(key[0], Patience())


def _longer(lasted: Mapping[Key, float], keys: Iterable[Key], step: float) -> dict[Key, float]:
    """The seconds that these keys have lasted; 0 for those that are new."""
    return {key: lasted[key] + step if key in lasted else 0.0 for key in keys}


@dataclass(frozen=True, slots=True)
class Marks:
    """Where conditions of machines and slots begin.

    Attributes:
        low_stock: Items at which a slot without a mark of its own is low; 0 for never.
        low_stock_difference: Items above the mark at which it is no longer low.
        too_warm: Degrees Celsius.
        too_cold: Degrees Celsius.
        temperature_difference: Degrees below or above the mark at which it is over.
    """

    low_stock: int
    low_stock_difference: int
    too_warm: float
    too_cold: float
    temperature_difference: float


def of_machine(machine: Machine, marks: Marks) -> Iterator[Condition]:
    """The conditions of a machine and its slots, without those that are over.

    Most machines have none, and `Hysteresis` takes one that is missing for one that is over. A
    machine that is out of service has none.
    """
    if not machine.enabled:
        return
    # An agent that has never been there is not missed.
    if machine.epoch > 0 and machine.reach is not Reach.READY:
        subject, facts = machine_subject(machine.name), {"since_ms": machine.reach_ms}
        is_offline = machine.reach is Reach.OFFLINE
        if is_offline:
            yield Condition(AlarmKind.MACHINE_OFFLINE, subject, True, machine.name, facts)
        # While it is away nobody can tell how its board is.
        board = None if is_offline else True
        yield Condition(AlarmKind.BOARD_DOWN, subject, board, machine.name, facts)
    if machine.temperature_celsius is not None:
        yield from _temperature(machine, machine.temperature_celsius, marks)
    for slot in machine.slots:
        if slot.enabled:
            yield from _slot(slot, marks)


def _temperature(machine: Machine, celsius: float, marks: Marks) -> Iterator[Condition]:
    known, difference = machine.reach is Reach.READY, marks.temperature_difference
    for kind, sign, mark in (
        (AlarmKind.TOO_WARM, 1, marks.too_warm),
        (AlarmKind.TOO_COLD, -1, marks.too_cold),
    ):
        # What it was when the board was last heard says nothing of now.
        holds = beyond(sign * celsius, sign * mark, sign * mark - difference) if known else None
        if holds is not False:
            facts = {"celsius": celsius, "mark": mark}
            yield Condition(kind, machine_subject(machine.name), holds, machine.name, facts)


def _slot(slot: Slot, marks: Marks) -> Iterator[Condition]:
    mark = slot.low_stock_mark or marks.low_stock
    low: bool | None = False
    if mark:
        # A slot whose mark is near its capacity is no longer low when it is full.
        enough = mark + marks.low_stock_difference
        if slot.capacity:
            enough = max(min(enough, slot.capacity), mark + 1)
        low = beyond(-slot.on_hand, -mark, -enough)
    disabled = slot.on_hand > 0 and slot.sensor is Sensor.EMPTY
    if low is False and not disabled and slot.on_hand:
        return
    subject = slot_subject(slot.machine, slot.number)
    facts: dict[str, Any] = {"item": slot.item, "on_hand": slot.on_hand}
    if low is not False:
        yield Condition(AlarmKind.SLOT_LOW, subject, low, slot.machine, facts | {"mark": mark})
    if not slot.on_hand:
        yield Condition(AlarmKind.SLOT_EMPTY, subject, True, slot.machine, facts)
    if disabled:
        yield Condition(AlarmKind.SLOT_DISABLED, subject, True, slot.machine, facts)


def beyond(value: float, mark: float, over: float) -> bool | None:
    """Whether a value has reached its mark; False if it is down to `over`, None between them.

    For a value that must not fall below its mark give all three with the other sign.
    """
    if value >= mark:
        return True
    return False if value <= over else None
