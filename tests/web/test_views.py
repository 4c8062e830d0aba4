from datetime import UTC, datetime, timedelta

import pytest

from drink.v1 import drop_service_pb2 as drops
from drink.v1 import machine_service_pb2 as machines
from drink_web import views

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
SLOT = "machines/a-name-of-32-characters-0123456/slots/99"


def machine(**facts: object) -> machines.Machine:
    slots = [
        machines.Slot(name="machines/d/slots/1", item="Coke", price=50, enabled=True, available=9),
        machines.Slot(name="machines/d/slots/2", item="Tea", price=50, enabled=True, available=0),
        machines.Slot(name="machines/d/slots/3", item="Jolt", price=50, enabled=False, available=2),
    ]
    given = {"name": "machines/d", "enabled": True, "reach": machines.Machine.REACH_READY, **facts}
    return machines.Machine(slots=slots, **given)  # type: ignore[arg-type]


def test_a_button_names_its_purchase_within_the_limit_of_the_api() -> None:
    page = views.new_page()
    assert views.PAGE.fullmatch(page)
    assert views.REQUEST_ID.fullmatch(views.request_id(page, SLOT))
    assert views.request_id(page, SLOT) == views.request_id(page, SLOT)
    assert views.request_id(page, SLOT) != views.request_id(views.new_page(), SLOT)


@pytest.mark.parametrize(
    ("facts", "is_current", "state", "sells"),
    [
        ({}, True, "ready", True),
        ({}, False, "ready", False),
        ({"reach": machines.Machine.REACH_OFFLINE}, True, "offline", False),
        ({"reach": machines.Machine.REACH_BOARD_DOWN}, True, "down", False),
        ({"enabled": False}, True, "off", False),
    ],
)
def test_only_a_ready_machine_sells(
    facts: dict[str, object], is_current: bool, state: str, sells: bool
) -> None:
    view = views.machine_view(machine(**facts), is_current=is_current)
    assert view.state == state
    assert [tile.state for tile in view.tiles] == ["sale", "sold_out", "off"]
    assert [tile.can_drop for tile in view.tiles] == [sells, False, False]


@pytest.mark.parametrize(
    ("item", "is_long"),
    [("Apfelschorle", False), ("Johannisbeere", True), ("Coke-und-Club-Mate gemischt", False)],
)
def test_a_name_with_a_long_word_is_shown_smaller(item: str, is_long: bool) -> None:
    slot = machines.Slot(name="machines/d/slots/1", item=item)
    view = views.machine_view(machines.Machine(slots=[slot]), is_current=True)
    assert view.tiles[0].has_long_word is is_long


def drop(state: drops.Drop.State.ValueType, **facts: object) -> drops.Drop:
    made = drops.Drop(name="drops/1", slot="machines/d/slots/1", state=state, **facts)  # type: ignore[arg-type]
    made.create_time.FromDatetime(NOW)
    made.schedule_time.FromDatetime(NOW + timedelta(seconds=3))
    return made


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, 3000), (1, 2000), (3, 0), (99, 0), (-99, 3000)]
)
def test_what_remains_is_never_more_than_was_chosen(seconds: int, expected: int) -> None:
    now = NOW + timedelta(seconds=seconds)
    view = views.drop_view(drop(drops.Drop.STATE_SCHEDULED), machine(), now)
    assert view.remaining_ms == expected
    assert view.can_cancel


def test_a_drop_has_its_words_and_steps() -> None:
    at_motor = views.drop_view(drop(drops.Drop.STATE_DISPATCHED), machine(), NOW)
    assert at_motor.kind == "dispatched"
    assert [mark for _, mark in at_motor.steps] == ["done", "done", "now"]
    assert not at_motor.can_cancel
    cancelled = drop(drops.Drop.STATE_NOT_DISPENSED, cause=drops.Drop.CAUSE_CANCELLED)
    assert views.drop_view(cancelled, None, NOW).kind == "cancelled"
    assert views.drop_view(cancelled, None, NOW).machine_title == "d"


def test_a_spreadsheet_gets_no_formulas() -> None:
    assert views.csv_lines([("=1+1", 'say "hi"', -5, "a,b")]) == (
        '\'=1+1,"say ""hi""",-5,"a,b"\r\n'
    )


def test_an_unset_time_is_none() -> None:
    assert views.utc(drops.Drop().create_time) is None
    assert views.utc(drop(drops.Drop.STATE_RESERVED).create_time) == NOW
