"""Conditions of machines and slots, and what follows from how long they last."""

import random
from dataclasses import replace

import pytest

from drink_frontend.domain.alarms import AlarmKind
from drink_frontend.domain.conditions import (
    Condition,
    Hysteresis,
    Key,
    Marks,
    Patience,
    of_machine,
)
from drink_frontend.domain.entities import Machine, Reach, Slot
from drink_frontend.domain.stock import Sensor

MARKS = Marks(
    low_stock=3, low_stock_difference=2, too_warm=12, too_cold=-2, temperature_difference=1
)
KEY: Key = (AlarmKind.TOO_WARM, "machines/d")
SLOT = Slot("d", 1, "Coke", 50, True, 8, 0, 0, 0, Sensor.STOCKED, 0)
MACHINE = Machine("d", "Drink", "", True, 4, "journal", 1, 5.0, Reach.READY, slots=(SLOT,))


def held(machine: Machine, kind: AlarmKind) -> bool | None:
    """Whether the condition holds; one that is left out is over."""
    found = [each.holds for each in of_machine(machine, MARKS) if each.kind is kind]
    assert len(found) <= 1
    assert False not in found
    return found[0] if found else False


def slot_held(kind: AlarmKind, **changed: object) -> bool | None:
    slot = replace(SLOT, **changed)  # type: ignore[arg-type]
    return held(replace(MACHINE, slots=(slot,)), kind)


@pytest.mark.parametrize(
    ("reach", "offline", "board"),
    [(Reach.READY, False, False), (Reach.BOARD_DOWN, False, True), (Reach.OFFLINE, True, None)],
)
def test_reach(reach: Reach, offline: bool, board: bool | None) -> None:
    machine = replace(MACHINE, reach=reach)
    assert held(machine, AlarmKind.MACHINE_OFFLINE) is offline
    assert held(machine, AlarmKind.BOARD_DOWN) is board


def test_what_is_out_of_service_or_was_never_there_has_no_condition() -> None:
    away = replace(MACHINE, reach=Reach.OFFLINE)
    assert list(of_machine(replace(away, enabled=False), MARKS)) == []
    assert held(replace(away, epoch=0), AlarmKind.MACHINE_OFFLINE) is False
    assert slot_held(AlarmKind.SLOT_EMPTY, on_hand=0, enabled=False) is False


@pytest.mark.parametrize(
    ("celsius", "warm", "cold"),
    [
        (12.0, True, False),
        (11.5, None, False),
        (11.0, False, False),
        (-1.0, False, False),
        (-1.5, False, None),
        (-2.0, False, True),
    ],
)
def test_temperature(celsius: float, warm: bool | None, cold: bool | None) -> None:
    machine = replace(MACHINE, temperature_celsius=celsius)
    assert held(machine, AlarmKind.TOO_WARM) is warm
    assert held(machine, AlarmKind.TOO_COLD) is cold
    # What a board showed before it was lost says nothing of now.
    assert held(replace(machine, reach=Reach.BOARD_DOWN), AlarmKind.TOO_WARM) is None
    assert held(replace(machine, temperature_celsius=None), AlarmKind.TOO_WARM) is False


@pytest.mark.parametrize(
    ("on_hand", "own_mark", "capacity", "low"),
    [
        (3, 0, 0, True),
        (4, 0, 0, None),
        (5, 0, 0, False),
        (0, 0, 0, True),
        (5, 5, 0, True),
        (6, 5, 0, None),
        (6, 5, 6, False),
        (7, 5, 0, False),
    ],
)
def test_low_stock_by_the_slots_mark_or_the_settings(
    on_hand: int, own_mark: int, capacity: int, low: bool | None
) -> None:
    changed = {"on_hand": on_hand, "low_stock_mark": own_mark, "capacity": capacity}
    assert slot_held(AlarmKind.SLOT_LOW, **changed) is low
    assert slot_held(AlarmKind.SLOT_EMPTY, **changed) is (on_hand == 0)


def test_a_slot_without_any_mark_is_never_low() -> None:
    marks = replace(MARKS, low_stock=0)
    machine = replace(MACHINE, slots=(replace(SLOT, on_hand=0),))
    assert AlarmKind.SLOT_LOW not in {each.kind for each in of_machine(machine, marks)}


@pytest.mark.parametrize(
    ("on_hand", "sensor", "disabled"),
    [
        (2, Sensor.EMPTY, True),
        (0, Sensor.EMPTY, False),
        (2, Sensor.STOCKED, False),
        (2, Sensor.UNSPECIFIED, False),
    ],
)
def test_a_slot_with_items_that_its_sensor_disables(
    on_hand: int, sensor: Sensor, disabled: bool
) -> None:
    assert slot_held(AlarmKind.SLOT_DISABLED, on_hand=on_hand, sensor=sensor) is disabled


class Looks:
    """Looks at one condition, and keeps its alarm as the verdicts say."""

    def __init__(self, patience: Patience, step_max_s: float = 30) -> None:
        self.hysteresis = Hysteresis({KEY[0]: patience}, step_max_s)
        self.now = 0.0
        self.is_open = False
        self.raised = self.cleared = 0

    def look(self, holds: bool | None, passed_s: float = 10, *, is_there: bool = True) -> None:
        self.now += passed_s
        conditions = [Condition(*KEY, holds)] if is_there else []
        verdict = self.hysteresis.look(conditions, [KEY] if self.is_open else [], self.now)
        self.raised += len(verdict.raised)
        self.cleared += len(verdict.cleared)
        self.is_open = (self.is_open or bool(verdict.raised)) and not verdict.cleared


def test_an_alarm_waits_and_so_does_its_end() -> None:
    looks = Looks(Patience(20, 30))
    for _ in range(2):
        looks.look(True)
    assert not looks.is_open
    looks.look(True)
    assert looks.is_open
    for _ in range(3):
        looks.look(False)
    assert looks.is_open
    looks.look(False)
    assert (looks.is_open, looks.raised, looks.cleared) == (False, 1, 1)


def test_one_look_at_the_other_side_begins_the_wait_anew() -> None:
    looks = Looks(Patience(20, 20))
    for holds in (True, True, None, True, True, False, True, True):
        looks.look(holds)
    assert not looks.is_open
    looks.look(True)
    assert looks.is_open
    for holds in (False, False, None, False, False, True, False, False):
        looks.look(holds)
    assert looks.is_open


def test_without_patience_the_first_look_decides() -> None:
    looks = Looks(Patience())
    looks.look(True)
    assert looks.is_open
    looks.look(None)
    assert looks.is_open
    looks.look(False)
    assert not looks.is_open


def test_what_is_no_longer_there_is_over() -> None:
    looks = Looks(Patience(0, 20))
    looks.look(True)
    for _ in range(3):
        looks.look(None, is_there=False)
    assert (looks.is_open, looks.cleared) == (False, 1)


def test_time_in_which_nobody_looked_raises_and_closes_nothing() -> None:
    looks = Looks(Patience(100, 100), step_max_s=30)
    looks.look(True)
    looks.look(True, 1_000_000)
    assert not looks.is_open
    for _ in range(7):
        looks.look(True)
    assert looks.is_open
    looks.look(False)
    looks.look(False, 1_000_000)
    assert looks.is_open


def test_a_value_that_flickers_around_its_mark_raises_one_alarm_and_one_end() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    draw = random.Random(seed)
    looks = Looks(Patience(60, 60))

    def shown(celsius: float) -> bool | None:
        return held(replace(MACHINE, temperature_celsius=celsius), AlarmKind.TOO_WARM)

    for _ in range(20):
        looks.look(shown(13))
    for _ in range(500):
        looks.look(shown(12 + draw.uniform(-0.9, 0.9)))
    for _ in range(20):
        looks.look(shown(8))
    assert (looks.raised, looks.cleared) == (1, 1)
